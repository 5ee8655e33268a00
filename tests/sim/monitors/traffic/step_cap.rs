//! T10: the canary never gets more than its step says.

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Release, Router},
    steps,
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct StepCap;

impl OfRelease for StepCap {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.router() != Router::Weights {
            return;
        }
        let (was, is) = (before.canary_weight(), after.canary_weight());
        // While the canary Service leads to stable, its weight is no canary's.
        let harmless = after.routes.canary_pin.as_deref() == Some(after.stable());
        if is <= was || harmless || after.stable() == after.current() {
            return;
        }
        let allowed = |release: &Release| is <= steps::most(release, view.latest());
        let cap = steps::most(before, view.latest());
        told.check("T10", touched.held(allowed), || {
            format!(
                "the canary gets {is}, and step {} allows {cap}",
                before.step()
            )
        });
    }
}
