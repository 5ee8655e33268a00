//! What an AnalysisTemplate or ClusterAnalysisTemplate declares.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::provider::MetricProvider;
use super::rollout::AnalysisTemplateRef;

/// What to measure about a version, and when a measurement is good enough.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisTemplateSpec {
    /// The metrics to measure. All are measured side by side; the worst decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub metrics: Vec<Metric>,
    /// Arguments that metrics refer to as `{{args.<name>}}`. One without a value must be given by whoever uses the template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub args: Vec<Argument>,
    /// Metrics that are measured and reported but decide nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept per metric, where 10 is not right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Other templates whose metrics and arguments are added to this one's: each once, at most 8 levels deep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub templates: Vec<AnalysisTemplateRef>,
}

/// One metric: where it comes from, how often it is measured, and what its values mean.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// The name of the metric, unique in its run.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Time between two measurements, such as `30s` or `5m`. Without it the metric is measured once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub interval: Option<String>,
    /// Time to wait before the first measurement, such as `1m`. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub initial_delay: Option<String>,
    /// How many measurements to take. Defaults to 1 without an interval, and to no limit with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrString>,
    /// Expression over `result` that is true when the measurement is good, such as `result[0] >= 0.95`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub success_condition: Option<String>,
    /// Expression over `result` that is true when the measurement is bad. It wins over successCondition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub failure_condition: Option<String>,
    /// The metric fails when more measurements than this failed. Defaults to 0; -1 turns the limit off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrString>,
    /// The metric is inconclusive when more measurements than this were. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrString>,
    /// The metric ends in error when more measurements in a row than this could not be taken. Defaults to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// The metric succeeds as soon as this many measurements in a row were good. Defaults to 0, which turns it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrString>,
    /// What happens when the query answers but there is nothing to judge: no series, or not a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// Where the metric comes from. Exactly one provider is set.
    pub provider: MetricProvider,
}

/// What happens when there is no data to judge. No data is never a success.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoData {
    /// `inconclusive` (default): the metric ends Inconclusive beyond the limit. `hold`: wait for data as long as it takes.
    /// `fail`: the metric fails beyond the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<NoDataPolicy>,
    /// How many measurements in a row without data are only waited out. Defaults to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub limit: Option<i32>,
}

/// What measurements without data lead to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NoDataPolicy {
    /// Beyond the limit the metric ends Inconclusive.
    #[default]
    Inconclusive,
    /// The metric waits for data as long as it takes.
    Hold,
    /// Beyond the limit the metric fails.
    Fail,
}

/// An argument of a template.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// The name metrics use: `{{args.<name>}}`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The value, or the default where a Rollout may give another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where the value is read from, instead of `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where an argument's value is read from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a Secret in the run's namespace. It is read again for each measurement and never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A field of the Rollout that uses the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A field of an object.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// The path of the field, such as `metadata.labels['env']` or `spec.strategy.canary.steps[0].setWeight`.
    #[schemars(length(min = 1, max = 1024))]
    pub field_path: String,
}

/// Names metrics that are measured but decide nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// A regular expression; it applies to each metric with a name in which it is found.
    #[schemars(length(min = 1, max = 253))]
    pub metric_name: String,
}

/// How many measurements are kept of some metrics.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementRetention {
    /// A regular expression; it applies to each metric with a name in which it is found.
    #[schemars(length(min = 1, max = 253))]
    pub metric_name: String,
    /// The number of measurements kept in status.
    #[schemars(range(min = 1, max = 100))]
    pub limit: i32,
}
