//! L3: with nothing left to happen, what was declared is what serves, or the Rollout waits for a person and says so.

use std::time::Duration;

use tidegate::api::{conditions::ConditionType, rollout_status::Phase};

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Mode, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Rest {
    /// When anything about it last changed.
    changed: Duration,
}

impl OfRelease for Rest {
    fn look(&mut self, _: &Touched, view: &View, _: &mut Told) {
        self.changed = view.now;
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let after = &touched.after;
        if view.now.saturating_sub(self.changed) <= view.leniency.patience {
            return;
        }
        let waits = match after.phase() {
            Some(Phase::Healthy | Phase::Paused | Phase::Degraded) => true,
            // Somebody has to put back what is missing.
            Some(Phase::Progressing) => {
                after.holds(ConditionType::ReferenceMissing) || after.status.next.is_some()
            }
            None => false,
        };
        told.check("L3", waits, || {
            format!(
                "nothing happens any more, and it is {:?}: {}",
                after.phase(),
                after.status.message
            )
        });
        if after.phase() == Some(Phase::Healthy) {
            let stable = after.stable();
            told.check(
                "L3",
                after.mode() == Mode::Stable && after.size(stable) == after.replicas(),
                || {
                    format!(
                        "at rest {stable} has {} of {} pods",
                        after.size(stable),
                        after.replicas()
                    )
                },
            );
        }
    }
}
