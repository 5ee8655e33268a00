//! What is due in an AnalysisRun, and what its verdict is. Pure: the clock is in the snapshot.
//!
//! What one measurement says is [`super::judge`]'s concern; here measurements are counted and limits applied.

mod assess;
mod expiry;
mod jobs;
mod record;
mod schedule;
mod summary;

use jiff::Timestamp;

use super::judge::Conditions;
use super::plan::{self, FieldError, MetricPlan, Source};
use super::snapshot::AnalysisRunSnapshot;
use super::text;
use crate::api::analysis::{AnalysisPhase, AnalysisRunStatus, MetricResult};
use crate::mutants::{Mutant, mutated};

/// What follows from a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisDecision {
    /// The whole new status.
    pub status: AnalysisRunStatus,
    /// What is to be measured now; its outcomes belong into the next snapshot.
    pub measure: Vec<MeasureRequest>,
    /// Jobs that nothing waits for any more, to be deleted once the status is written.
    pub stop: Vec<JobTarget>,
    /// Whether the run itself is to be deleted: it ended long enough ago.
    pub expired: bool,
    /// What is worth an Event, once the status is written.
    pub notes: Vec<Note>,
    /// When to look again.
    pub next: Next,
}

/// A Job that is written to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobTarget {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// One measurement that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureRequest {
    /// The metric's place in the spec.
    pub index: usize,
    /// The metric's name.
    pub metric: String,
    /// Where its value comes from.
    pub source: Source,
    /// What the answer is judged by.
    pub conditions: Conditions,
    /// The name of the Job that measures, where one does.
    pub job: Option<String>,
}

/// Something that happened and is told once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// The reason, in CamelCase.
    pub reason: &'static str,
    /// The message for people.
    pub message: String,
    /// Whether it is a warning.
    pub warning: bool,
}

/// When to look at a run again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// As soon as the measurements asked for are there.
    Measured,
    /// At this time a metric is due.
    At {
        /// The time.
        time: Timestamp,
        /// The metric.
        metric: String,
    },
    /// When a Job of the run changes.
    OnChange,
    /// The run ended and is deleted at this time.
    Expires(Timestamp),
    /// Never: the run ended.
    Ended,
}

/// Decides.
pub fn decide(snapshot: &AnalysisRunSnapshot) -> AnalysisDecision {
    decide_planned(&plan::plan(&snapshot.spec), snapshot)
}

/// Decides with the plan of the snapshot's spec, for a caller that decides more than once.
pub fn decide_planned(
    plans: &Result<Vec<MetricPlan>, Vec<FieldError>>,
    snapshot: &AnalysisRunSnapshot,
) -> AnalysisDecision {
    let before = &snapshot.status;
    if before.phase.is_some_and(AnalysisPhase::is_terminal) {
        let (expired, next) = expiry::expiry(&snapshot.spec, before, snapshot.now);
        return AnalysisDecision {
            status: before.clone(),
            measure: Vec::new(),
            stop: jobs::surplus(&snapshot.jobs, &[], false),
            expired,
            notes: Vec::new(),
            next,
        };
    }
    let plans = match plans {
        Ok(plans) => plans.as_slice(),
        Err(errors) => return refuse(before, snapshot.now, errors),
    };

    let started_at = before.started_at.unwrap_or(snapshot.now);
    let terminate = snapshot.spec.terminate.unwrap_or(false);
    let mut results: Vec<MetricResult> = plans.iter().map(|plan| result_of(before, plan)).collect();
    for (plan, result) in plans.iter().zip(&mut results) {
        jobs::settle(plan, result, snapshot);
        for outcome in snapshot
            .outcomes
            .iter()
            .filter(|outcome| outcome.metric == plan.name)
        {
            record::record(plan, result, outcome);
            assess::assess(plan, result);
        }
    }

    let verdict = ended(plans, &results, terminate);
    if let Some(cause) = &verdict {
        for (plan, result) in plans.iter().zip(&mut results) {
            assess::conclude(plan, result, cause, snapshot.now);
        }
    }
    let mut status = AnalysisRunStatus {
        phase: Some(AnalysisPhase::Running),
        message: None,
        started_at: Some(started_at),
        completed_at: None,
        run_summary: Some(summary::summary(
            results.iter().filter(|result| result.dry_run != Some(true)),
        )),
        dry_run_summary: plans.iter().any(|plan| plan.dry_run).then(|| {
            summary::summary(results.iter().filter(|result| result.dry_run == Some(true)))
        }),
        metric_results: results,
    };
    if verdict.is_some() {
        let (phase, message) = summary::verdict(&status.metric_results);
        status.phase = Some(phase);
        status.message = message;
        status.completed_at = Some(snapshot.now);
        let notes = vec![ended_note(phase, status.message.as_deref())];
        return AnalysisDecision {
            stop: jobs::surplus(&snapshot.jobs, &status.metric_results, false),
            status,
            measure: Vec::new(),
            expired: false,
            notes,
            next: Next::Ended,
        };
    }

    let (mut measure, next) =
        schedule::schedule(plans, &status.metric_results, started_at, snapshot.now);
    for request in &mut measure {
        let result = status.metric_results.get(request.index);
        request.job = result
            .filter(|_| request.source.is_job())
            .map(|result| jobs::next_name(&snapshot.run.uid, result));
    }
    let notes = if before.phase == Some(AnalysisPhase::Running) {
        Vec::new()
    } else {
        vec![Note {
            reason: "AnalysisRunRunning",
            message: format!("measuring {}", names(plans)),
            warning: false,
        }]
    };
    AnalysisDecision {
        stop: jobs::surplus(&snapshot.jobs, &status.metric_results, true),
        status,
        measure,
        expired: false,
        notes,
        next,
    }
}

