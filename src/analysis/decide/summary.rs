//! The run's verdict and counts from its metrics'.

use crate::api::analysis::{AnalysisPhase, MetricResult, RunSummary};

/// Metrics counted by phase.
pub(super) fn summary<'a>(results: impl Iterator<Item = &'a MetricResult>) -> RunSummary {
    let mut summary = RunSummary::default();
    for result in results {
        summary.count += 1;
        match result.phase.unwrap_or(AnalysisPhase::Pending) {
            AnalysisPhase::Successful => summary.successful += 1,
            AnalysisPhase::Failed => summary.failed += 1,
            AnalysisPhase::Inconclusive => summary.inconclusive += 1,
            AnalysisPhase::Error => summary.error += 1,
            AnalysisPhase::Pending | AnalysisPhase::Running => {}
        }
    }
    summary
}

/// The worst phase of the metrics that decide, and its message.
pub(super) fn verdict(results: &[MetricResult]) -> (AnalysisPhase, Option<String>) {
    let phase = |result: &MetricResult| result.phase.unwrap_or(AnalysisPhase::Pending);
    let deciding = || results.iter().filter(|result| result.dry_run != Some(true));
    if deciding().next().is_none() {
        let message = "all metrics are in dry run: they decide nothing";
        return (AnalysisPhase::Successful, Some(message.to_owned()));
    }
    let worst = deciding()
        .map(phase)
        .max_by_key(|phase| severity(*phase))
        .unwrap_or(AnalysisPhase::Inconclusive);
    let message = (worst != AnalysisPhase::Successful)
        .then(|| {
            deciding()
                .find(|result| phase(result) == worst)
                .and_then(|result| result.message.clone())
        })
        .flatten();
    (worst, message)
}

fn severity(phase: AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Running => 1,
        AnalysisPhase::Pending => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}
