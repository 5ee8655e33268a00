//! T4: pods go only when the weight that they carry is gone.

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Order;

impl OfRelease for Order {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted || after.router() == Router::Pods {
            return;
        }
        for (hash, set) in after.sets.iter() {
            let was = before.size(hash);
            if set.replicas >= was {
                continue;
            }
            let weight = after.weight(hash);
            let routed = after.is_routed(hash);
            let enough =
                |need: i64| set.replicas >= need.max(i64::from(routed && after.replicas() > 0));
            let need = after.need(hash, weight);
            let holds =
                enough(need) || touched.lately(|release| enough(release.need(hash, weight)));
            told.check("T4", holds, || {
                format!(
                    "{hash} goes from {was} to {} pods, and its weight of {weight} takes {need}",
                    set.replicas
                )
            });
        }
    }
}
