//! What a metric asks Prometheus, and how.

use std::time::Duration;

use http::HeaderName;

use super::credentials::{self, Credentials, secret};
use super::fields::{self, Fields};
use super::provider::secrets_of;
use super::range::{self, Range};
use crate::analysis::args::{ArgText, Args};
use crate::api::analysis::{PrometheusMetric, SecretKeyRef};

/// Seconds after which a query is given up when nothing else is said.
const DEFAULT_TIMEOUT: i64 = 30;

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
        let texts = [&self.query].into_iter().chain(headers);
        secrets_of(texts.chain(credentials).chain(&self.ca_cert))
    }
}

pub(super) fn plan(
    path: &str,
    metric: &PrometheusMetric,
    args: &Args,
    errors: &mut Fields,
) -> Option<PrometheusPlan> {
    let at = |field: &str| format!("{path}.{field}");

    let timeout = fields::timeout(&at("timeout"), metric.timeout, DEFAULT_TIMEOUT, errors);
    let address = metric
        .address
        .as_deref()
        .filter(|address| !address.trim().is_empty())
        .and_then(|address| fields::plain(&at("address"), address, args, errors));
    let range = metric
        .range_query
        .as_ref()
        .map(|query| range::range(&at("rangeQuery"), query, args, errors));
    let headers = credentials::headers(&at("headers"), &metric.headers, None, args, errors);
    let credentials = credentials::credentials(
        &at("authentication"),
        metric.authentication.as_ref(),
        &headers,
        args,
        errors,
    );
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
        timeout,
        headers,
        credentials,
        ca_cert,
        insecure,
    })
}
