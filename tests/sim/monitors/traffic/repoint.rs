//! T8: the canary Service is led to another version only without weight.

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Repoint;

impl OfRelease for Repoint {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let (was, is) = (&before.routes.canary_pin, &after.routes.canary_pin);
        if !touched.by_controller() || after.deleted || after.router() != Router::Weights {
            return;
        }
        let (Some(was), Some(is)) = (was, is) else {
            return;
        };
        if was == is {
            return;
        }
        // At rest both Services lead to stable, and the user's own weights are harmless.
        let at_rest = is == after.stable() && after.routes.stable_pin.as_ref() == Some(is);
        let empty = touched.lately(|release| release.available(was) == 0);
        let quiet = before.canary_weight() == 0 && !before.routes.by_header;
        told.check("T8", quiet || (at_rest && empty), || {
            format!(
                "the canary Service is led from {was} to {is} with a weight of {}",
                before.canary_weight()
            )
        });
    }
}
