//! Which providers, and which parts of them, this release knows.

use std::time::Duration;

use super::fields::{self, Fields};
use crate::analysis::args::{ArgText, Args};
use crate::api::analysis::{MetricProvider, PrometheusMetric};

/// Seconds after which a query is given up when nothing else is said.
const DEFAULT_TIMEOUT: i64 = 30;
/// The longest timeout, in seconds.
const MAX_TIMEOUT: i64 = 300;

pub(super) struct Source {
    pub(super) address: Option<String>,
    pub(super) query: ArgText,
    pub(super) timeout: Duration,
}

pub(super) fn prometheus(
    path: &str,
    provider: &MetricProvider,
    args: &Args,
    errors: &mut Fields,
) -> Option<Source> {
    let others = [
        ("web", &provider.web),
        ("job", &provider.job),
        ("datadog", &provider.datadog),
        ("newRelic", &provider.new_relic),
        ("wavefront", &provider.wavefront),
        ("cloudWatch", &provider.cloud_watch),
        ("graphite", &provider.graphite),
        ("influxdb", &provider.influxdb),
        ("skywalking", &provider.skywalking),
        ("kayenta", &provider.kayenta),
        ("plugin", &provider.plugin),
    ];
    let mut unsupported = false;
    for (name, _) in others.into_iter().filter(|(_, value)| value.is_some()) {
        unsupported = true;
        errors.add(
            format!("{path}.{name}"),
            "this provider is not supported by this release; use prometheus",
        );
    }
    let Some(metric) = &provider.prometheus else {
        if !unsupported {
            errors.add(path, "there is no provider; set prometheus");
        }
        return None;
    };
    let path = format!("{path}.prometheus");
    refuse_unsupported(&path, metric, errors);

    let timeout = metric.timeout.unwrap_or(DEFAULT_TIMEOUT);
    if !(1..=MAX_TIMEOUT).contains(&timeout) {
        errors.add(
            format!("{path}.timeout"),
            format!("it is {timeout} seconds; it is 1 to {MAX_TIMEOUT}"),
        );
    }
    let address = metric
        .address
        .as_deref()
        .filter(|address| !address.trim().is_empty())
        .and_then(|address| fields::plain(&format!("{path}.address"), address, args, errors));
    let query_path = format!("{path}.query");
    let Some(query) = metric
        .query
        .as_deref()
        .filter(|query| !query.trim().is_empty())
    else {
        errors.add(query_path, "it is missing; give a PromQL query");
        return None;
    };
    let query = args
        .substitute(query)
        .map_err(|error| errors.add(query_path, error.to_string()))
        .ok()?;
    Some(Source {
        address,
        query,
        timeout: Duration::from_secs(timeout.unsigned_abs()),
    })
}

fn refuse_unsupported(path: &str, metric: &PrometheusMetric, errors: &mut Fields) {
    for (name, present) in [
        ("authentication", metric.authentication.is_some()),
        ("insecure", metric.insecure == Some(true)),
        ("headers", !metric.headers.is_empty()),
        ("rangeQuery", metric.range_query.is_some()),
    ] {
        if present {
            errors.unsupported(format!("{path}.{name}"));
        }
    }
}
