//! Entering a measurement into its metric's result.

use jiff::Timestamp;

use super::jobs;
use crate::analysis::jobs::JOB_NAME;
use crate::analysis::judge::Judgement;
use crate::analysis::plan::{MetricPlan, Source};
use crate::analysis::snapshot::Outcome;
use crate::analysis::text;
use crate::api::analysis::{AnalysisPhase, Measurement, MeasurementPhase, MetricResult};
use crate::mutants::{Mutant, mutated};

/// Where people look for the query.
const QUERY: &str = "ResolvedPrometheusQuery";

/// Counts the measurement and keeps it. A metric that ended takes no more: its verdict is latched.
pub(super) fn record(plan: &MetricPlan, result: &mut MetricResult, outcome: &Outcome) {
    if result.phase.is_some_and(AnalysisPhase::is_terminal) {
        return;
    }
    if outcome.judgement.phase == MeasurementPhase::Running && jobs::awaited(result).is_some() {
        // Its Job was seen meanwhile.
        return;
    }
    if mutated(Mutant::A29NoDataIsSuccess) && outcome.judgement.phase == MeasurementPhase::NoData {
        count(result, MeasurementPhase::Successful);
    } else {
        count(result, outcome.judgement.phase);
    }
    let query = outcome
        .query
        .as_deref()
        .map(|query| text::one_line(query, text::QUERY));
    if let Some(query) = &query {
        // The query is the same in every measurement of a run; once, at the newest, is enough evidence.
        for measurement in &mut result.measurements {
            if measurement.query.as_ref() == Some(query) {
                measurement.query = None;
            }
        }
        if matches!(plan.source, Source::Prometheus(_)) {
            result.metadata.insert(QUERY.to_owned(), query.clone());
        }
    }
    result.measurements.push(Measurement {
        phase: Some(outcome.judgement.phase),
        message: outcome
            .judgement
            .message
            .as_deref()
            .map(|message| text::one_line(message, text::MEASUREMENT_MESSAGE)),
        started_at: Some(outcome.started_at),
        finished_at: outcome.finished_at,
        resume_at: None,
        value: outcome
            .value
            .as_deref()
            .map(|value| text::one_line(value, text::VALUE)),
        query,
        metadata: outcome
            .metadata
            .iter()
            .map(|(key, value)| {
                (
                    key.clone(),
                    text::one_line(value, text::MEASUREMENT_MESSAGE),
                )
            })
            .collect(),
    });
    let surplus = result.measurements.len().saturating_sub(plan.retention);
    result.measurements.drain(..surplus);
}

fn count(result: &mut MetricResult, phase: MeasurementPhase) {
    let add = |counter: &mut i32| *counter = counter.saturating_add(1);
    if phase == MeasurementPhase::Running {
        // It counts when it is done.
        return;
    }
    let success_streak = result.consecutive_success;
    result.consecutive_success = 0;
    match phase {
        MeasurementPhase::Successful => {
            result.consecutive_success = success_streak;
            add(&mut result.consecutive_success);
            add(&mut result.successful);
        }
        MeasurementPhase::Failed => add(&mut result.failed),
        MeasurementPhase::Inconclusive => add(&mut result.inconclusive),
        MeasurementPhase::Error => {
            add(&mut result.error);
            add(&mut result.consecutive_error);
            // A server that does not answer says nothing about whether there is data: that streak stays.
            return;
        }
        MeasurementPhase::NoData => {
            add(&mut result.no_data);
            add(&mut result.consecutive_no_data);
            result.consecutive_error = 0;
            return;
        }
        MeasurementPhase::Running => return,
    }
    add(&mut result.count);
    result.consecutive_error = 0;
    result.consecutive_no_data = 0;
}

/// Enters a measurement that a Job takes.
pub(super) fn begin(
    plan: &MetricPlan,
    result: &mut MetricResult,
    started_at: Timestamp,
    job: &str,
) {
    let judgement = Judgement {
        phase: MeasurementPhase::Running,
        message: None,
    };
    record(
        plan,
        result,
        &Outcome {
            metric: result.name.clone(),
            started_at,
            finished_at: None,
            query: None,
            metadata: [(JOB_NAME.to_owned(), job.to_owned())].into(),
            value: None,
            judgement,
        },
    );
}

/// Ends the newest measurement, which was under way.
pub(super) fn finish(
    result: &mut MetricResult,
    phase: MeasurementPhase,
    message: Option<String>,
    now: Timestamp,
) {
    let Some(newest) = result.measurements.last_mut() else {
        return;
    };
    newest.phase = Some(phase);
    newest.message = message.map(|message| text::one_line(&message, text::MEASUREMENT_MESSAGE));
    newest.finished_at = Some(now);
    count(result, phase);
}
