//! What the `setCanaryScale` steps must fulfil, each by itself and together with the weights.
//!
//! Not here: what they do (`steps`, `scale`).

use super::Errors;
use crate::api::{
    canary::CanaryStrategy,
    steps::{CanaryScale, SetCanaryScale},
};

pub(super) fn check(canary: &CanaryStrategy, errors: &mut Errors) {
    for (index, step) in canary.steps.iter().enumerate() {
        if let Some(scale) = &step.set_canary_scale {
            let path = format!("spec.strategy.canary.steps[{index}].setCanaryScale");
            if canary.traffic_routing.is_none() {
                errors.add(
                    path.clone(),
                    "works only with trafficRouting: without a router the share of pods is the share of traffic; remove it or add a router",
                );
            }
            check_members(scale, &path, errors);
        }
    }
    check_weights(canary, errors);
}

fn check_members(scale: &SetCanaryScale, path: &str, errors: &mut Errors) {
    let SetCanaryScale {
        weight,
        replicas,
        match_traffic_weight,
    } = scale;
    let members: Vec<&str> = [
        ("weight", weight.is_some()),
        ("replicas", replicas.is_some()),
        ("matchTrafficWeight", match_traffic_weight.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect();
    match members[..] {
        [name] => {
            if let Some(number) = weight.or(*replicas)
                && number < 0
            {
                errors.add(format!("{path}.{name}"), "must not be negative");
            }
            if *match_traffic_weight == Some(false) {
                errors.add(
                    format!("{path}.{name}"),
                    "must be true; to set another number of pods, set weight or replicas instead",
                );
            }
        }
        [] => errors.add(
            path,
            "set exactly one of weight, replicas and matchTrafficWeight; none is set",
        ),
        [..] => errors.add(
            path,
            format!(
                "set exactly one of weight, replicas and matchTrafficWeight; it has {}",
                members.join(", ")
            ),
        ),
    }
}

/// No step gives weight to a version that another step leaves without pods.
fn check_weights(canary: &CanaryStrategy, errors: &mut Errors) {
    let (mut weighted, mut emptied) = (None, None);
    for (index, step) in canary.steps.iter().enumerate() {
        if let Some(weight) = step.set_weight {
            weighted = (weight > 0).then_some(index);
        } else if let Some(scale) = step.set_canary_scale.as_ref() {
            emptied = match scale.scale() {
                Some(CanaryScale::Weight(0) | CanaryScale::Replicas(0)) => Some(index),
                Some(
                    CanaryScale::Weight(_)
                    | CanaryScale::Replicas(_)
                    | CanaryScale::MatchTrafficWeight,
                )
                | None => None,
            };
        } else {
            continue;
        }
        if let (Some(weighted), Some(emptied)) = (weighted, emptied) {
            errors.add(
                format!("spec.strategy.canary.steps[{emptied}].setCanaryScale"),
                format!(
                    "leaves the new version without pods while steps[{weighted}].setWeight gives it traffic; set the weight to 0 before, or scale up before the weight"
                ),
            );
        }
    }
}
