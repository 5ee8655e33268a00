//! How often a metric is measured, and how many bad measurements it may have.

use std::time::Duration;

use super::fields::{self, Fields};
use crate::analysis::args::Args;
use crate::api::analysis::Metric;

/// The shortest interval: a metric is not a load test of its server.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Timing {
    pub(super) interval: Option<Duration>,
    pub(super) initial_delay: Duration,
    /// `None` means no limit.
    pub(super) count: Option<i32>,
}

pub(super) struct Limits {
    /// `None` means never.
    pub(super) failure: Option<i32>,
    pub(super) inconclusive: i32,
    pub(super) consecutive_error: i32,
    pub(super) consecutive_success: Option<i32>,
}

pub(super) fn timing(path: &str, metric: &Metric, args: &Args, errors: &mut Fields) -> Timing {
    let interval_path = format!("{path}.interval");
    let interval = fields::duration(&interval_path, metric.interval.as_deref(), args, errors);
    if interval.is_some_and(|interval| interval < MIN_INTERVAL) {
        errors.add(interval_path, "it is shorter than 1s; use 1s or more");
    }
    let initial_delay = fields::duration(
        &format!("{path}.initialDelay"),
        metric.initial_delay.as_deref(),
        args,
        errors,
    );

    let count_path = format!("{path}.count");
    let count = fields::number(&count_path, metric.count.as_ref(), args, errors).unwrap_or(0);
    if count < 0 {
        errors.add(count_path, "it is negative; use 1 or more");
    } else if count > 1 && metric.interval.is_none() {
        errors.add(
            format!("{path}.interval"),
            "it is missing; more than one measurement needs an interval",
        );
    }
    let count = match (count.max(0), metric.interval.is_some()) {
        (0, true) => None,
        (0, false) => Some(1),
        (count, _) => Some(count),
    };
    Timing {
        interval,
        initial_delay: initial_delay.unwrap_or_default(),
        count,
    }
}

pub(super) fn limits(
    path: &str,
    metric: &Metric,
    count: Option<i32>,
    args: &Args,
    errors: &mut Fields,
) -> Limits {
    let mut read = |name: &str, value, default: i32, least: i32| {
        let path = format!("{path}.{name}");
        let number = fields::number(&path, value, args, errors).unwrap_or(default);
        if number < least {
            errors.add(path, format!("it is {number}; it is {least} or more"));
        }
        number
    };
    let failure = read("failureLimit", metric.failure_limit.as_ref(), 0, -1);
    let inconclusive = read(
        "inconclusiveLimit",
        metric.inconclusive_limit.as_ref(),
        0,
        0,
    );
    let consecutive_error = read(
        "consecutiveErrorLimit",
        metric.consecutive_error_limit.as_ref(),
        4,
        0,
    );
    let consecutive_success = read(
        "consecutiveSuccessLimit",
        metric.consecutive_success_limit.as_ref(),
        0,
        0,
    );

    if let Some(count) = count {
        let mut fits = |name: &str, limit: i32| {
            if limit > count {
                errors.add(
                    format!("{path}.{name}"),
                    format!("it is {limit}, but the metric is measured {count} times; it can never be reached"),
                );
            }
        };
        fits("failureLimit", failure);
        fits("inconclusiveLimit", inconclusive);
        fits("consecutiveSuccessLimit", consecutive_success);
        if failure > 0
            && consecutive_success > 0
            && failure.saturating_add(consecutive_success) > count
        {
            errors.add(
                format!("{path}.failureLimit"),
                format!(
                    "failureLimit {failure} and consecutiveSuccessLimit {consecutive_success} are together more than the {count} measurements; raise count"
                ),
            );
        }
    }
    Limits {
        failure: (failure >= 0).then_some(failure),
        inconclusive,
        consecutive_error,
        consecutive_success: (consecutive_success > 0).then_some(consecutive_success),
    }
}
