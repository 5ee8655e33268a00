//! Which providers, and which parts of them, this release knows.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

use super::fields::{self, Fields};
use super::range::{self, Range};
use crate::analysis::args::{ArgText, Args};
use crate::api::analysis::{
    BasicAuth, Header, MetricProvider, OAuth2, PrometheusAuthentication, SecretKeyRef, Sigv4,
};

/// Seconds after which a query is given up when nothing else is said.
const DEFAULT_TIMEOUT: i64 = 30;
/// The longest timeout, in seconds.
const MAX_TIMEOUT: i64 = 300;

/// The longest certificate bundle, in bytes: a hundred certificates and more.
pub const MAX_CA_CERT: usize = 1 << 18;
/// Headers that belong to the connection, or say which server is meant: whoever may write a template may not set them.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "accept-encoding",
];

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
    /// User name and password.
    pub basic_auth: Option<(ArgText, ArgText)>,
    /// Certificates of the authorities that may have signed the server's.
    pub ca_cert: Option<ArgText>,
    /// Whether any certificate will do.
    pub insecure: bool,
}

impl PrometheusPlan {
    /// All Secrets that it needs, each with the name of its argument.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretKeyRef)> {
        let headers = self.headers.iter().map(|(_, value)| value);
        let credentials = self
            .basic_auth
            .iter()
            .flat_map(|(user, password)| [user, password]);
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
    let headers = headers(&at("headers"), &metric.headers, args, errors);
    let basic_auth = metric
        .authentication
        .as_ref()
        .and_then(|authentication| basic_auth(&at("authentication"), authentication, args, errors));
    if basic_auth.is_some() && headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
        errors.add(
            at("authentication.basicAuth"),
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
        basic_auth,
        ca_cert,
        insecure,
    })
}

/// A text in which secrets may stand.
fn secret(path: &str, text: &str, args: &Args, errors: &mut Fields) -> Option<ArgText> {
    args.substitute(text)
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()
}

fn headers(
    path: &str,
    headers: &[Header],
    args: &Args,
    errors: &mut Fields,
) -> Vec<(HeaderName, ArgText)> {
    let mut read = Vec::new();
    for (at, header) in headers.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Ok(name) = HeaderName::from_bytes(header.key.trim().as_bytes()) else {
            errors.add(format!("{path}.key"), "it is no name of a header");
            continue;
        };
        if RESERVED.contains(&name.as_str()) {
            errors.add(
                format!("{path}.key"),
                format!("\"{name}\" is set by the controller; remove it"),
            );
            continue;
        }
        let path = format!("{path}.value");
        let Some(value) = secret(&path, &header.value, args, errors) else {
            continue;
        };
        if HeaderValue::from_str(value.shown().trim()).is_err() {
            errors.add(path, "it has characters that a header cannot have");
            continue;
        }
        read.push((name, value));
    }
    read
}

fn basic_auth(
    path: &str,
    authentication: &PrometheusAuthentication,
    args: &Args,
    errors: &mut Fields,
) -> Option<(ArgText, ArgText)> {
    // Objects that come from Argo Rollouts itself have all three, those that are not used empty.
    if authentication
        .sigv4
        .as_ref()
        .is_some_and(|sigv4| *sigv4 != Sigv4::default())
    {
        errors.unsupported(format!("{path}.sigv4"));
    }
    if authentication
        .oauth2
        .as_ref()
        .is_some_and(|oauth2| *oauth2 != OAuth2::default())
    {
        errors.unsupported(format!("{path}.oauth2"));
    }
    let basic = authentication
        .basic_auth
        .as_ref()
        .filter(|basic| **basic != BasicAuth::default())?;
    let mut text = |name: &str, text: Option<&str>| {
        let path = format!("{path}.basicAuth.{name}");
        match text.filter(|text| !text.is_empty()) {
            Some(text) => secret(&path, text, args, errors),
            None => {
                errors.add(path, "it is missing; give user name and password");
                None
            }
        }
    };
    let username = text("username", basic.username.as_deref());
    let password = text("password", basic.password.as_deref());
    Some((username?, password?))
}
