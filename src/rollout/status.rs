//! When a status is written: at once, or together with what the next look adds to it.
//!
//! Not here: what stands in it (`decide`), and how it is sent (`act`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::api::{
    merge_patch,
    names::{ApiNames, Conventions, Kind},
    rollout_status::{RolloutStatus, TrafficWeights},
};

/// How long a change of mere counts may wait for company.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// How long news may wait for company, and a split of traffic for the look that follows from what was just written.
pub(super) const FOLLOW: Duration = Duration::from_millis(500);

/// How much may happen before a change of the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A clock that stands still: nobody would miss it.
    Idle,
    /// Counts, which change with every pod: they wait for company.
    Counts,
    /// What people are told: it waits for company, but not for long.
    Told,
    /// Where traffic may go: it may wait for the next look, but is written before anything further is done.
    Traffic,
    /// Everything else: it is written at once.
    Decided,
}

/// A status that was decided and is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The Rollout it was decided on.
    pub(super) resource_version: String,
    pub(super) status: RolloutStatus,
}

/// The merge patch from the stored status to the new one.
pub(crate) fn difference(stored: &RolloutStatus, new: &RolloutStatus) -> Option<Value> {
    if stored == new {
        return None;
    }
    let json = |status| serde_json::to_value(status).unwrap_or(Value::Null);
    merge_patch::difference(&json(stored), &json(new))
}

/// Whether the writes of a look were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// There were none, or they were refused.
    No,
    /// Nobody knows: there was no answer.
    Perhaps,
    /// At least one.
    Yes,
}

/// Sets when the weight that was decided on at `decided_at` has changed: at the end of the writes, from which proxies get
/// their time. Nothing has changed where nothing was written, as when the cache does not show yet what was written before;
/// and while there is no answer again and again, that is not worth a write of the status each time.
pub(super) fn settle_change_of_weight(
    status: &mut RolloutStatus,
    stored: &RolloutStatus,
    decided_at: Timestamp,
    (written, ended_at): (Written, Timestamp),
) {
    let Some(weights) = &mut status.canary.weights else {
        return;
    };
    if weights.changed_at != Some(decided_at) {
        return;
    }
    let before = stored.canary.weights.as_ref().and_then(|before| {
        let unchanged = TrafficWeights {
            changed_at: before.changed_at,
            ..weights.clone()
        };
        (unchanged == *before).then_some(before.changed_at?)
    });
    let lately = |at: Timestamp| ended_at.duration_since(at) < SignedDuration::from_secs(1);
    weights.changed_at = Some(match (written, before) {
        (Written::No, Some(before)) => before,
        (Written::Perhaps, Some(before)) if lately(before) => before,
        (Written::No, None) => decided_at,
        (Written::Perhaps | Written::Yes, _) => ended_at.max(decided_at),
    });
}

/// Gives a difference the shape in which clients of the group expect a status.
pub(super) fn in_the_shape_of(names: &ApiNames, kind: Kind, difference: &mut Value) {
    // Of their kinds only Rollouts have it; what we add to others is ours.
    let as_text = names.conventions == Conventions::ArgoRollouts && kind == Kind::Rollout;
    if as_text
        && let Some(generation) = difference.get("observedGeneration").and_then(Value::as_i64)
    {
        difference["observedGeneration"] = generation.to_string().into();
    }
}

