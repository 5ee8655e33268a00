//! D10: an abort beats a promotion in any order of arrival.

use tidegate::api::request::Verb;

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Mode, view::Touched};

#[derive(Clone, Default)]
pub(super) struct AbortWins;

impl OfRelease for AbortWins {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.itself || !touched.by_controller() || touched.new || after.deleted {
            return;
        }
        let same = before.current() == after.current();
        let promoted = same && before.stable() != after.stable();
        let asked = before.is_asked(Verb::Abort) && {
            let revision = before
                .asked
                .as_ref()
                .and_then(|asked| asked.revision.as_deref());
            revision.is_none_or(|revision| revision == before.current())
        };
        let going = matches!(before.mode(), Mode::Stepping | Mode::Full);
        if asked && going && same {
            told.check("D10", !promoted, || {
                format!(
                    "{} is promoted, and an abort was asked for",
                    after.current()
                )
            });
            let answered = after.granted(before, Verb::Abort);
            let done = after.status.abort || after.mode() == Mode::Stable;
            told.check("D10", !answered || done, || {
                format!(
                    "the abort of {} is granted, and it goes on",
                    after.current()
                )
            });
            let moved = after.step() > before.step() && !after.status.abort;
            told.check("D10", !moved || answered, || {
                format!("step {} begins, and an abort was asked for", after.step())
            });
        }
        if before.mode() == Mode::Aborted && same {
            let still = after.mode() == Mode::Aborted;
            told.check("D10", !promoted || !still, || {
                format!("{} is promoted after it was given up", after.current())
            });
            told.check("D10", !(still && after.status.promote_full), || {
                format!(
                    "{} was given up, and is to be promoted in full",
                    after.current()
                )
            });
        }
    }
}
