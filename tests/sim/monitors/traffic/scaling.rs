//! T17: another number of replicas in mid-update costs neither step, nor pause, nor attempt; T2 and T3 go on meanwhile.

use std::time::Duration;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release},
    view::Touched,
};

/// How long after it something may be blamed on a change of size.
const BLAMED: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub(super) struct Scaling {
    /// When somebody last scaled it in mid-update.
    scaled: Option<Duration>,
}

fn only_scaled(before: &Release, after: &Release) -> bool {
    let mut spec = (*before.spec).clone();
    spec.replicas = after.spec.replicas;
    spec == *after.spec && before.spec.replicas != after.spec.replicas
}

impl OfRelease for Scaling {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.itself || touched.new || after.deleted {
            return;
        }
        if !touched.by_controller() {
            let others =
                before.object["metadata"]["annotations"] != after.object["metadata"]["annotations"];
            // What was declared before it and is not seen yet is another cause, too.
            let seen = before.status.observed_generation == Some(before.generation);
            if only_scaled(before, after) && !others && seen && after.mode() == Mode::Stepping {
                self.scaled = Some(view.now);
            } else {
                // Whatever follows may have another cause.
                self.scaled = None;
            }
            return;
        }
        if self.scaled.is_none_or(|at| view.now - at > BLAMED) || before.mode() != Mode::Stepping {
            return;
        }
        // Of another version that a workload declares the Rollout itself says nothing.
        if before.current() != after.current() && after.spec.workload_ref.is_some() {
            self.scaled = None;
            return;
        }
        let lost = before.current() != after.current()
            || after.step() < before.step()
            || after.status.attempt != before.status.attempt;
        told.check("T17", !lost || after.status.abort, || {
            format!(
                "after a change of size step {} of attempt {} of {} becomes step {} of attempt {} of {}",
                before.step(), before.status.attempt, before.current(), after.step(), after.status.attempt, after.current()
            )
        });
        let starts = |release: &Release| {
            release
                .status
                .pause_conditions
                .first()
                .map(|pause| pause.start_time)
        };
        if let (Some(was), Some(is)) = (starts(before), starts(after))
            && before.step() == after.step()
        {
            told.check("T17", was == is, || {
                format!("after a change of size the pause since {was} begins anew at {is}")
            });
        }
    }
}
