//! `tidegate explain`: why a Rollout stands where it stands, what it waits for, and what it does next.
//!
//! Not here: any of the reasoning; the controller wrote all of it into the status.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    CliError,
    cluster::{Cluster, Family},
    get::{of_phase, of_verdict, paint, verdict},
    rollout::Rollout,
    terminal::Terminal,
    time,
};
use crate::{
    api::{
        analysis::{AnalysisPhase, AnalysisRunStatus, Measurement, MeasurementPhase, MetricResult},
        conditions::{Condition, ConditionStatus, ConditionType},
        request::Request,
        rollout_status::HandledRequest,
    },
    runtime::clock,
};

/// Options of `tidegate explain`.
#[derive(Args, Debug)]
pub(super) struct ExplainOptions {
    /// The Rollout.
    name: String,
}

/// Prints the explanation.
pub(super) async fn run(
    options: &ExplainOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let family = cluster.family(&options.name).await?;
    terminal.print(&render(&family, clock::now()))
}

/// The explanation.
fn render(family: &Family, now: Timestamp) -> String {
    let rollout = &family.rollout;
    let status = &rollout.status;
    let (symbol, color) = of_phase(rollout.phase());
    let mut text = format!(
        "{} Rollout {}/{} is {}\n",
        paint(color, symbol),
        rollout.namespace,
        rollout.name,
        rollout.state()
    );
    let mut line = |label: &str, value: &str| {
        // Writing to a String cannot fail.
        writeln!(text, "  {:<14} {value}", format!("{label}:")).ok();
    };
    if let Some(steps) = rollout.steps_in_words() {
        line("Steps", &steps);
    }
    if rollout.spec.paused {
        line("Paused", "by spec.paused; `resume` ends it");
    }
    for pause in &status.pause_conditions {
        let length = time::age(pause.start_time, now);
        line(
            "Paused",
            &format!("{} for {length}; `promote` goes on", pause.reason.name()),
        );
    }
    line(
        "Waiting for",
        status.waiting_for.as_deref().unwrap_or("nothing"),
    );
    if let Some(next) = &status.next {
        let when = next
            .at
            .map(|at| format!(" {} ({at})", time::until(at, now)))
            .unwrap_or_default();
        line("Next", &format!("{}{when}", next.action));
    }
    for condition in status
        .conditions
        .iter()
        .filter(|condition| matters(condition))
    {
        line("Condition", &condition_in_words(condition, now));
    }
    if let Some(request) = rollout.pending_request() {
        line("Request", &pending_in_words(request));
    }
    if let Some(handled) = &status.last_handled_request {
        line("Last request", &handled_in_words(handled, now));
    }
    for run in runs_to_explain(family) {
        explain_run(run, now, &mut text);
    }
    text
}

/// Whether a condition says that something is wrong.
fn matters(condition: &Condition) -> bool {
    let is = |type_: ConditionType| condition.type_ == type_.name();
    let bad_when_true = [
        ConditionType::Stalled,
        ConditionType::InvalidSpec,
        ConditionType::ReplicaFailure,
        ConditionType::ReferenceMissing,
        ConditionType::TrafficOverwritten,
    ];
    let bad_when_false = [ConditionType::Available, ConditionType::Progressing];
    match condition.status {
        ConditionStatus::True => bad_when_true.into_iter().any(is),
        ConditionStatus::False => bad_when_false.into_iter().any(is),
        ConditionStatus::Unknown => false,
    }
}

fn condition_in_words(condition: &Condition, now: Timestamp) -> String {
    let Condition {
        type_,
        status,
        reason,
        message,
        ..
    } = condition;
    let since = condition
        .last_transition_time
        .map(|since| format!(" for {}", time::age(since, now)));
    format!(
        "{type_} is {status:?}{} ({reason}): {message}",
        since.unwrap_or_default()
    )
}

fn pending_in_words(request: &Request) -> String {
    let by = request
        .by
        .as_ref()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    format!("{}{by}, not handled yet", request.verb.name())
}

fn handled_in_words(handled: &HandledRequest, now: Timestamp) -> String {
    let verdict = if handled.accepted {
        "accepted"
    } else {
        "refused"
    };
    format!(
        "{} {verdict} {} ago: {}",
        handled.verb.name(),
        time::age(handled.at, now),
        handled.message
    )
}

/// The AnalysisRuns that the status refers to.
fn runs_to_explain(family: &Family) -> impl Iterator<Item = &Value> {
    let Rollout { status, .. } = &family.rollout;
    let names: Vec<&str> = status
        .analysis_runs()
        .into_iter()
        .flatten()
        .map(|run| run.name.as_str())
        .collect();
    family.analysis_runs.iter().filter(move |run| {
        let name = run.pointer("/metadata/name").and_then(Value::as_str);
        name.is_some_and(|name| names.contains(&name))
    })
}

fn explain_run(run: &Value, now: Timestamp, text: &mut String) {
    let name = run
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let status = run.get("status").cloned().unwrap_or_default();
    let status: AnalysisRunStatus = serde_json::from_value(status).unwrap_or_default();
    let (symbol, color) = of_verdict(status.phase);
    let phase = verdict(status.phase);
    let message = status.message.filter(|message| !message.is_empty());
    let message = message
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    writeln!(
        text,
        "  {:<14} {} {name} is {phase}{message}",
        "Analysis:",
        paint(color, symbol)
    )
    .ok();
    for metric in status
        .metric_results
        .iter()
        .filter(|metric| metric.dry_run != Some(true))
    {
        if let Some(measurement) = blamed(metric) {
            explain_measurement(&metric.name, measurement, now, text);
        }
    }
}

/// The newest measurement that is not good, unless the metric succeeded all the same.
fn blamed(metric: &MetricResult) -> Option<&Measurement> {
    if metric.phase == Some(AnalysisPhase::Successful) {
        return None;
    }
    let good = |measurement: &&Measurement| measurement.phase != Some(MeasurementPhase::Successful);
    metric.measurements.iter().rev().find(good)
}

fn explain_measurement(metric: &str, measurement: &Measurement, now: Timestamp, text: &mut String) {
    let verdict = match measurement.phase {
        Some(MeasurementPhase::Failed) => "failed",
        Some(MeasurementPhase::Error) => "could not be taken",
        Some(MeasurementPhase::Inconclusive) => "is inconclusive",
        Some(MeasurementPhase::NoData) => "has no data",
        Some(MeasurementPhase::Successful | MeasurementPhase::Running) | None => "is under way",
    };
    let at = measurement.finished_at.or(measurement.started_at);
    let at = at
        .map(|at| format!(", {} ago", time::age(at, now)))
        .unwrap_or_default();
    writeln!(text, "    metric {metric}: the measurement {verdict}{at}").ok();
    for (label, value) in [
        ("value", &measurement.value),
        ("query", &measurement.query),
        ("why", &measurement.message),
    ] {
        if let Some(value) = value {
            writeln!(text, "      {:<6} {value}", format!("{label}:")).ok();
        }
    }
}

#[cfg(test)]
mod tests;
