//! D5: another version starts at the first step, with nothing of what was paused, promoted or measured for the one before.

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct StartsAnew;

impl OfRelease for StartsAnew {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let begins = touched.itself && touched.by_controller() && !before.current().is_empty();
        if !begins || before.current() == after.current() || after.deleted {
            return;
        }
        // What carries no step of its own: the stable version, and a way back that needs no proof.
        if after.mode() == Mode::Stepping {
            // Steps without a duration may be done in the same moment.
            let first = after.step() == 0 || passes_at_once(after);
            told.check("D5", first, || {
                format!("{} begins at step {}", after.current(), after.step())
            });
        }
        let now = view.clock();
        let stale =
            after.status.pause_conditions.iter().find(|pause| {
                before.status.pause_conditions.contains(pause) && pause.start_time < now
            });
        told.check("D5", stale.is_none(), || {
            format!(
                "{} begins with the pause {stale:?} of the version before",
                after.current()
            )
        });
        for reference in after.status.analysis_runs().into_iter().flatten() {
            let of_another = after
                .runs
                .get(&reference.name)
                .is_some_and(|run| run.hash != after.current());
            told.check("D5", !of_another, || {
                format!(
                    "{} begins with AnalysisRun {} of another version",
                    after.current(),
                    reference.name
                )
            });
        }
        told.check("D5", !after.status.abort, || {
            format!("{} begins as aborted", after.current())
        });
    }
}

fn passes_at_once(release: &Release) -> bool {
    let steps = release.steps().iter().take(release.step());
    steps
        .into_iter()
        .all(|step| step.set_weight == Some(0) || step.set_canary_scale.is_some())
}
