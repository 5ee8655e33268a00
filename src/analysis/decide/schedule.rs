//! When each metric is measured next.

use std::time::Duration;

use jiff::Timestamp;

use super::{MeasureRequest, Next, jobs};
use crate::analysis::plan::MetricPlan;
use crate::api::analysis::{AnalysisPhase, MeasurementPhase, MetricResult};

/// After an error, and where there is no interval, the next try comes after this time.
const RETRY: Duration = Duration::from_secs(10);

/// What is due now, or when something will be.
pub(super) fn schedule(
    plans: &[MetricPlan],
    results: &[MetricResult],
    started_at: Timestamp,
    now: Timestamp,
) -> (Vec<MeasureRequest>, Next) {
    let mut due = Vec::new();
    let mut next: Option<(Timestamp, &str)> = None;
    let mut awaited = false;
    for (index, (plan, result)) in plans.iter().zip(results).enumerate() {
        if result.phase.is_some_and(AnalysisPhase::is_terminal) {
            continue;
        }
        if jobs::awaited(result).is_some() {
            awaited = true;
            continue;
        }
        let at = due_at(plan, result, started_at, now);
        if at <= now {
            due.push(MeasureRequest {
                index,
                metric: plan.name.clone(),
                source: plan.source.clone(),
                conditions: plan.conditions.clone(),
                job: None,
            });
        } else if next.is_none_or(|(earliest, _)| at < earliest) {
            next = Some((at, &plan.name));
        }
    }
    let next = match next {
        _ if !due.is_empty() => Next::Measured,
        Some((time, metric)) => Next::At {
            time,
            metric: metric.to_owned(),
        },
        None if awaited => Next::OnChange,
        // A run all of whose metrics ended has ended; the caller does not ask then.
        None => Next::Ended,
    };
    (due, next)
}

fn due_at(
    plan: &MetricPlan,
    result: &MetricResult,
    started_at: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let last = result.measurements.last();
    let Some(finished_at) = last.and_then(|measurement| measurement.finished_at) else {
        return later(started_at, plan.initial_delay);
    };
    let wait = match (
        last.and_then(|measurement| measurement.phase),
        plan.interval,
    ) {
        (Some(MeasurementPhase::Error), _) | (_, None) => RETRY,
        (_, Some(interval)) => interval,
    };
    // The clock went back by more than the wait, here or between two controllers: do not wait for it to catch up.
    if finished_at > later(now, wait) {
        return now;
    }
    later(finished_at, wait)
}

fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}
