//! D2: an AnalysisRun is Successful only where each metric that decides is, by measurements that were; what was broken off,
//! could not be measured or could not be told never is. D4: what says no is not kept back.

use serde_json::Value;
use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone)]
pub(super) struct NeverPass;

/// The phase that a write of the controller gives an AnalysisRun, if it gives it one.
pub(super) fn verdict<'a>(event: &Happened<'a>) -> Option<(&'a Value, &'a str)> {
    let Happened::Change(change) = event else {
        return None;
    };
    if change.by != By::Controller || change.key.plural != "analysisruns" {
        return None;
    }
    let run = change.after()?;
    let phase = |run: &'a Value| run["status"]["phase"].as_str();
    let was = change.before.as_deref().and_then(phase);
    let is = phase(run)?;
    let ended = |phase: &str| !matches!(phase, "Pending" | "Running");
    (was != Some(is) && ended(is)).then_some((run, is))
}

fn deciding(run: &Value) -> impl Iterator<Item = &Value> {
    let metrics = run["status"]["metricResults"].as_array();
    metrics
        .into_iter()
        .flatten()
        .filter(|metric| metric["dryRun"] != true)
}

/// All measurements of the metric, unless some are not kept any more.
fn measurements(metric: &Value) -> Option<&Vec<Value>> {
    let kept = metric["measurements"].as_array()?;
    let number = |field: &str| metric[field].as_u64().unwrap_or(0);
    let taken = number("count") + number("error") + number("noData");
    (taken > 0 && u64::try_from(kept.len()) == Ok(taken)).then_some(kept)
}

/// How many measurements the metric asks for, where nothing else can end it.
fn count(run: &Value, metric: &Value) -> Option<i64> {
    let specs = run["spec"]["metrics"].as_array()?;
    let spec = specs.iter().find(|spec| spec["name"] == metric["name"])?;
    let other = spec["consecutiveSuccessLimit"].is_null();
    spec["count"].as_i64().filter(|_| other)
}

/// D4: a metric that says no ends its run with the same write.
fn withheld(event: &Happened<'_>, told: &mut Told) {
    let Happened::Change(change) = event else {
        return;
    };
    let run = change
        .after()
        .filter(|_| change.by == By::Controller && change.key.plural == "analysisruns");
    let Some(run) = run.filter(|run| run["status"]["phase"] == "Running") else {
        return;
    };
    for metric in deciding(run) {
        let says_no = metric["phase"] == "Failed" || metric["phase"] == "Error";
        told.check("D4", !says_no, || {
            format!(
                "metric {} is {}, and its run goes on",
                metric["name"], metric["phase"]
            )
        });
    }
}

impl Monitor for NeverPass {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        withheld(event, told);
        let Some((run, "Successful")) = verdict(event) else {
            return;
        };
        for metric in deciding(run) {
            if let Some(measurements) = measurements(metric) {
                let good = measurements.iter().any(|one| one["phase"] == "Successful");
                told.check("D2", good, || {
                    format!(
                        "metric {} is Successful, and none of its measurements was good",
                        metric["name"]
                    )
                });
            }
            if let Some(count) = count(run, metric) {
                let taken = metric["count"].as_i64().unwrap_or(0);
                told.check("D2", taken >= count, || {
                    format!(
                        "metric {} is Successful after {taken} of {count} measurements",
                        metric["name"]
                    )
                });
            }
            let good =
                metric["phase"] == "Successful" && metric["successful"].as_i64().unwrap_or(0) > 0;
            told.check("D2", good, || {
                format!(
                    "an AnalysisRun is Successful, and metric {} is {} with {} good measurements",
                    metric["name"], metric["phase"], metric["successful"]
                )
            });
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
