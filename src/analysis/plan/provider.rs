//! Which providers, and which parts of them, this release knows.

use std::time::Duration;

use http::{HeaderName, header::AUTHORIZATION};

use super::credentials::{self, Credentials, secret};
use super::fields::{self, Fields};
use super::range::{self, Range};
use crate::analysis::args::{ArgText, Args};
use crate::api::analysis::{MetricProvider, SecretKeyRef};

/// Seconds after which a query is given up when nothing else is said.
const DEFAULT_TIMEOUT: i64 = 30;
/// The longest timeout, in seconds.
const MAX_TIMEOUT: i64 = 300;

/// The longest certificate bundle, in bytes: a hundred certificates and more.
pub const MAX_CA_CERT: usize = 1 << 18;

/// What a metric asks Prometheus, and how. Secrets are references still.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusPlan {
    /// Where to ask; `None` for the address of the installation.
    pub address: Option<String>,
    /// What to ask.
    pub query: ArgText,
    /// The range, or else the value now is asked for.
    pub range: Option<Range>,
    /// When to give up.
    pub timeout: Duration,
    /// Headers with their values.
    pub headers: Vec<(HeaderName, ArgText)>,
    /// How the controller says who it is, beside the headers.
    pub credentials: Option<Credentials>,
    /// Certificates of the authorities that may have signed the server's.
    pub ca_cert: Option<ArgText>,
    /// Whether any certificate will do.
    pub insecure: bool,
}

impl PrometheusPlan {
    /// All Secrets that it needs, each with the name of its argument.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretKeyRef)> {
        let headers = self.headers.iter().map(|(_, value)| value);
        let credentials = self.credentials.iter().flat_map(Credentials::texts);
        [&self.query]
            .into_iter()
            .chain(headers)
            .chain(credentials)
            .chain(&self.ca_cert)
            .flat_map(ArgText::secrets)
    }
}

pub(super) fn prometheus(
    path: &str,
    provider: &MetricProvider,
    args: &Args,
    errors: &mut Fields,
) -> Option<PrometheusPlan> {
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
    let at = |field: &str| format!("{path}.{field}");

    let timeout = metric.timeout.unwrap_or(DEFAULT_TIMEOUT);
    if !(1..=MAX_TIMEOUT).contains(&timeout) {
        errors.add(
            at("timeout"),
            format!("it is {timeout} seconds; it is 1 to {MAX_TIMEOUT}"),
        );
    }
    let address = metric
        .address
        .as_deref()
        .filter(|address| !address.trim().is_empty())
        .and_then(|address| fields::plain(&at("address"), address, args, errors));
    let range = metric
        .range_query
        .as_ref()
        .map(|query| range::range(&at("rangeQuery"), query, args, errors));
    let headers = credentials::headers(&at("headers"), &metric.headers, args, errors);
    let credentials = metric.authentication.as_ref().and_then(|authentication| {
        credentials::credentials(&at("authentication"), authentication, args, errors)
    });
    if credentials.is_some() && headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
        errors.add(
            at("authentication"),
            "there is a header Authorization too; keep one of them",
        );
    }
    let ca_cert = metric
        .ca_cert
        .as_deref()
        .filter(|bundle| !bundle.trim().is_empty())
        .and_then(|bundle| secret(&at("caCert"), bundle, args, errors));
    let insecure = metric.insecure.unwrap_or(false);
    if insecure && ca_cert.is_some() {
        errors.add(
            at("insecure"),
            "it accepts any certificate, so that caCert means nothing; keep one of them",
        );
    }
    let Some(query) = metric
        .query
        .as_deref()
        .filter(|query| !query.trim().is_empty())
    else {
        errors.add(at("query"), "it is missing; give a PromQL query");
        return None;
    };
    let query = secret(&at("query"), query, args, errors)?;
    let range = match range {
        None => None,
        Some(range) => Some(range?),
    };
    Some(PrometheusPlan {
        address,
        query,
        range,
        timeout: Duration::from_secs(timeout.unsigned_abs()),
        headers,
        credentials,
        ca_cert,
        insecure,
    })
}
