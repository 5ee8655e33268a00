//! T14: the stable version changes only with the promotion of another one, and is never taken away.

use tidegate::api::request::Verb;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct StablePointer;

impl OfRelease for StablePointer {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted {
            return;
        }
        if before.stable() != after.stable() && !before.stable().is_empty() {
            let full = before.mode() == Mode::Full || before.is_asked(Verb::PromoteFull);
            let done = before.step() >= before.steps().len() || after.step() >= after.steps().len();
            // A first deploy that never served is corrected without steps.
            let served = touched
                .for_long(|release| release.sets.values().any(|set| set.available > 0))
                || before.mode() != Mode::Stable;
            let promoted = after.stable() == after.current() && (done || full);
            told.check("T14", promoted || !served, || {
                format!(
                    "stable goes from {} to {} in step {} of {}",
                    before.stable(),
                    after.stable(),
                    before.step(),
                    after.steps().len()
                )
            });
            let weight = after.weight(after.stable());
            let all = match after.router() {
                Router::Pods => true,
                Router::Weights | Router::Switch => {
                    weight == after.total() || after.replicas() == 0
                }
            };
            told.check("T14", all || !served, || {
                format!(
                    "{} becomes stable with a weight of {weight}",
                    after.stable()
                )
            });
        }
        let stable = after.stable();
        let (had, has) = (before.size(stable), after.size(stable));
        if had > 0 && has == 0 {
            // Without a router, and with a stable version that shrinks, its last pods go when another one has everything.
            let replaced = before
                .routes
                .stable_pin
                .as_deref()
                .is_none_or(|pin| pin != stable)
                && touched
                    .lately(|release| release.available(release.current()) >= release.replicas());
            let nothing = touched.lately(|release| {
                release.replicas() == 0
                    // Pods are traffic there, and those that do not serve are none.
                    || (release.router() == Router::Pods && release.available(stable) == 0)
            });
            told.check(
                "T14",
                nothing || (replaced && stable != after.current()),
                || format!("stable {stable} is taken away"),
            );
        }
    }
}
