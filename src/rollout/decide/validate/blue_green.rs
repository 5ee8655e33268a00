//! What a blue-green strategy must fulfil.
//!
//! Not here: the Services themselves (`validate::check`).

use super::{Errors, check_analysis};
use crate::api::{blue_green::BlueGreenStrategy, rollout::RolloutSpec, strategy::Declared};

pub(super) fn check(blue_green: &BlueGreenStrategy, spec: &RolloutSpec, errors: &mut Errors) {
    let at = |field: &str| format!("spec.strategy.blueGreen.{field}");
    if blue_green.active_service.is_empty() {
        errors.add(at("activeService"), "is required");
    }
    if blue_green.preview_service.as_ref() == Some(&blue_green.active_service) {
        errors.add(
            at("previewService"),
            "must be another Service than activeService: each selects one version",
        );
    }
    for (field, number) in [
        ("previewReplicaCount", blue_green.preview_replica_count),
        ("autoPromotionSeconds", blue_green.auto_promotion_seconds),
        ("scaleDownDelaySeconds", blue_green.scale_down_delay_seconds),
        (
            "scaleDownDelayRevisionLimit",
            blue_green.scale_down_delay_revision_limit,
        ),
        (
            "abortScaleDownDelaySeconds",
            blue_green.abort_scale_down_delay_seconds,
        ),
    ] {
        if number.is_some_and(|number| number < 0) {
            errors.add(at(field), "must not be negative");
        }
    }
    let history = spec.revision_history_limit();
    if blue_green
        .scale_down_delay_revision_limit
        .is_some_and(|limit| limit > history)
    {
        errors.add(
            at("scaleDownDelayRevisionLimit"),
            format!("must not be more than spec.revisionHistoryLimit, which is {history}"),
        );
    }
    for (field, analysis) in Declared::BlueGreen(blue_green).analyses() {
        check_analysis(&analysis, &at(&field), errors);
    }
}
