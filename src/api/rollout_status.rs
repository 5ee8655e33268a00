//! `RolloutStatus`: what the controller knows and tells. Field names are those of Argo Rollouts; ours come last.
//!
//! Not here: how any of it is computed (`rollout::decide`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    bake::BakeStatus,
    conditions::Condition,
    pod_template::FreeForm,
    request::Verb,
    rollout::{is_false, is_zero},
    update_duration::UpdateDuration,
};

/// Observed state of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The update was aborted: by a person, an analysis or the progress deadline.
    #[serde(default, skip_serializing_if = "is_false")]
    pub abort: bool,
    /// When it was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub aborted_at: Option<Timestamp>,
    /// Why the controller waits for a person or a timer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pause_conditions: Vec<PauseCondition>,
    /// The controller has paused the update. With no pause condition left, a person has promoted it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub controller_pause: bool,
    /// Hash of `spec.template`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub current_pod_hash: String,
    /// Hash of the steps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub current_step_hash: String,
    /// The step that is under way; the number of steps when all are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    /// Pods of all versions.
    #[serde(default)]
    pub replicas: i32,
    /// Pods of the new version.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Ready pods of all versions.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Available pods of all versions.
    #[serde(default)]
    pub available_replicas: i32,
    /// Pods that are meant to serve, for autoscalers: those that exist for an update only do not count.
    #[serde(default, rename = "HPAReplicas")]
    pub hpa_replicas: i32,
    /// Label selector of the pods that an autoscaler should measure: those of the version that has nearly all traffic, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// How often the hash of a pod template collided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// The generation of the spec that this status was computed from.
    #[serde(
        default,
        deserialize_with = "number_or_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Hash of the version that serves, or served before the update.
    #[serde(default, rename = "stableRS", skip_serializing_if = "String::is_empty")]
    pub stable_rs: String,
    /// All remaining steps, pauses and analyses are skipped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub promote_full: bool,
    /// Healthy, Progressing, Paused or Degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why it is in this phase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The canary's state.
    #[serde(default, skip_serializing_if = "CanaryStatus::is_empty")]
    pub canary: CanaryStatus,
    /// The blue-green state.
    #[serde(default, skip_serializing_if = "BlueGreenStatus::is_empty")]
    pub blue_green: BlueGreenStatus,
    /// State of the bake.
    #[serde(default, skip_serializing_if = "BakeStatus::is_empty")]
    pub bake: BakeStatus,
    /// The `spec.restartAt` up to which all pods have been restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub restarted_at: Option<Timestamp>,
    /// The version that has one pod more, so that its only one can be restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_surge: Option<String>,
    /// Generation of the workload of `spec.workloadRef` whose template is the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_observed_generation: Option<String>,
    /// Uid of that workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_uid: Option<String>,
    /// State of an AWS load balancer. Not written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alb: Option<FreeForm>,
    /// State of several AWS load balancers. Not written yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub albs: Vec<FreeForm>,
    /// How long the update took, and how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<UpdateDuration>,
    /// Why the update was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_cause: Option<String>,
    /// The revision number of the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// What the Rollout waits for, in a sentence. Absent when it waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What comes next, and when if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextAction>,
    /// The last request of a person and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<HandledRequest>,
    /// The inconclusive AnalysisRun that a person was last asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_about_analysis_run: Option<String>,
    /// How often the update to this revision was retried. Part of the names of its AnalysisRuns.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: i32,
    /// Progress that the deadline is measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Somebody else keeps changing traffic fields that this Rollout manages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwritten: Option<Overwritten>,
    /// For every version that has or had traffic: which routes may still send to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ledger: Vec<LedgerEntry>,
}

/// Argo Rollouts writes the generation as text; very old versions of it wrote a hash, which says nothing.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok())))
}

impl RolloutStatus {
    /// The AnalysisRuns that decide on the update now.
    pub const fn analysis_runs(&self) -> [Option<&AnalysisRunReference>; 5] {
        [
            self.canary.current_step_analysis_run_status.as_ref(),
            self.canary.current_background_analysis_run_status.as_ref(),
            self.blue_green.pre_promotion_analysis_run_status.as_ref(),
            self.blue_green.post_promotion_analysis_run_status.as_ref(),
            self.bake.analysis_run_status.as_ref(),
        ]
    }
}

/// The phase of a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// What was declared is what serves.
    Healthy,
    /// Under way.
    Progressing,
    /// Waits for a person or a timer.
    Paused,
    /// Cannot go on.
    Degraded,
}

impl Phase {
    /// As written in `phase`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Degraded => "Degraded",
        }
    }
}

/// A reason to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseCondition {
    /// What kind of pause.
    pub reason: PauseReason,
    /// Since when.
    #[schemars(with = "Time")]
    pub start_time: Timestamp,
}