/// How heavy a difference is: as its heaviest field.
pub(crate) fn weight(difference: &Value, new: &RolloutStatus) -> Weight {
    let Some(fields) = difference.as_object() else {
        return Weight::Decided;
    };
    let of = |(field, change): (&String, &Value)| match field.as_str() {
        // Without a wait the deadline's clock stands: the next wait begins it anew from any value.
        "progress"
            if new
                .progress
                .as_ref()
                .is_some_and(|progress| !progress.waiting) =>
        {
            Weight::Idle
        }
        "replicas" | "updatedReplicas" | "readyReplicas" | "availableReplicas" | "HPAReplicas"
        | "selector" | "progress" | "waitingFor" => Weight::Counts,
        "conditions" | "phase" | "message" | "next" | "duration" => Weight::Told,
        "ledger" => Weight::Traffic,
        "canary" => {
            let only_weights = change
                .as_object()
                .is_some_and(|canary| canary.keys().all(|field| field == "weights"));
            if only_weights {
                Weight::Traffic
            } else {
                Weight::Decided
            }
        }
        _ => Weight::Decided,
    };
    fields.iter().map(of).max().unwrap_or(Weight::Idle)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::rollout_status::{Progress, WeightDestination};

    fn waiting(waiting: bool) -> RolloutStatus {
        RolloutStatus {
            progress: Some(Progress {
                of: "abc/1/5/0".to_owned(),
                available: 1,
                waiting,
                since: "2026-01-01T00:00:00Z".parse().unwrap(),
                waited_seconds: 0,
            }),
            ..RolloutStatus::default()
        }
    }

    #[test]
    fn a_difference_is_as_heavy_as_its_heaviest_field() {
        for (difference, expected) in [
            (json!({"progress": {"since": "now"}}), Weight::Idle),
            (json!({"progress": {}, "readyReplicas": 2}), Weight::Counts),
            (json!({"readyReplicas": 2, "next": null}), Weight::Told),
            (json!({"conditions": [], "ledger": []}), Weight::Traffic),
            (json!({"canary": {"weights": {}}}), Weight::Traffic),
            (
                json!({"canary": {"weights": {}, "currentStepAnalysisRunStatus": {}}}),
                Weight::Decided,
            ),
            (
                json!({"ledger": [], "currentStepIndex": 3}),
                Weight::Decided,
            ),
            (json!({"blueGreen": {}}), Weight::Decided),
        ] {
            let found = weight(&difference, &waiting(false));
            assert_eq!(found, expected, "{difference}");
        }
    }

    #[test]
    fn a_clock_that_runs_is_kept() {
        let difference = json!({"progress": {"since": "now"}});
        assert_eq!(weight(&difference, &waiting(true)), Weight::Counts);
    }

    #[test]
    fn clients_of_argo_rollouts_read_the_generation_as_text() {
        let (own, argo) = (ApiNames::default(), ApiNames::argo_rollouts());
        for (names, kind, expected) in [
            (&own, Kind::Rollout, json!(7)),
            (&argo, Kind::Rollout, json!("7")),
            (&argo, Kind::Experiment, json!(7)),
        ] {
            let mut difference = json!({"observedGeneration": 7, "replicas": 2});
            in_the_shape_of(names, kind, &mut difference);
            let expected = json!({"observedGeneration": expected, "replicas": 2});
            assert_eq!(difference, expected, "{kind:?}");
        }
    }

    fn weights(canary: i32, changed_at: &str) -> RolloutStatus {
        let mut status = RolloutStatus::default();
        status.canary.weights = Some(TrafficWeights {
            canary: WeightDestination {
                weight: canary,
                ..WeightDestination::default()
            },
            changed_at: Some(changed_at.parse().unwrap()),
            ..TrafficWeights::default()
        });
        status
    }

    #[test]
    fn a_weight_has_changed_when_it_was_written_and_not_when_nothing_was() {
        const BEFORE: &str = "2026-01-01T00:00:00Z";
        const DECIDED: &str = "2026-01-01T00:01:00Z";
        const WRITTEN: &str = "2026-01-01T00:01:02Z";
        let settled = |stored: &RolloutStatus, mut status: RolloutStatus, written: Written| {
            let [decided_at, ended_at] = [DECIDED, WRITTEN].map(|at| at.parse().unwrap());
            settle_change_of_weight(&mut status, stored, decided_at, (written, ended_at));
            let weights = status.canary.weights.unwrap();
            weights.changed_at.unwrap().to_string()
        };
        let before = weights(20, BEFORE);
        for (written, expected) in [
            (Written::Yes, WRITTEN),
            (Written::Perhaps, WRITTEN),
            (Written::No, BEFORE),
        ] {
            let found = settled(&before, weights(20, DECIDED), written);
            assert_eq!(found, expected, "{written:?}");
        }
        // What has changed without a write of ours is as it was decided.
        assert_eq!(settled(&before, weights(40, DECIDED), Written::No), DECIDED);
        let new = RolloutStatus::default();
        assert_eq!(settled(&new, weights(20, DECIDED), Written::No), DECIDED);
        // Not of this look.
        assert_eq!(settled(&before, weights(20, BEFORE), Written::Yes), BEFORE);
        // Asked again and again.
        let just_now = weights(20, "2026-01-01T00:01:01.5Z");
        let found = settled(&just_now, weights(20, DECIDED), Written::Perhaps);
        assert_eq!(found, "2026-01-01T00:01:01.5Z");
    }

    #[test]
    fn equal_statuses_have_no_difference() {
        assert_eq!(difference(&waiting(true), &waiting(true)), None);
        let found = difference(&waiting(true), &waiting(false));
        assert_eq!(found, Some(json!({"progress": {"waiting": false}})));
    }
}
