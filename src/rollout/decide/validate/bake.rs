//! What a bake must fulfil.
//!
//! Not here: its analysis (`validate::check_analysis`).

use super::Errors;
use crate::api::{duration, strategy::Declared};

pub(super) fn check(strategy: Declared<'_>, errors: &mut Errors) {
    let Some(bake) = strategy.bake() else { return };
    let path = format!("spec.strategy.{}.bake", strategy.name());
    match bake.duration.as_ref().map(duration::seconds_or_duration) {
        None => errors.add(
            format!("{path}.duration"),
            "is required: how long the old version stays whole",
        ),
        Some(Err(error)) => errors.add(format!("{path}.duration"), error.to_string()),
        Some(Ok(_)) => {}
    }
    let Some(canary) = strategy.canary() else {
        return;
    };
    if canary.traffic_routing.is_none() {
        errors.add(
            path.clone(),
            "works only with trafficRouting: without a router the old version has no pods left when the new one has all traffic; remove it or add a router",
        );
    }
    if canary.dynamic_stable_scale {
        errors.add(
            path,
            "keeps the old version whole and dynamicStableScale takes its pods away; remove one of them",
        );
    }
}
