//! The `experiment` step of a canary: what its Experiment is made from.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExperimentService;
use crate::api::{
    analysis::{AnalysisRunArgument, AnalysisRunMetadata, DryRun},
    rollout::is_false,
};

/// Runs an Experiment and waits until it is successful.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStep {
    /// The versions to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub templates: Vec<ExperimentStepTemplate>,
    /// How long, counted from when all are available, e.g. `10m`. Absent: until the analyses that are required for
    /// completion have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Analyses beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub analyses: Vec<ExperimentStepAnalysis>,
    /// Metrics that are measured without deciding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub dry_run: Vec<DryRun>,
    /// Labels and annotations of the AnalysisRuns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<AnalysisRunMetadata>,
    /// Seconds that pods stay after the end. Defaults to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub scale_down_delay_seconds: Option<i32>,
}

/// A version of the Rollout in its Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStepTemplate {
    /// Its name, unique in the step.
    pub name: String,
    /// Whose pod template.
    pub spec_ref: SpecRef,
    /// Number of pods. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Labels and annotations of the pods, over those of the pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ExperimentPodMetadata>,
    /// Which pods belong to it. Defaults to the labels of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// A share of the live traffic. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// A Service to create for its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ExperimentService>,
}

/// A version of a Rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SpecRef {
    /// The one that serves.
    #[default]
    Stable,
    /// The one being rolled out.
    Canary,
}

/// Labels and annotations of an Experiment's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentPodMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An analysis of a step's Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStepAnalysis {
    /// Its name, unique in the step.
    pub name: String,
    /// Name of the AnalysisTemplate.
    pub template_name: String,
    /// Takes a ClusterAnalysisTemplate.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cluster_scope: bool,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub args: Vec<AnalysisRunArgument>,
    /// The Experiment ends only when this analysis has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required_for_completion: bool,
}