/// Why the run ends now, if it does: told to be terminated, a metric ended badly, or all that decide have ended.
fn ended(plans: &[MetricPlan], results: &[MetricResult], terminate: bool) -> Option<assess::Cause> {
    if terminate {
        return Some(assess::Cause::Terminated);
    }
    let phase = |result: &MetricResult| result.phase.unwrap_or(AnalysisPhase::Pending);
    let deciding = || results.iter().filter(|result| result.dry_run != Some(true));
    if let Some(bad) = deciding()
        .find(|result| phase(result).is_terminal() && phase(result) != AnalysisPhase::Successful)
        && !mutated(Mutant::A31FailureWithheld)
    {
        return Some(assess::Cause::MetricEnded {
            metric: bad.name.clone(),
            phase: phase(bad),
        });
    }
    // Metrics in dry run hold the run open only when there is nothing else.
    let only_dry_run = plans.iter().all(|plan| plan.dry_run);
    let waits = if only_dry_run {
        results.iter().any(|result| !phase(result).is_terminal())
    } else {
        deciding().any(|result| !phase(result).is_terminal())
    };
    (!waits).then_some(assess::Cause::AllEnded)
}

fn result_of(before: &AnalysisRunStatus, plan: &MetricPlan) -> MetricResult {
    let known = before
        .metric_results
        .iter()
        .find(|result| result.name == plan.name);
    let mut result = known.cloned().unwrap_or_else(|| MetricResult {
        name: plan.name.clone(),
        phase: Some(AnalysisPhase::Pending),
        ..MetricResult::default()
    });
    result.dry_run = plan.dry_run.then_some(true);
    result
}

fn refuse(before: &AnalysisRunStatus, now: Timestamp, errors: &[FieldError]) -> AnalysisDecision {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    ended_in_error(
        before,
        now,
        &format!("the spec cannot be used: {}", all.join("; ")),
    )
}

/// A run that ends in error for a reason outside its metrics.
pub fn ended_in_error(
    before: &AnalysisRunStatus,
    now: Timestamp,
    message: &str,
) -> AnalysisDecision {
    let message = text::one_line(message, text::MESSAGE);
    let mut status = before.clone();
    status.phase = Some(AnalysisPhase::Error);
    status.message = Some(message.clone());
    status.started_at = status.started_at.or(Some(now));
    status.completed_at = Some(now);
    AnalysisDecision {
        notes: vec![ended_note(AnalysisPhase::Error, Some(&message))],
        status,
        measure: Vec::new(),
        // The next look at the ended run stops its Jobs.
        stop: Vec::new(),
        expired: false,
        next: Next::Ended,
    }
}

fn ended_note(phase: AnalysisPhase, message: Option<&str>) -> Note {
    let reason = match phase {
        AnalysisPhase::Successful => "AnalysisRunSuccessful",
        AnalysisPhase::Failed => "AnalysisRunFailed",
        AnalysisPhase::Inconclusive => "AnalysisRunInconclusive",
        AnalysisPhase::Error | AnalysisPhase::Pending | AnalysisPhase::Running => {
            "AnalysisRunError"
        }
    };
    Note {
        reason,
        message: message.unwrap_or("all metrics succeeded").to_owned(),
        warning: phase != AnalysisPhase::Successful,
    }
}

fn names(plans: &[MetricPlan]) -> String {
    let mut names: Vec<&str> = plans
        .iter()
        .take(5)
        .map(|plan| plan.name.as_str())
        .collect();
    if plans.len() > 5 {
        names.push("…");
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
