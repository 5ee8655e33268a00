//! `Experiment`: short-lived versions side by side, and the step of a Rollout that makes one (`step`).
//!
//! Not here: any behaviour (`experiment::decide`, `rollout::decide`).

pub mod step;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    analysis::{AnalysisPhase, AnalysisRunMetadata, Argument, DryRun, MeasurementRetention},
    conditions::Condition,
    pod_template::PodTemplate,
    rollout::is_false,
    rollout_status::NextAction,
};

/// Desired state of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentSpec {
    /// The versions to run.
    #[schemars(length(max = 20))]
    pub templates: Vec<ExperimentTemplate>,
    /// How long, counted from when all are available, e.g. `10m`. Absent: until the analyses that are required for
    /// completion have ended, or until `terminate` where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Seconds for the versions to become available. Defaults to 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub progress_deadline_seconds: Option<i32>,
    /// Ends the Experiment: successfully only if it waits for nothing else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub terminate: bool,
    /// Analyses beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub analyses: Vec<ExperimentAnalysis>,
    /// Seconds that pods stay after the end. Defaults to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub scale_down_delay_seconds: Option<i32>,
    /// Metrics that are measured without deciding. Each rule must fit a metric of some analysis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Labels and annotations of the AnalysisRuns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<AnalysisRunMetadata>,
}

impl ExperimentSpec {
    /// Seconds for the versions to become available.
    pub fn progress_deadline_seconds(&self) -> i32 {
        self.progress_deadline_seconds.unwrap_or(600)
    }

    /// Seconds that pods stay after the end.
    pub fn scale_down_delay_seconds(&self) -> i32 {
        self.scale_down_delay_seconds.unwrap_or(30)
    }

    /// The analyses that have to end before the Experiment does.
    pub fn required(&self) -> impl Iterator<Item = &ExperimentAnalysis> {
        self.analyses
            .iter()
            .filter(|analysis| analysis.required_for_completion)
    }
}

/// One version of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentTemplate {
    /// Its name, unique in the Experiment.
    pub name: String,
    /// Number of pods. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Seconds a pod must have been ready to count as available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_ready_seconds: Option<i32>,
    /// Which pods belong to it.
    pub selector: LabelSelector,
    /// The pods to run.
    pub template: PodTemplate,
    /// A Service to create for its pods, with the ports that its containers declare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ExperimentService>,
}

impl ExperimentTemplate {
    /// Number of pods.
    pub fn desired_replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }
}

/// A Service of an Experiment's version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentService {
    /// Its name. Defaults to that of the ReplicaSet: `<experiment>-<template>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
}

/// An analysis of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysis {
    /// Its name, unique in the Experiment.
    pub name: String,
    /// Name of the AnalysisTemplate.
    pub template_name: String,
    /// Takes a ClusterAnalysisTemplate.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cluster_scope: bool,
    /// Arguments. In a value, `{{templates.<name>.podTemplateHash}}`, `{{templates.<name>.replicaset.name}}`,
    /// `{{experiment.availableAt}}` and `{{experiment.finishedAt}}` stand for what the Experiment has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub args: Vec<Argument>,
    /// The Experiment ends only when this analysis has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required_for_completion: bool,
}

/// Observed state of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStatus {
    /// The verdict so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When its first pods were asked for: since then the progress deadline runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub started_at: Option<Timestamp>,
    /// When all versions were available for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub available_at: Option<Timestamp>,
    /// When the Experiment ended. From then on the verdict stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub completed_at: Option<Timestamp>,
    /// The generation of the spec that this status was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the Experiment waits for, in a sentence. Absent when it waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What comes next, and when if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextAction>,
    /// The versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub template_statuses: Vec<ExperimentTemplateStatus>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The AnalysisRuns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analysis_runs: Vec<ExperimentAnalysisRunStatus>,
}

/// How one version of an Experiment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TemplatePhase {
    /// Its pods are not asked for yet.
    #[default]
    Pending,
    /// Its pods are not all available.
    Progressing,
    /// Its pods are available, and its Service leads to them.
    Running,
    /// The Experiment ended, and this version was not the reason.
    Successful,
    /// Its pods did not become available in time.
    Failed,
}

impl TemplatePhase {
    /// As written in `status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Progressing => "Progressing",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
        }
    }
}

/// One version of an Experiment as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentTemplateStatus {
    /// Its name.
    pub name: String,
    /// Pods.
    #[serde(default)]
    pub replicas: i32,
    /// Pods of the current template.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Ready pods.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Available pods.
    #[serde(default)]
    pub available_replicas: i32,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TemplatePhase>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When `status` last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub last_transition_time: Option<Timestamp>,
    /// Its Service, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Hash of its pods, in their label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template_hash: Option<String>,
    /// Hash collisions. Not written: the hash has the Experiment and the template in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
}

/// An AnalysisRun of an Experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysisRunStatus {
    /// The analysis.
    pub name: String,
    /// The AnalysisRun.
    pub analysis_run: String,
    /// Its phase.
    pub phase: AnalysisPhase,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