/// Why the controller pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PauseReason {
    /// A pause step.
    CanaryPauseStep,
    /// The switch to the new version waits for a person or a timer.
    BlueGreenPause,
    /// An analysis could not tell.
    InconclusiveAnalysisRun,
    /// An Experiment could not tell.
    InconclusiveExperiment,
    /// Somebody keeps overwriting traffic fields.
    TrafficOverwritten,
}

impl PauseReason {
    /// Whether a person has to settle it: it ends by no timer, and is told before a pause that was declared.
    pub const fn asks_person(self) -> bool {
        match self {
            Self::CanaryPauseStep | Self::BlueGreenPause => false,
            Self::InconclusiveAnalysisRun
            | Self::InconclusiveExperiment
            | Self::TrafficOverwritten => true,
        }
    }

    /// As written in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CanaryPauseStep => "CanaryPauseStep",
            Self::BlueGreenPause => "BlueGreenPause",
            Self::InconclusiveAnalysisRun => "InconclusiveAnalysisRun",
            Self::InconclusiveExperiment => "InconclusiveExperiment",
            Self::TrafficOverwritten => "TrafficOverwritten",
        }
    }
}

/// State of a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The AnalysisRun of the current step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<AnalysisRunReference>,
    /// The AnalysisRun in the background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<AnalysisRunReference>,
    /// The Experiment of the current step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_experiment: Option<String>,
    /// Which of the two ping-pong Services is the stable one. Not written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_ping_pong: Option<String>,
    /// State of plugin steps. Not written yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub step_plugin_statuses: Vec<FreeForm>,
    /// The weights last written to the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<TrafficWeights>,
}

impl CanaryStatus {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// State of a blue-green release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenStatus {
    /// The version that the preview Service leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_selector: Option<String>,
    /// The version that the active Service leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_selector: Option<String>,
    /// Everything that is asked for before the switch is there: the new version comes to its whole size, and the switch follows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub scale_up_preview_check_point: bool,
    /// The AnalysisRun before the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<AnalysisRunReference>,
    /// The AnalysisRun after the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<AnalysisRunReference>,
    /// The size of the stable version when the update began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_size: Option<LiveSize>,
}

impl BlueGreenStatus {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a size that was declared together with a new version leaves as it was until the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveSize {
    /// Pods of the stable version.
    pub replicas: i32,
    /// `spec.replicas` as it was declared with the new version.
    pub declared: i32,
}

/// An AnalysisRun of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunReference {
    /// Its name.
    pub name: String,
    /// Its phase.
    #[serde(default)]
    pub status: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Weights of the versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficWeights {
    /// The new version.
    pub canary: WeightDestination,
    /// The stable version.
    pub stable: WeightDestination,
    /// Weights of other destinations, such as Experiments. Not written yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub additional: Vec<WeightDestination>,
    /// What was last written that sends requests to the new version by their headers: names of header routes, and
    /// `additionalIngressAnnotations` for rules that are declared there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 21))]
    pub header_routes: Vec<String>,
    /// Whether the router has confirmed the weights; absent where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// When the weights last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub changed_at: Option<Timestamp>,
}

/// The weight of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightDestination {
    /// 0 to `maxTrafficWeight`.
    pub weight: i32,
    /// The Service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    /// The version behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod_template_hash: String,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextAction {
    /// In a few words.
    pub action: String,
    /// When, if it waits for a time only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub at: Option<Timestamp>,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandledRequest {
    /// The request's id.
    pub id: String,
    /// What was asked.
    pub verb: Verb,
    /// Whether it was carried out.
    pub accepted: bool,
    /// What became of it.
    pub message: String,
    /// When.
    #[schemars(with = "Time")]
    pub at: Timestamp,
}

/// Progress that the deadline is measured on. Time spent waiting adds up over pods that come and go,
/// and starts anew with a better figure than ever before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Revision, step and size it belongs to; another one starts anew.
    pub of: String,
    /// Most available pods of the new version seen.
    pub available: i32,
    /// Whether pods are being waited for.
    #[serde(default)]
    pub waiting: bool,
    /// Since when that is so.
    #[schemars(with = "Time")]
    pub since: Timestamp,
    /// Seconds waited before that.
    #[serde(default, skip_serializing_if = "is_zero_seconds")]
    pub waited_seconds: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero_seconds(seconds: &i64) -> bool {
    *seconds == 0
}

/// Traffic fields that somebody else changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overwritten {
    /// Which, e.g. `the selector of Service demo`.
    pub what: String,
    /// The field manager that did it.
    pub by: String,
    /// How often in a row.
    pub rounds: i32,
    /// When last.
    #[schemars(with = "Time")]
    pub last: Timestamp,
}

/// One version in the traffic ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The version.
    pub pod_template_hash: String,
    /// What may still send to it, e.g. `service/demo-stable` or `ingress/demo-canary`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// It was the stable version once: going back to it while its pods are there needs no proof.
    #[serde(default, skip_serializing_if = "is_false")]
    pub was_stable: bool,
    /// Since when nothing is seen to send to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub unrouted_since: Option<Timestamp>,
    /// When its pods go, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub scale_down_at: Option<Timestamp>,
}
