//! A run's spec, checked whole and with its arguments in place: what [`super::decide`] works with.
//!
//! Whatever a spec may hold that this release does not do is refused here, by name.

mod credentials;
mod fields;
mod job;
mod limits;
mod prometheus;
mod provider;
mod range;
mod web;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use regex::Regex;

use super::args::Args;
use super::judge::Conditions;
use crate::api::analysis::{AnalysisRunSpec, Argument, Metric, NoDataPolicy};
use fields::Fields;

pub use credentials::Credentials;
pub use job::JobPlan;
pub use prometheus::{MAX_CA_CERT, PrometheusPlan};
pub use provider::Source;
pub use range::{MAX_POINTS, Range, TimeRange};
pub use web::{WebBody, WebPlan};

/// Measurements kept of a metric when nothing else is said.
const DEFAULT_RETENTION: usize = 10;
/// The most measurements that are kept in one run, so that its status stays small.
const MAX_RETAINED: usize = 1_000;
/// The most metrics of a run.
const MAX_METRICS: usize = 50;
/// The most arguments, and the most rules of a kind.
const MAX_ENTRIES: usize = 50;

/// A field that cannot be used, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    /// The path of the field, such as `spec.metrics[0].interval`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for FieldError {}

/// One metric, ready to be measured and judged.
#[derive(Clone, Debug)]
pub struct MetricPlan {
    /// The metric's name.
    pub name: String,
    /// Time between two measurements.
    pub interval: Option<Duration>,
    /// Time before the first measurement.
    pub initial_delay: Duration,
    /// Measurements to take. `None` means no limit.
    pub count: Option<i32>,
    /// Failures beyond which it fails. `None` means never.
    pub failure_limit: Option<i32>,
    /// Inconclusive measurements beyond which it is inconclusive.
    pub inconclusive_limit: i32,
    /// Errors in a row beyond which it ends in error.
    pub consecutive_error_limit: i32,
    /// Successes in a row after which it succeeds.
    pub consecutive_success_limit: Option<i32>,
    /// What measurements without data lead to.
    pub no_data_policy: NoDataPolicy,
    /// Measurements in a row without data that are only waited out.
    pub no_data_limit: i32,
    /// When a value is good or bad.
    pub conditions: Conditions,
    /// Where its values come from.
    pub source: Source,
    /// Whether it decides nothing.
    pub dry_run: bool,
    /// Measurements kept in status.
    pub retention: usize,
}

/// Checks a run's spec and makes the plan of each metric, in the order of the spec.
pub fn plan(spec: &AnalysisRunSpec) -> Result<Vec<MetricPlan>, Vec<FieldError>> {
    let mut errors = Fields::default();
    check_ttl(spec, &mut errors);
    if spec.metrics.is_empty() {
        errors.add(
            "spec.metrics",
            "there is no metric: no data is never a success; add one",
        );
    }
    if spec.metrics.len() > MAX_METRICS {
        errors.add(
            "spec.metrics",
            format!(
                "there are {} metrics; at most {MAX_METRICS} are allowed",
                spec.metrics.len()
            ),
        );
        return Err(errors.into_errors());
    }
    check_counts(spec, &mut errors);
    check_args(&spec.args, &mut errors);
    let args = Args::new(&spec.args);
    let dry_run = patterns(
        "spec.dryRun",
        spec.dry_run
            .iter()
            .map(|rule| (rule.metric_name.as_str(), ())),
        &spec.metrics,
        &mut errors,
    );
    let retention = patterns(
        "spec.measurementRetention",
        spec.measurement_retention
            .iter()
            .map(|rule| (rule.metric_name.as_str(), rule.limit)),
        &spec.metrics,
        &mut errors,
    );

    let mut names = BTreeSet::new();
    let mut plans = Vec::new();
    for (at, metric) in spec.metrics.iter().enumerate() {
        let path = format!("spec.metrics[{at}]");
        if metric.name.is_empty() {
            errors.add(
                format!("{path}.name"),
                "it is empty; give the metric a name",
            );
        }
        if !names.insert(metric.name.as_str()) {
            errors.add(
                format!("{path}.name"),
                format!(
                    "\"{}\" is the name of another metric too; names are unique in a run",
                    metric.name
                ),
            );
        }
        let kept = retention
            .iter()
            .find(|(pattern, _)| pattern.is_match(&metric.name))
            .map(|(_, limit)| *limit);
        if let Some(mut plan) = metric_plan(&path, metric, &args, &mut errors) {
            plan.dry_run = dry_run
                .iter()
                .any(|(pattern, ())| pattern.is_match(&metric.name));
            plan.retention = kept
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(DEFAULT_RETENTION);
            if plan.retention == 0 {
                errors.add("spec.measurementRetention", "a limit is at least 1");
            }
            plans.push(plan);
        }
    }
    let retained = plans
        .iter()
        .fold(0_usize, |sum, plan| sum.saturating_add(plan.retention));
    if retained > MAX_RETAINED {
        errors.add(
            "spec.measurementRetention",
            format!("{retained} measurements would be kept; at most {MAX_RETAINED} fit in a run's status"),
        );
    }
    let errors = errors.into_errors();
    if errors.is_empty() {
        Ok(plans)
    } else {
        Err(errors)
    }
}

