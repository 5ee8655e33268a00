//! T3: what has traffic is asked to have the pods for it; stable keeps all of its pods until another version is, unless it
//! shrinks with its traffic by declaration.

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

#[derive(Clone, Default)]
pub(super) struct StableFloor;

impl OfRelease for StableFloor {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted || after.router() == Router::Pods {
            return;
        }
        for (hash, weight) in after.weights() {
            if weight == 0 || !after.sets.contains_key(hash) {
                continue;
            }
            let is_worse = after.size(hash) < before.size(hash) || weight > before.weight(hash);
            if !is_worse {
                continue;
            }
            let asked = touched.lately(|release| after.size(hash) >= release.need(hash, weight));
            let back = hash == after.stable() && after.size(hash) >= before.size(hash);
            told.check("T3", asked || back, || {
                format!(
                    "{hash} has a weight of {weight} and {} pods",
                    after.size(hash)
                )
            });
        }
        let stable = after.stable();
        let (was, is) = (before.size(stable), after.size(stable));
        if is < was && !after.dynamic() && before.stable() == stable && after.replicas() > 0 {
            // A size declared together with a version is followed when that version has taken over.
            let whole = touched.lately(|release| is >= release.replicas());
            let surge = before.status.restart_surge.is_some();
            told.check("T3", whole || surge, || {
                format!(
                    "stable {stable} goes from {was} to {is} of {} pods",
                    after.replicas()
                )
            });
        }
    }
}
