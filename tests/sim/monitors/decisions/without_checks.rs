//! D9: nothing to check is no pass: an AnalysisRun without a metric that was measured never is Successful.

use crate::sim::monitors::{Happened, Monitor, Told, View};

use super::never_pass::verdict;

#[derive(Clone)]
pub(super) struct WithoutChecks;

impl Monitor for WithoutChecks {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        let Some((run, "Successful")) = verdict(event) else {
            return;
        };
        let declared = run["spec"]["metrics"].as_array().map_or(0, Vec::len);
        let measured = run["status"]["metricResults"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|metric| metric["count"].as_i64().unwrap_or(0) > 0)
            .count();
        told.check("D9", declared > 0 && measured > 0, || {
            format!(
                "an AnalysisRun with {declared} metrics, {measured} of them measured, is Successful"
            )
        });
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