fn check_ttl(spec: &AnalysisRunSpec, errors: &mut Fields) {
    let Some(ttl) = &spec.ttl_strategy else {
        return;
    };
    for (field, seconds) in [
        ("secondsAfterCompletion", ttl.seconds_after_completion),
        ("secondsAfterFailure", ttl.seconds_after_failure),
        ("secondsAfterSuccess", ttl.seconds_after_success),
    ] {
        if seconds.is_some_and(|seconds| seconds < 0) {
            errors.add(
                format!("spec.ttlStrategy.{field}"),
                "it is negative; it is 0 or more",
            );
        }
    }
}

fn check_counts(spec: &AnalysisRunSpec, errors: &mut Fields) {
    for (field, count) in [
        ("args", spec.args.len()),
        ("dryRun", spec.dry_run.len()),
        ("measurementRetention", spec.measurement_retention.len()),
    ] {
        if count > MAX_ENTRIES {
            errors.add(
                format!("spec.{field}"),
                format!("there are {count} entries; at most {MAX_ENTRIES} are allowed"),
            );
        }
    }
}

fn check_args(args: &[Argument], errors: &mut Fields) {
    let mut names = BTreeSet::new();
    for (at, argument) in args.iter().enumerate() {
        let path = format!("spec.args[{at}]");
        if !names.insert(argument.name.as_str()) {
            errors.add(
                format!("{path}.name"),
                format!("\"{}\" is the name of another argument too", argument.name),
            );
        }
        let Some(from) = &argument.value_from else {
            continue;
        };
        if argument.value.is_some() {
            errors.add(path.clone(), "it has both value and valueFrom; keep one");
        }
        match (&from.secret_key_ref, &from.field_ref) {
            (Some(_), Some(_)) => errors.add(
                format!("{path}.valueFrom"),
                "it has both secretKeyRef and fieldRef; keep one",
            ),
            (None, Some(_)) if argument.value.is_none() => errors.add(
                format!("{path}.valueFrom.fieldRef"),
                "a field is read when a Rollout creates the run; in an AnalysisRun give the value itself",
            ),
            (None, None) => errors.add(format!("{path}.valueFrom"), "it is empty; set secretKeyRef"),
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}

/// Compiles rules that apply to metrics by name. A rule that applies to none is an error: a typo must not turn a
/// metric that should decide nothing into one that aborts.
fn patterns<'a, T>(
    path: &str,
    rules: impl Iterator<Item = (&'a str, T)>,
    metrics: &[Metric],
    errors: &mut Fields,
) -> Vec<(Regex, T)> {
    let mut compiled = Vec::new();
    for (at, (pattern, value)) in rules.enumerate() {
        let path = format!("{path}[{at}].metricName");
        // 64 KiB bounds what a hostile pattern may compile to.
        match regex::RegexBuilder::new(pattern)
            .size_limit(1 << 16)
            .build()
        {
            Ok(regex) if metrics.iter().any(|metric| regex.is_match(&metric.name)) => {
                compiled.push((regex, value));
            }
            Ok(_) => errors.add(path, format!("\"{pattern}\" matches the name of no metric")),
            Err(_) => errors.add(
                path,
                format!("\"{pattern}\" is not a regular expression that can be used"),
            ),
        }
    }
    compiled
}

fn metric_plan(
    path: &str,
    metric: &Metric,
    args: &Args,
    errors: &mut Fields,
) -> Option<MetricPlan> {
    let before = errors.len();
    let timing = limits::timing(path, metric, args, errors);
    let limits = limits::limits(path, metric, timing.count, args, errors);
    let conditions = Conditions {
        success: fields::condition(
            &format!("{path}.successCondition"),
            metric.success_condition.as_deref(),
            args,
            errors,
        ),
        failure: fields::condition(
            &format!("{path}.failureCondition"),
            metric.failure_condition.as_deref(),
            args,
            errors,
        ),
    };
    let source = provider::source(path, metric, args, errors)?;
    let no_data = metric.no_data.clone().unwrap_or_default();
    if no_data.limit.is_some_and(|limit| limit < 0) {
        errors.add(
            format!("{path}.noData.limit"),
            "it is negative; it is 0 or more",
        );
    }
    (errors.len() == before).then(|| MetricPlan {
        name: metric.name.clone(),
        interval: timing.interval,
        initial_delay: timing.initial_delay,
        count: timing.count,
        failure_limit: limits.failure,
        inconclusive_limit: limits.inconclusive,
        consecutive_error_limit: limits.consecutive_error,
        consecutive_success_limit: limits.consecutive_success,
        no_data_policy: no_data.policy.unwrap_or_default(),
        no_data_limit: no_data.limit.unwrap_or(4),
        conditions,
        source,
        dry_run: false,
        retention: DEFAULT_RETENTION,
    })
}

#[cfg(test)]
mod tests;
