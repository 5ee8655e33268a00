//! What an AnalysisRun is told and what it answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::template::{Argument, DryRun, MeasurementRetention, Metric};

/// What to measure. A snapshot: later changes of the template do not reach a run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunSpec {
    /// The metrics to measure. All are measured side by side; the worst decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub metrics: Vec<Metric>,
    /// The arguments of the metrics, with their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub args: Vec<Argument>,
    /// Stop measuring and conclude from what was measured so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminate: Option<bool>,
    /// Metrics that are measured and reported but decide nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept per metric, where 10 is not right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// When the run is deleted after it ended. Without it, whoever made the run deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_strategy: Option<TtlStrategy>,
}

/// When a run is deleted after it ended.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TtlStrategy {
    /// Seconds after it ended, where nothing is said about its outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds_after_completion: Option<i32>,
    /// Seconds after it ended without success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds_after_failure: Option<i32>,
    /// Seconds after it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds_after_success: Option<i32>,
}

/// What a run found so far.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunStatus {
    /// The worst phase of the metrics that decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why the run has its phase: the metric, the value, the condition and the counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the controller first looked at the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub started_at: Option<Timestamp>,
    /// When the run ended. From then on nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub completed_at: Option<Timestamp>,
    /// How many metrics there are in each phase, without those in dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_summary: Option<RunSummary>,
    /// How many metrics in dry run there are in each phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
    /// What was found for each metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub metric_results: Vec<MetricResult>,
}

/// Metrics counted by phase.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// All metrics.
    #[serde(default)]
    pub count: i32,
    /// Metrics that succeeded.
    #[serde(default)]
    pub successful: i32,
    /// Metrics that failed.
    #[serde(default)]
    pub failed: i32,
    /// Metrics that allow no conclusion.
    #[serde(default)]
    pub inconclusive: i32,
    /// Metrics that could not be measured.
    #[serde(default)]
    pub error: i32,
}

/// What was found for one metric.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricResult {
    /// The name of the metric.
    pub name: String,
    /// The verdict so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why the metric has its phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Measurements that count towards the metric's `count`: good, bad and inconclusive ones.
    #[serde(default)]
    pub count: i32,
    /// Good measurements.
    #[serde(default)]
    pub successful: i32,
    /// Bad measurements.
    #[serde(default)]
    pub failed: i32,
    /// Measurements for which neither condition was true.
    #[serde(default)]
    pub inconclusive: i32,
    /// Measurements that could not be taken.
    #[serde(default)]
    pub error: i32,
    /// Measurements that found no data.
    #[serde(default)]
    pub no_data: i32,
    /// Measurements in a row, up to now, that could not be taken.
    #[serde(default)]
    pub consecutive_error: i32,
    /// Good measurements in a row, up to now.
    #[serde(default)]
    pub consecutive_success: i32,
    /// Measurements in a row, up to now, that found no data.
    #[serde(default)]
    pub consecutive_no_data: i32,
    /// Whether the metric is measured without deciding anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// What else is known about the metric, such as `ResolvedPrometheusQuery`, with secrets left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The newest measurements, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub measurements: Vec<Measurement>,
}

/// One measurement: the evidence of a verdict.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// What the conditions say about the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<MeasurementPhase>,
    /// Why there is no verdict, or what was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the measurement was due and taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub started_at: Option<Timestamp>,
    /// When its answer was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub finished_at: Option<Timestamp>,
    /// When a measurement that takes longer is looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub resume_at: Option<Timestamp>,
    /// The measured value, shortened where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The query as it was sent, with secrets left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What else the provider said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The verdict of a metric or of a run, so far.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum AnalysisPhase {
    /// Nothing was measured yet.
    Pending,
    /// Measurements go on.
    Running,
    /// It ended well.
    Successful,
    /// It ended badly.
    Failed,
    /// It could not be measured.
    Error,
    /// It ended, and allows no conclusion.
    Inconclusive,
}

impl AnalysisPhase {
    /// Whether nothing can change any more.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Successful | Self::Failed | Self::Error | Self::Inconclusive => true,
        }
    }
}

/// What one measurement says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum MeasurementPhase {
    /// The value is good.
    Successful,
    /// The value is bad.
    Failed,
    /// The value could not be measured or judged.
    Error,
    /// Neither condition was true.
    Inconclusive,
    /// There was no value: no series, or not a number.
    NoData,
    /// It has begun and has no result yet.
    Running,
}
