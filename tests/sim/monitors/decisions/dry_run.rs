//! D7: metrics in dry run change no verdict: it is the worst of the others.

use crate::sim::monitors::{Happened, Monitor, Told, View};

use super::never_pass::verdict;

#[derive(Clone)]
pub(super) struct DryRun;

impl Monitor for DryRun {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        let Some((run, phase)) = verdict(event) else {
            return;
        };
        let results = run["status"]["metricResults"].as_array();
        let deciding: Vec<&str> = results
            .into_iter()
            .flatten()
            .filter(|metric| metric["dryRun"] != true)
            .filter_map(|metric| metric["phase"].as_str())
            .collect();
        let Some(worst) = deciding.iter().max_by_key(|phase| severity(phase)) else {
            // All of them, or none has begun.
            return;
        };
        let as_bad = phase == *worst;
        // A run that could not begin, or was broken off, is no better than its metrics.
        let worse = severity(phase) > severity(worst);
        told.check("D7", as_bad || (worse && phase != "Failed"), || {
            format!("an AnalysisRun is {phase}, and the metrics that decide are {deciding:?}")
        });
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}

fn severity(phase: &str) -> u8 {
    match phase {
        "Successful" => 0,
        "Running" | "Pending" => 1,
        "Inconclusive" => 2,
        "Error" => 3,
        _ => 4,
    }
}
