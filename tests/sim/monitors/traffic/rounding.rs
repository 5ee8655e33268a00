//! T20: what has any weight is asked to have a pod.

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Rounding;

impl OfRelease for Rounding {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted || after.router() == Router::Pods {
            return;
        }
        for (hash, weight) in after.weights() {
            let changed = weight > before.weight(hash) || after.size(hash) < before.size(hash);
            if weight == 0 || !changed || after.replicas() == 0 {
                continue;
            }
            told.check(
                "T20",
                after.size(hash) > 0 || before.size(hash) == 0 && weight <= before.weight(hash),
                || format!("{hash} has a weight of {weight} and no pods at all"),
            );
        }
    }
}
