//! How long an update took. Field names are those of Argo Rollouts; ours come last.
//!
//! Not here: how it is computed (`rollout::decide::duration`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The update that is under way, or the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateDuration {
    /// When it began: with another pod template, or with a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub rollout_started_at: Option<Timestamp>,
    /// Since when it has been waiting for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub manual_pause_started_at: Option<Timestamp>,
    /// Seconds that it waited for a person before that: in `spec.paused`, in a pause without an end, or with a question.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub total_manual_pause_duration_seconds: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_status: Option<CompletionStatus>,
    /// The update before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<EndedUpdate>,
}

/// An update that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndedUpdate {
    /// When it began.
    #[schemars(with = "Time")]
    pub rollout_started_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Time")]
    pub finished_at: Timestamp,
    /// How it ended.
    pub completion_status: CompletionStatus,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompletionStatus {
    /// All steps or gates were passed.
    Promoted,
    /// A person skipped what was left.
    FastPromoted,
    /// It was given up.
    Aborted,
    /// Another version was declared before it ended.
    Superseded,
    /// It went back to an earlier stable version, with all steps.
    RolledBack,
    /// It went back to an earlier stable version at once.
    FastRolledBack,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}
