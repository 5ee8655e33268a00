//! L4: whoever waits for pods longer than the deadline says so, and nobody says so before.

use std::time::Duration;

use tidegate::api::rollout_status::Phase;

use crate::sim::monitors::{
    Told, View,
    debt::Debt,
    per_release::OfRelease,
    release::{Mode, Release},
    view::Touched,
};

const EXCEEDED: &str = "ProgressDeadlineExceeded";

#[derive(Clone, Default)]
pub(super) struct Deadline {
    /// When this version, attempt, step or size began.
    begun: Duration,
    debt: Debt,
}

fn limit(release: &Release) -> Duration {
    Duration::from_secs(u64::try_from(release.spec.progress_deadline_seconds()).unwrap_or(0))
}

/// No pod of a version that should have some is available, and no progress can be.
fn waits(release: &Release) -> bool {
    let current = release.current();
    let open = release.mode() != Mode::Aborted && !release.spec.paused && !release.deleted;
    open && release.size(current) > 0
        && release.available(current) == 0
        && release.phase() != Some(Phase::Degraded)
        && release.routes.missing.is_empty()
}

impl OfRelease for Deadline {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let same = before.current() == after.current()
            && before.status.attempt == after.status.attempt
            && before.generation == after.generation
            && !touched.new;
        if !same {
            self.begun = view.now;
            self.debt.forgive();
        }
        let says = |release: &Release| {
            release.phase() == Some(Phase::Degraded) && release.status.message.starts_with(EXCEEDED)
        };
        if touched.by_controller() && says(after) && !says(before) {
            // Time that pods were missing adds up, and times in a status have no fractions.
            let since = view.now - self.begun + Duration::from_secs(1);
            told.check("L4", since + view.skew >= limit(after), || {
                format!("{EXCEEDED} after {since:?}")
            });
        }
        if let Some(since) = self.debt.look(waits(after), view.now) {
            let bound = view
                .leniency
                .patience
                .saturating_add(limit(&touched.before) + Duration::from_secs(1));
            told.check("L4", since <= bound, || {
                format!(
                    "for {since:?} no pod of {} is available, and nobody says so",
                    touched.before.current()
                )
            });
        }
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.look(touched, view, told);
    }
}
