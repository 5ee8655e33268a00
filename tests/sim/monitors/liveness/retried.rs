//! L6: a retry begins at the first step, and comes to an end.

use tidegate::api::rollout_status::Phase;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Retried {
    under_way: bool,
}

impl OfRelease for Retried {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let same = before.current() == after.current() && !touched.new;
        if touched.itself
            && touched.by_controller()
            && same
            && before.mode() == Mode::Aborted
            && after.mode() == Mode::Stepping
        {
            self.under_way = true;
            let first =
                after.step() == 0 || touched.held(|release| is_passed(release, after.step()));
            told.check(
                "L6",
                first && after.status.attempt > before.status.attempt,
                || {
                    format!(
                        "the retry of {} begins at step {} of attempt {}",
                        after.current(),
                        after.step(),
                        after.status.attempt
                    )
                },
            );
        }
    }

    fn finish(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        if self.under_way {
            let after = &touched.after;
            told.check("L6", after.phase() != Some(Phase::Progressing), || {
                format!(
                    "the retry of {} comes to no end: {}",
                    after.current(),
                    after.status.message
                )
            });
        }
    }
}

/// The first step is a weight, and the new version has it: a status that was to say that the retry has begun was lost after
/// the weight had been written. Nothing was left out.
fn is_passed(before: &Release, step: usize) -> bool {
    let weight = before.steps().first().and_then(|first| first.set_weight);
    step == 1 && weight.is_some_and(|weight| before.weight(before.current()) == i64::from(weight))
}
