//! L10: whoever scales a Rollout at rest is shown pods that serve, and as many as there are.

use tidegate::api::rollout_status::Phase;

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Autoscaled;

impl OfRelease for Autoscaled {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let after = &touched.after;
        let status = &after.status;
        if !touched.itself || !touched.by_controller() || after.deleted {
            return;
        }
        let ended = match status.phase {
            Some(Phase::Healthy) => true,
            Some(Phase::Degraded) => status.abort,
            Some(Phase::Progressing | Phase::Paused) | None => false,
        };
        if !ended || after.replicas() == 0 {
            return;
        }
        let most = touched.lately(|release| i64::from(status.hpa_replicas) <= release.replicas());
        told.check(
            "L10",
            status.hpa_replicas > 0 && (most || after.router() == Router::Switch),
            || {
                format!(
                    "an autoscaler is shown {} of {} pods",
                    status.hpa_replicas,
                    after.replicas()
                )
            },
        );
        let key = &after.keys.pod_template_hash;
        let one = status
            .selector
            .split(',')
            .find_map(|part| part.strip_prefix(key.as_str())?.strip_prefix('='));
        let lives = one.is_none_or(|hash| touched.lately(|release| release.size(hash) > 0));
        told.check("L10", !status.selector.is_empty() && lives, || {
            format!("an autoscaler is shown pods with {:?}", status.selector)
        });
    }
}
