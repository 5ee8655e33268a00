//! `replicaProgressThreshold`: how many pods are enough for a step, and for the weight that it gives.
//!
//! Not here: how many there should be (`scale`).

use super::pass::Pass;
use crate::api::canary::{ReplicaProgressThreshold, ThresholdType};

/// Available pods that are enough where there should be `want`: all of them unless the spec says otherwise.
pub(super) fn enough(pass: &Pass<'_>, want: i32) -> i32 {
    let canary = pass.strategy.canary();
    canary
        .and_then(|canary| canary.replica_progress_threshold.as_ref())
        .map_or(want, |threshold| of(threshold, want))
}

fn of(threshold: &ReplicaProgressThreshold, want: i32) -> i32 {
    let value = i64::from(threshold.value.max(0));
    let pods = match ThresholdType::named(&threshold.type_) {
        // `validate` has refused it.
        None => return want,
        Some(ThresholdType::Pods) => value,
        Some(ThresholdType::Percent) => (i64::from(want) * value + 99) / 100,
    };
    // Nothing is never enough where there should be something.
    let least = i64::from(want.clamp(0, 1));
    i32::try_from(pods.max(least)).unwrap_or(i32::MAX).min(want)
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::api::canary::ReplicaProgressThreshold;

    #[test]
    fn some_are_enough_and_nothing_never_is() {
        for (type_, value, want, enough) in [
            ("Percent", 90, 10, 9),
            ("Percent", 90, 5, 5),
            ("Percent", 50, 3, 2),
            ("Percent", 1, 1, 1),
            ("Percent", 100, 7, 7),
            ("Pods", 3, 10, 3),
            ("Pods", 3, 2, 2),
            ("Pods", 1, 0, 0),
        ] {
            let threshold = ReplicaProgressThreshold {
                type_: type_.to_owned(),
                value,
            };
            assert_eq!(of(&threshold, want), enough, "{type_} {value} of {want}");
        }
    }
}
