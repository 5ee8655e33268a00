//! What AnalysisRuns and Experiments are told to say.
//!
//! Not here: how they come to it (`run`, `experiment`).

use std::time::Duration;

use jiff::Timestamp;

use super::Play;
use crate::{
    analysis::{decide::AnalysisDecision, observe::ObservedRun},
    api::analysis::{AnalysisPhase, Measurement, MeasurementPhase},
    experiment::{decision::ExperimentDecision, snapshot::ExperimentSnapshot},
    simulate::story::{Analysis, MeasurementStory, MetricStory, MomentKind},
};

impl Play<'_> {
    pub(super) fn tell_experiment(
        &mut self,
        name: &str,
        snapshot: &ExperimentSnapshot,
        decision: &ExperimentDecision,
    ) {
        let (before, now) = (snapshot.experiment.status.phase, decision.status.phase);
        if before == now {
            return;
        }
        let Some(phase) = now else {
            return;
        };
        let kind = match phase {
            AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive => {
                MomentKind::Bad
            }
            AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Successful => {
                MomentKind::Analysis
            }
        };
        self.tell(kind, format!("Experiment {name} is {phase:?}"));
    }

    /// What a look at an AnalysisRun has found.
    pub(super) fn tell_run(&mut self, run: &ObservedRun, decision: &AnalysisDecision) {
        if self.record.begun.is_none() {
            return;
        }
        let now = self.since(self.world.now());
        let place = self
            .record
            .analyses
            .iter()
            .position(|analysis| analysis.name == run.name);
        let place = place.unwrap_or_else(|| {
            self.record.analyses.push(Analysis {
                name: run.name.clone(),
                from: now,
                to: None,
                phase: String::new(),
                message: String::new(),
                metrics: Vec::new(),
            });
            self.record.analyses.len() - 1
        });
        let mut told = Vec::new();
        let begun = self.record.begun.unwrap_or_default();
        let status = &decision.status;
        let analysis = &mut self.record.analyses[place];
        if analysis.phase.is_empty() {
            told.push((
                MomentKind::Analysis,
                format!("analysis {} begins", run.name),
            ));
        }
        for result in &status.metric_results {
            let assumed = (run.name.clone(), result.name.clone());
            let assumed = self.record.assumptions.get(&assumed).cloned();
            let known = analysis
                .metrics
                .iter()
                .position(|metric| metric.name == result.name);
            let known = known.unwrap_or_else(|| {
                analysis.metrics.push(MetricStory {
                    name: result.name.clone(),
                    assumed: String::new(),
                    measurements: Vec::new(),
                });
                analysis.metrics.len() - 1
            });
            let metric = &mut analysis.metrics[known];
            if let Some(assumed) = assumed {
                metric.assumed = assumed;
            }
            for measurement in &result.measurements {
                let Some(story) = measured(measurement, begun) else {
                    continue;
                };
                let last = metric.measurements.last();
                if last.is_some_and(|last| last.at >= story.at) {
                    continue;
                }
                let changed = last.is_none_or(|last| last.phase != story.phase);
                if changed && story.phase != "Successful" {
                    let message = story.message.clone().unwrap_or_default();
                    let text = format!("{} is {}: {message}", metric.name, story.phase);
                    told.push((MomentKind::Bad, text));
                }
                metric.measurements.push(story);
            }
        }
        let phase = status.phase.unwrap_or(AnalysisPhase::Pending);
        analysis.phase = format!("{phase:?}");
        analysis.message = status.message.clone().unwrap_or_default();
        if phase.is_terminal() && analysis.to.is_none() {
            analysis.to = Some(now);
            let kind = if phase == AnalysisPhase::Successful {
                MomentKind::Analysis
            } else {
                MomentKind::Bad
            };
            let count: usize = analysis
                .metrics
                .iter()
                .map(|metric| metric.measurements.len())
                .sum();
            let s = if count == 1 { "" } else { "s" };
            told.push((
                kind,
                format!(
                    "analysis {} is {phase:?} after {count} measurement{s}",
                    run.name
                ),
            ));
        }
        for (kind, text) in told {
            let text = self.readable(&text);
            self.tell(kind, text);
        }
    }
}

fn measured(measurement: &Measurement, begun: Duration) -> Option<MeasurementStory> {
    let at = measurement
        .started_at?
        .duration_since(Timestamp::UNIX_EPOCH);
    let at = Duration::try_from(at).ok()?.saturating_sub(begun);
    let phase = measurement.phase?;
    (phase != MeasurementPhase::Running).then(|| MeasurementStory {
        at: at.as_secs_f64(),
        value: measurement.value.clone(),
        phase: format!("{phase:?}"),
        message: measurement.message.clone(),
    })
}
