//! What the fields about the numbers of pods must fulfil: `dynamicStableScale`, `minPodsPerReplicaSet`,
//! `replicaProgressThreshold` and `maxPendingPods`.
//!
//! Not here: `setCanaryScale` (`canary_scale`), `maxSurge` and `maxUnavailable`.

use super::Errors;
use crate::api::{
    canary::{CanaryStrategy, ThresholdType},
    rollout::Amount,
};

fn at(field: &str) -> String {
    format!("spec.strategy.canary.{field}")
}

pub(super) fn check(canary: &CanaryStrategy, errors: &mut Errors) {
    if canary.traffic_routing.is_none() {
        for (field, set) in [
            ("dynamicStableScale", canary.dynamic_stable_scale),
            (
                "minPodsPerReplicaSet",
                canary.min_pods_per_replica_set.is_some(),
            ),
            ("maxPendingPods", canary.max_pending_pods.is_some()),
        ] {
            if set {
                errors.add(
                    at(field),
                    "works only with trafficRouting; remove it or add a router",
                );
            }
        }
    }
    if canary.dynamic_stable_scale && canary.scale_down_delay_seconds.is_some() {
        errors.add(
            at("scaleDownDelaySeconds"),
            "cannot be set with dynamicStableScale, which takes the old pods away as traffic leaves them; remove one of them",
        );
    }
    if canary.min_pods_per_replica_set.is_some_and(|pods| pods < 1) {
        errors.add(at("minPodsPerReplicaSet"), "must be at least 1");
    }
    check_threshold(canary, errors);
    check_pending(canary, errors);
}

fn check_threshold(canary: &CanaryStrategy, errors: &mut Errors) {
    let Some(threshold) = &canary.replica_progress_threshold else {
        return;
    };
    let most = match ThresholdType::named(&threshold.type_) {
        Some(ThresholdType::Percent) => 100,
        Some(ThresholdType::Pods) => i32::MAX,
        None => {
            return errors.add(
                at("replicaProgressThreshold.type"),
                format!("must be Percent or Pods; it is {:?}", threshold.type_),
            );
        }
    };
    if !(1..=most).contains(&threshold.value) {
        let what = if most == 100 {
            "must be a percentage from 1 to 100"
        } else {
            "must be at least 1"
        };
        errors.add(at("replicaProgressThreshold.value"), what);
    }
}

fn check_pending(canary: &CanaryStrategy, errors: &mut Errors) {
    let good = match &canary.max_pending_pods {
        None => true,
        Some(Amount::Int(pods)) => *pods >= 1,
        Some(Amount::String(text)) => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<i32>().ok())
            .is_some_and(|percent| (1..=100).contains(&percent)),
    };
    if !good {
        errors.add(
            at("maxPendingPods"),
            "must be a number of pods from 1, or a percentage from 1% to 100%",
        );
    }
}
