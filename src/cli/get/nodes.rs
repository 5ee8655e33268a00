//! Pods and analyses as lines of the tree.

use jiff::Timestamp;
use serde_json::Value;

use super::style::{self, BAD, DIM, GOOD, MOVING, WAITING, paint};
use crate::{
    api::analysis::{AnalysisRunStatus, MetricResult},
    cli::{rollout::time as time_in, time},
};

/// One line of the tree and what hangs on it.
pub(super) struct Node {
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

/// A pod and whether it serves.
pub(super) fn pod(pod: &Value, now: Timestamp) -> Node {
    let is_ready = |condition: &Value| {
        text_in(condition, "/type") == Some("Ready")
            && text_in(condition, "/status") == Some("True")
    };
    let ready = items(pod, "/status/conditions").any(is_ready);
    let (symbol, color, state) = if time_in(pod, "/metadata/deletionTimestamp").is_some() {
        ("◌", DIM, "terminating")
    } else if let Some(reason) = trouble(pod) {
        ("✖", BAD, reason)
    } else if ready {
        ("✔", GOOD, "ready")
    } else {
        match text_in(pod, "/status/phase") {
            Some("Running") => ("◌", MOVING, "not ready"),
            Some("Failed") => ("✖", BAD, "failed"),
            Some(_) | None => ("◌", MOVING, "starting"),
        }
    };
    let restarts: i64 = items(pod, "/status/containerStatuses")
        .filter_map(|status| status.get("restartCount")?.as_i64())
        .sum();
    let restarts = match restarts {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        many => format!(", {many} restarts"),
    };
    let state = format!("{state}{}{restarts}", age(pod, now));
    Node {
        text: format!(
            "{} {}  {}",
            paint(color, symbol),
            name(pod),
            paint(DIM, &state)
        ),
        children: Vec::new(),
    }
}

/// Why a container does not run, where that is more than not having started yet.
fn trouble(pod: &Value) -> Option<&str> {
    items(pod, "/status/containerStatuses")
        .filter_map(|status| text_in(status, "/state/waiting/reason"))
        .find(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))
}

/// An AnalysisRun with the counts of its metrics.
pub(super) fn analysis_run(run: &Value, now: Timestamp) -> Node {
    let status = run.get("status").cloned().unwrap_or_default();
    let status: AnalysisRunStatus = serde_json::from_value(status).unwrap_or_default();
    let (symbol, color) = style::of_verdict(status.phase);
    let phase = style::verdict(status.phase);
    let message = status.message.filter(|message| !message.is_empty());
    let message = message
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    let state = format!("analysis {phase}{}{message}", age(run, now));
    Node {
        text: format!(
            "{} {}  {}",
            paint(color, symbol),
            name(run),
            paint(DIM, &state)
        ),
        children: status.metric_results.iter().map(metric).collect(),
    }
}

fn metric(metric: &MetricResult) -> Node {
    let (symbol, color) = style::of_verdict(metric.phase);
    let counts = [
        ("✔", GOOD, metric.successful),
        ("✖", BAD, metric.failed),
        ("?", WAITING, metric.inconclusive),
        ("no data", WAITING, metric.no_data),
        ("errors", BAD, metric.error),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, _, count)| *count > 0)
        .map(|(symbol, color, count)| paint(color, &format!("{symbol} {count}")))
        .collect();
    let dry_run = if metric.dry_run == Some(true) {
        " (dry run)"
    } else {
        ""
    };
    let text = format!(
        "{} {}{dry_run}  {}",
        paint(color, symbol),
        metric.name,
        counts.join("  ")
    );
    Node {
        text: text.trim_end().to_owned(),
        children: Vec::new(),
    }
}

fn age(object: &Value, now: Timestamp) -> String {
    let created = time_in(object, "/metadata/creationTimestamp");
    created
        .map(|created| format!(", {}", time::age(created, now)))
        .unwrap_or_default()
}

/// The name of an object.
pub(super) fn name(object: &Value) -> &str {
    text_in(object, "/metadata/name").unwrap_or_default()
}

/// Text in an object.
pub(super) fn text_in<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
