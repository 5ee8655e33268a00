//! C13: Healthy is what is: all traffic and enough pods on the stable version, which is the declared one.

use tidegate::api::rollout_status::Phase;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Truthful;

fn all_traffic(release: &Release) -> bool {
    match release.router() {
        Router::Pods => true,
        Router::Weights | Router::Switch => {
            release.replicas() == 0 || release.weight(release.stable()) == release.total()
        }
    }
}

impl OfRelease for Truthful {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let after = &touched.after;
        if !touched.itself
            || !touched.by_controller()
            || after.deleted
            || after.phase() != Some(Phase::Healthy)
        {
            return;
        }
        told.check("C13", after.mode() == Mode::Stable, || {
            format!(
                "Healthy, and {} is to replace {}",
                after.current(),
                after.stable()
            )
        });
        told.check(
            "C13",
            after.status.observed_generation == Some(after.generation),
            || {
                format!(
                    "Healthy at generation {:?} of {}",
                    after.status.observed_generation, after.generation
                )
            },
        );
        told.check("C13", touched.lately(all_traffic), || {
            format!("Healthy with a weight of {}", after.weight(after.stable()))
        });
        let stable = after.stable();
        let enough =
            touched.lately(|release| release.available(stable) >= release.enough_replicas());
        told.check("C13", enough, || {
            format!(
                "Healthy with {} of {} pods",
                after.available(stable),
                after.replicas()
            )
        });
    }
}
