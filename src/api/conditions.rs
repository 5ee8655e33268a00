//! Conditions of a Rollout: their types, reasons, and how one is set.
//!
//! Not here: which condition holds when (`rollout::decide::conditions`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known yet.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition, in the shape of `metav1.Condition`, with the time of the last update beside that of the last transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// A word for machines.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub last_transition_time: Option<Timestamp>,
    /// When `status`, `reason` or `message` last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub last_update_time: Option<Timestamp>,
    /// The generation this was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Types of conditions on a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// kstatus: the Rollout has reached what was declared.
    Ready,
    /// kstatus: working towards it; absent otherwise.
    Reconciling,
    /// kstatus: cannot get there by itself; absent otherwise.
    Stalled,
    /// The spec cannot be used; absent otherwise.
    InvalidSpec,
    /// Enough pods are available.
    Available,
    /// The update makes progress.
    Progressing,
    /// The API server refused pods or ReplicaSets; absent otherwise.
    ReplicaFailure,
    /// Waiting for a person or a timer; absent before the first pause.
    Paused,
    /// The last update reached its end.
    Completed,
    /// Completed and available.
    Healthy,
    /// A Service, Ingress, template or Secret is missing; absent otherwise.
    ReferenceMissing,
    /// Somebody else changed traffic fields that this Rollout manages; absent before it happened.
    TrafficOverwritten,
}

impl ConditionType {
    /// As written in `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::InvalidSpec => "InvalidSpec",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::ReplicaFailure => "ReplicaFailure",
            Self::Paused => "Paused",
            Self::Completed => "Completed",
            Self::Healthy => "Healthy",
            Self::ReferenceMissing => "ReferenceMissing",
            Self::TrafficOverwritten => "TrafficOverwritten",
        }
    }
}

/// The condition of that type, if present.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_.name())
}

/// Whether the condition is present and True.
pub fn holds(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// Sets a condition; times move only when something changed.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    match conditions
        .iter_mut()
        .find(|condition| condition.type_ == type_.name())
    {
        Some(condition) => {
            if condition.status != status {
                condition.last_transition_time = Some(now);
            }
            if condition.status != status
                || condition.reason != reason
                || condition.message != message
            {
                condition.last_update_time = Some(now);
            }
            condition.status = status;
            reason.clone_into(&mut condition.reason);
            message.clone_into(&mut condition.message);
            condition.observed_generation = generation;
        }
        None => conditions.push(Condition {
            type_: type_.name().to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: Some(now),
            last_update_time: Some(now),
            observed_generation: generation,
        }),
    }
}

/// Removes a condition whose absence is the normal state.
pub fn clear(conditions: &mut Vec<Condition>, type_: ConditionType) {
    conditions.retain(|condition| condition.type_ != type_.name());
}
