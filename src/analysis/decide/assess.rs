//! The verdict of one metric from its counts.

use jiff::Timestamp;

use super::jobs;
use crate::analysis::plan::MetricPlan;
use crate::analysis::text;
use crate::api::analysis::{AnalysisPhase, MeasurementPhase, MetricResult, NoDataPolicy};
use crate::mutants::{Mutant, mutated};

/// Why a run ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// It was told to.
    Terminated,
    /// A metric that decides ended badly.
    MetricEnded {
        /// The metric.
        metric: String,
        /// How it ended.
        phase: AnalysisPhase,
    },
    /// Every metric that decides has ended.
    AllEnded,
}

/// Applies the limits after a measurement. A verdict is latched.
pub(super) fn assess(plan: &MetricPlan, result: &mut MetricResult) {
    if result.phase.is_some_and(AnalysisPhase::is_terminal) {
        return;
    }
    let (phase, reason) = over_a_limit(plan, result)
        .or_else(|| enough_in_a_row(plan, result))
        .or_else(|| all_taken(plan, result))
        .unwrap_or((AnalysisPhase::Running, None));
    result.phase = Some(phase);
    result.message = reason.map(|reason| message(result, phase, &reason));
}

/// Ends a metric whose run ends before the metric did. It is Successful only if what was measured would have been enough.
pub(super) fn conclude(
    plan: &MetricPlan,
    result: &mut MetricResult,
    cause: &Cause,
    now: Timestamp,
) {
    if result.phase.is_some_and(AnalysisPhase::is_terminal) {
        return;
    }
    let broken_off = jobs::break_off(result, now);
    let cause = match cause {
        Cause::Terminated => "the run was terminated".to_owned(),
        Cause::MetricEnded { metric, phase } => format!("metric \"{metric}\" ended {phase:?}"),
        Cause::AllEnded => "all metrics that decide have ended".to_owned(),
    };
    let evidence =
        too_little(plan, result, broken_off).filter(|_| !mutated(Mutant::A33TerminatedIsSuccess));
    let phase = match evidence {
        Some(_) => AnalysisPhase::Inconclusive,
        None => AnalysisPhase::Successful,
    };
    let evidence = evidence.unwrap_or_else(|| counts(result));
    result.phase = Some(phase);
    result.message = Some(message(result, phase, &format!("{cause}; {evidence}")));
}

/// Why what was measured is not enough for a success, if so.
fn too_little(plan: &MetricPlan, result: &MetricResult, broken_off: bool) -> Option<String> {
    if result.measurements.is_empty() {
        return Some("it was never measured".to_owned());
    }
    if broken_off {
        return Some(format!("a measurement was under way ({})", counts(result)));
    }
    if result.successful == 0 {
        return Some(format!("no measurement was good ({})", counts(result)));
    }
    if let Some(wanted) = plan.consecutive_success_limit {
        return Some(format!(
            "{} of {wanted} good measurements in a row",
            result.consecutive_success
        ));
    }
    plan.count
        .filter(|count| result.count < *count)
        .map(|count| {
            format!(
                "{} of {} taken ({})",
                result.count,
                many(count, "measurement"),
                counts(result)
            )
        })
}

type Verdict = Option<(AnalysisPhase, Option<String>)>;

