//! D2: an AnalysisRun is Successful only where each metric that decides is, by measurements that were; what was broken off,
//! could not be measured or could not be told never is.

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

impl Monitor for NeverPass {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        let Some((run, "Successful")) = verdict(event) else {
            return;
        };
        for metric in run["status"]["metricResults"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if metric["dryRun"] == true {
                continue;
            }
            let good =
                metric["phase"] == "Successful" && metric["successful"].as_i64().unwrap_or(0) > 0;
            let measurements = metric["measurements"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let whole = i64::try_from(measurements.len()).ok() == metric["count"].as_i64();
            let proofs = measurements
                .iter()
                .filter(|one| one["phase"] == "Successful")
                .count();
            // Old measurements are not kept for ever.
            let counted = i64::try_from(proofs).ok() == metric["successful"].as_i64();
            told.check("D2", counted || !whole, || {
                format!(
                    "metric {} counts {} good measurements, and has {proofs}",
                    metric["name"], metric["successful"]
                )
            });
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
