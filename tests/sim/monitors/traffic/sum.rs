//! T6: weights are integers, none is below 0 or above the whole, and there is one.

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Sum;

impl OfRelease for Sum {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.router() != Router::Weights {
            return;
        }
        let same = std::sync::Arc::ptr_eq(&before.routes, &after.routes);
        if !same
            && (after.routes.canary_weight != before.routes.canary_weight
                || !after.routes.wrong.is_empty())
        {
            let inherited = before.routes.wrong == after.routes.wrong;
            told.check("T6", after.routes.wrong.is_empty() || inherited, || {
                after.routes.wrong.join(", ")
            });
        }
    }
}
