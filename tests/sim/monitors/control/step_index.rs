//! C4: the index of the step goes back only to the first one, with another version, other steps, an abort or a retry.

use tidegate::api::request::Verb;

use crate::sim::monitors::{Told, View, per_release::OfRelease, view::Touched};

#[derive(Clone, Default)]
pub(super) struct StepIndex;

impl OfRelease for StepIndex {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let (was, is) = (
            before.status.current_step_index,
            after.status.current_step_index,
        );
        if !touched.itself
            || !touched.by_controller()
            || was == is
            || after.deleted
            || was.is_none()
        {
            return;
        }
        if before.current() != after.current() {
            return;
        }
        let back = is < was;
        let allowed = before.status.current_step_hash != after.status.current_step_hash
            || before.status.abort != after.status.abort
            || before.status.attempt != after.status.attempt
            || after.granted(before, Verb::Retry)
            || after.canary().is_none();
        told.check("C4", !back || (allowed && is.unwrap_or(0) == 0), || {
            format!(
                "the step of {} goes from {was:?} to {is:?}",
                after.current()
            )
        });
    }
}
