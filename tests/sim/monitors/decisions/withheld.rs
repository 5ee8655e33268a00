//! D4, within an AnalysisRun: what a metric has found is not kept back until the others have ended.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sim::monitors::{Happened, Monitor, Told, View, debt::Debt};

#[derive(Clone, Default)]
pub(super) struct Withheld(BTreeMap<String, Debt>);

/// A metric that decides has failed, and the run goes on.
fn is_owed(run: &Value) -> bool {
    let status = &run["status"];
    let results = status["metricResults"].as_array();
    status["phase"] == "Running"
        && results.into_iter().flatten().any(|metric| {
            metric["dryRun"] != true && matches!(metric["phase"].as_str(), Some("Failed" | "Error"))
        })
}

impl Monitor for Withheld {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        if change.key.plural != "analysisruns" {
            return;
        }
        let owed = change.after().is_some_and(is_owed);
        let uid = change.object["metadata"]["uid"]
            .as_str()
            .unwrap_or_default();
        if !owed && !self.0.contains_key(uid) {
            return;
        }
        let debt = self.0.entry(uid.to_owned()).or_default();
        if let Some(since) = debt.look(owed, view.now) {
            told.check("D4", since <= view.leniency.patience, || {
                format!("for {since:?} a metric has failed, and the AnalysisRun goes on")
            });
        }
    }

    fn excuse(&mut self) {
        self.0.values_mut().for_each(Debt::forgive);
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
