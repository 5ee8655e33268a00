//! Measurements that Jobs take: found done, found again after a crash, and stopped when nothing waits for them.

use jiff::Timestamp;

use super::{JobTarget, assess, record};
use crate::analysis::jobs::{self, JOB_NAME, JobState, JobView};
use crate::analysis::plan::MetricPlan;
use crate::analysis::snapshot::AnalysisRunSnapshot;
use crate::api::analysis::{AnalysisPhase, Measurement, MeasurementPhase, MetricResult};

/// The Job that a metric's newest measurement waits for.
pub(super) fn awaited(result: &MetricResult) -> Option<&str> {
    let newest = result.measurements.last()?;
    (newest.phase == Some(MeasurementPhase::Running))
        .then(|| newest.metadata.get(JOB_NAME).map(String::as_str))
        .flatten()
}

/// The name of the Job that takes the metric's next measurement. It follows from the status alone, so that one whose start
/// was not written down any more is found again.
pub(super) fn next_name(run_uid: &str, result: &MetricResult) -> String {
    let taken = result.count.saturating_add(result.error);
    jobs::name(run_uid, &result.name, taken.saturating_add(1))
}

/// Enters what Jobs have come to, and Jobs that were started before a crash.
pub(super) fn settle(plan: &MetricPlan, result: &mut MetricResult, snapshot: &AnalysisRunSnapshot) {
    if !plan.source.is_job() || result.phase.is_some_and(AnalysisPhase::is_terminal) {
        return;
    }
    let job = |name: &str| snapshot.jobs.iter().find(|job| job.name == name);
    if awaited(result).is_none() {
        let Some(started) = job(&next_name(&snapshot.run.uid, result)) else {
            return;
        };
        record::begin(
            plan,
            result,
            started.created.unwrap_or(snapshot.now),
            &started.name,
        );
        assess::assess(plan, result);
    }
    let Some(name) = awaited(result) else { return };
    let Some((phase, message)) = verdict(job(name)) else {
        return;
    };
    record::finish(result, phase, message, snapshot.now);
    assess::assess(plan, result);
}

/// What a Job says about the version. `None`: nothing yet.
fn verdict(job: Option<&JobView>) -> Option<(MeasurementPhase, Option<String>)> {
    use MeasurementPhase::{Failed, Inconclusive, Successful};
    let because = |phase, why: String| Some((phase, Some(why)));
    let Some(job) = job else {
        return because(
            Inconclusive,
            "its Job was deleted before it was done".to_owned(),
        );
    };
    let name = &job.name;
    match &job.state {
        JobState::Active => None,
        JobState::Complete => Some((Successful, None)),
        JobState::Failed(why) => because(Failed, format!("Job {name} failed: {why}")),
        JobState::NoImage(why) => because(
            Inconclusive,
            format!("Job {name} cannot run, which says nothing about the version: {why}"),
        ),
        JobState::Deleting => because(
            Inconclusive,
            format!("Job {name} was deleted before it was done"),
        ),
    }
}

/// Ends the measurement of a metric whose run ends before its Job. It proves nothing.
pub(super) fn break_off(result: &mut MetricResult, now: Timestamp) -> bool {
    let Some(name) = awaited(result).map(str::to_owned) else {
        return false;
    };
    let why = format!("Job {name} was stopped: the run has ended");
    record::finish(result, MeasurementPhase::Inconclusive, Some(why), now);
    true
}

/// Jobs that nothing waits for: those at work, and while the run goes on those of measurements that are not kept any more.
pub(super) fn surplus(
    jobs: &[JobView],
    results: &[MetricResult],
    run_goes_on: bool,
) -> Vec<JobTarget> {
    let awaits = |job: &JobView| {
        results
            .iter()
            .any(|result| awaited(result) == Some(&job.name))
    };
    let names = |measurement: &Measurement, job: &JobView| {
        measurement.metadata.get(JOB_NAME) == Some(&job.name)
    };
    let kept = |job: &JobView| {
        let mut all = results.iter().flat_map(|result| &result.measurements);
        all.any(|measurement| names(measurement, job))
    };
    jobs.iter()
        .filter(|job| job.state != JobState::Deleting && !awaits(job))
        .filter(|job| job.state.is_active() || (run_goes_on && !kept(job)))
        .map(|job| JobTarget {
            name: job.name.clone(),
            uid: job.uid.clone(),
        })
        .collect()
}