fn over_a_limit(plan: &MetricPlan, result: &MetricResult) -> Verdict {
    if let Some(limit) = plan.failure_limit
        && result.failed > limit
    {
        let reason = because(
            result,
            MeasurementPhase::Failed,
            &many(result.failed, "failure"),
            "failureLimit",
            limit,
        );
        return Some((AnalysisPhase::Failed, Some(reason)));
    }
    let no_data = many(result.consecutive_no_data, "measurement");
    let over_no_data = result.consecutive_no_data > plan.no_data_limit;
    let no_data_reason = || {
        because(
            result,
            MeasurementPhase::NoData,
            &format!("{no_data} without data"),
            "noData.limit",
            plan.no_data_limit,
        )
    };
    if over_no_data && plan.no_data_policy == NoDataPolicy::Fail {
        return Some((AnalysisPhase::Failed, Some(no_data_reason())));
    }
    if result.inconclusive > plan.inconclusive_limit {
        let counted = many(result.inconclusive, "inconclusive measurement");
        let reason = because(
            result,
            MeasurementPhase::Inconclusive,
            &counted,
            "inconclusiveLimit",
            plan.inconclusive_limit,
        );
        return Some((AnalysisPhase::Inconclusive, Some(reason)));
    }
    if over_no_data && plan.no_data_policy == NoDataPolicy::Inconclusive {
        return Some((AnalysisPhase::Inconclusive, Some(no_data_reason())));
    }
    if result.consecutive_error > plan.consecutive_error_limit {
        let counted = format!("{} in a row", many(result.consecutive_error, "error"));
        let reason = because(
            result,
            MeasurementPhase::Error,
            &counted,
            "consecutiveErrorLimit",
            plan.consecutive_error_limit,
        );
        return Some((AnalysisPhase::Error, Some(reason)));
    }
    None
}

fn enough_in_a_row(plan: &MetricPlan, result: &MetricResult) -> Verdict {
    let wanted = plan.consecutive_success_limit?;
    (result.consecutive_success >= wanted).then(|| {
        (
            AnalysisPhase::Successful,
            Some(format!("{} in a row", many(wanted, "good measurement"))),
        )
    })
}

/// All measurements were taken and no limit was passed.
fn all_taken(plan: &MetricPlan, result: &MetricResult) -> Verdict {
    let count = plan.count?;
    if result.count < count {
        return None;
    }
    let taken = format!(
        "all {} taken ({})",
        many(count, "measurement"),
        counts(result)
    );
    Some(match (plan.failure_limit, plan.consecutive_success_limit) {
        (Some(_), Some(wanted)) => (
            AnalysisPhase::Inconclusive,
            Some(format!(
                "{taken}, neither failureLimit exceeded nor {wanted} good ones in a row"
            )),
        ),
        (None, Some(wanted)) => (
            AnalysisPhase::Failed,
            Some(format!("{taken}, but never {wanted} good ones in a row")),
        ),
        (_, None) if result.successful == 0 => (
            AnalysisPhase::Inconclusive,
            Some(format!("{taken}, none of them good")),
        ),
        (_, None) => (AnalysisPhase::Successful, None),
    })
}

/// The newest measurement with this verdict, what was counted, and the limit it exceeds.
fn because(
    result: &MetricResult,
    phase: MeasurementPhase,
    counted: &str,
    limit_name: &str,
    limit: i32,
) -> String {
    let newest = result
        .measurements
        .iter()
        .rev()
        .find(|measurement| measurement.phase == Some(phase));
    let what = newest.and_then(|measurement| measurement.message.as_deref());
    let verb = if counted.starts_with("1 ") {
        "exceeds"
    } else {
        "exceed"
    };
    match what {
        Some(what) => format!("{what}; {counted} {verb} {limit_name} {limit}"),
        None => format!("{counted} {verb} {limit_name} {limit}"),
    }
}

fn message(result: &MetricResult, phase: AnalysisPhase, reason: &str) -> String {
    let prefix = if result.dry_run == Some(true) {
        "metric (dry run)"
    } else {
        "metric"
    };
    text::one_line(
        &format!("{prefix} \"{}\" assessed {phase:?}: {reason}", result.name),
        text::MESSAGE,
    )
}

fn many(count: i32, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

fn counts(result: &MetricResult) -> String {
    let parts = [
        (result.successful, "good"),
        (result.failed, "bad"),
        (result.inconclusive, "inconclusive"),
        (result.no_data, "without data"),
        (result.error, "in error"),
    ];
    let named: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    named.join(", ")
}
