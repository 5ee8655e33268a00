//! What a metric asks an HTTP endpoint, and how.

use std::time::Duration;

use http::{HeaderName, Method, header::CONTENT_TYPE};
use serde_json::Value;

use super::credentials::{self, Credentials, secret};
use super::fields::{self, Fields};
use super::provider::secrets_of;
use crate::analysis::args::{ArgText, Args, json::ArgJson};
use crate::analysis::json_path::JsonPath;
use crate::api::analysis::{SecretKeyRef, WebMethod, WebMetric};

/// Seconds after which a request is given up when nothing else is said.
const DEFAULT_TIMEOUT: i64 = 10;

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum WebBody {
    /// A text as it is.
    Text(ArgText),
    /// JSON.
    Json(ArgJson),
}

/// What a metric asks an HTTP endpoint, and how. Secrets are references still.
#[derive(Clone, Debug, PartialEq)]
pub struct WebPlan {
    /// The method.
    pub method: Method,
    /// Where to ask.
    pub url: ArgText,
    /// Headers with their values.
    pub headers: Vec<(HeaderName, ArgText)>,
    /// What is sent.
    pub body: Option<WebBody>,
    /// When to give up.
    pub timeout: Duration,
    /// Where in the answer the value is; `None` for the whole answer.
    pub path: Option<JsonPath>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// How the controller says who it is, beside the headers.
    pub credentials: Option<Credentials>,
}

impl WebPlan {
    /// What is asked, with secrets left out.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method, self.url.shown())
    }

    /// All Secrets that it needs, each with the name of its argument.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretKeyRef)> {
        let headers = self.headers.iter().map(|(_, value)| value);
        let credentials = self.credentials.iter().flat_map(Credentials::texts);
        let body = match &self.body {
            None => Vec::new(),
            Some(WebBody::Text(text)) => vec![text],
            Some(WebBody::Json(json)) => json.texts(),
        };
        let texts = [&self.url].into_iter().chain(headers).chain(credentials);
        secrets_of(texts.chain(body))
    }
}

pub(super) fn plan(
    path: &str,
    metric: &WebMetric,
    args: &Args,
    errors: &mut Fields,
) -> Option<WebPlan> {
    let at = |field: &str| format!("{path}.{field}");
    let before = errors.len();
    let method = match metric.method.unwrap_or_default() {
        WebMethod::Get => Method::GET,
        WebMethod::Post => Method::POST,
        WebMethod::Put => Method::PUT,
    };
    // 0 is what an absent field may have become on its way through other programs.
    let seconds = metric.timeout_seconds.filter(|seconds| *seconds != 0);
    let timeout = fields::timeout(&at("timeoutSeconds"), seconds, DEFAULT_TIMEOUT, errors);
    let headers = credentials::headers(
        &at("headers"),
        &metric.headers,
        Some(&CONTENT_TYPE),
        args,
        errors,
    );
    let credentials = credentials::credentials(
        &at("authentication"),
        metric.authentication.as_ref(),
        &headers,
        args,
        errors,
    );
    let body = body(path, metric, &method, args, errors);
    let json_path = json_path(&at("jsonPath"), metric.json_path.as_deref(), args, errors);
    let Some(url) = metric.url.as_deref().filter(|url| !url.trim().is_empty()) else {
        errors.add(at("url"), "it is missing; say where to ask");
        return None;
    };
    let url = secret(&at("url"), url.trim(), args, errors)?;
    (errors.len() == before).then_some(WebPlan {
        method,
        url,
        headers,
        body,
        timeout,
        path: json_path,
        insecure: metric.insecure.unwrap_or(false),
        credentials,
    })
}

fn body(
    path: &str,
    metric: &WebMetric,
    method: &Method,
    args: &Args,
    errors: &mut Fields,
) -> Option<WebBody> {
    let text = metric.body.as_deref().filter(|body| !body.is_empty());
    let (field, body) = match (text, &metric.json_body) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            errors.add(
                format!("{path}.body"),
                "there is a jsonBody too; keep one of them",
            );
            return None;
        }
        (Some(text), None) => ("body", args.substitute(text).map(WebBody::Text)),
        (None, Some(json)) => {
            let json = Value::Object(json.0.clone());
            ("jsonBody", ArgJson::new(&json, args).map(WebBody::Json))
        }
    };
    let path = format!("{path}.{field}");
    if *method == Method::GET {
        errors.add(path, "it is not sent with GET; set method to POST or PUT");
        return None;
    }
    body.map_err(|error| errors.add(path, error.to_string()))
        .ok()
}

fn json_path(path: &str, text: Option<&str>, args: &Args, errors: &mut Fields) -> Option<JsonPath> {
    let text = fields::plain(path, text?, args, errors)?;
    JsonPath::parse(&text)
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()?
}
