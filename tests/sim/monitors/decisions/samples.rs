//! D11: each interval enters the evidence once: one measurement more is one count more, and no two begin at the same time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone)]
pub(super) struct Samples;

impl Monitor for Samples {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        let (Some(before), Some(after)) = (&change.before, change.after()) else {
            return;
        };
        if change.by != By::Controller || change.key.plural != "analysisruns" {
            return;
        }
        for metric in results(after) {
            let was = results(before)
                .find(|was| was["name"] == metric["name"])
                .unwrap_or(&Value::Null);
            if was == metric {
                continue;
            }
            let name = &metric["name"];
            let starts: Vec<&str> = measurements(metric)
                .filter_map(|one| one["startedAt"].as_str())
                .collect();
            // A clock that was put back gives earlier times, but never the same.
            let ordered = starts.windows(2).all(|pair| {
                let (one, next) = (time(pair[0]), time(pair[1]));
                one < next || (view.skew > Duration::ZERO && one != next)
            });
            told.check("D11", ordered, || {
                format!("metric {name} was measured at {starts:?}")
            });
            let new = measurements(metric)
                .filter(|one| !one["finishedAt"].is_null())
                .filter(|one| {
                    !measurements(was).any(|old| {
                        old["startedAt"] == one["startedAt"] && !old["finishedAt"].is_null()
                    })
                })
                .count();
            let counted = count(metric) - count(was);
            told.check("D11", counted == i64::try_from(new).unwrap_or(0), || {
                format!("metric {name} has {new} new measurements, and {counted} more are counted")
            });
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn results(run: &Value) -> impl Iterator<Item = &Value> {
    run["status"]["metricResults"]
        .as_array()
        .into_iter()
        .flatten()
}

fn measurements(metric: &Value) -> impl Iterator<Item = &Value> {
    metric["measurements"].as_array().into_iter().flatten()
}

/// Everything that was counted, errors and measurements without data included.
fn count(metric: &Value) -> i64 {
    ["successful", "failed", "inconclusive", "error", "noData"]
        .into_iter()
        .map(|kind| metric[kind].as_i64().unwrap_or(0))
        .sum()
}
