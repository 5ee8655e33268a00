//! Asks an HTTP endpoint.
//!
//! The server may be anybody's: time and size of the answer are bounded, redirects are not followed, and of an answer that
//! is not 2xx nothing is repeated. Whether the address may be asked at all was checked before, by the allow-list.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use thiserror::Error;

use super::WebQuestion;
use super::connection::{self, BodyError, host};
use crate::analysis::json_path::JsonPath;
use crate::analysis::judge::MetricValue;
use crate::api::duration;

/// The largest answer that is read, in bytes.
const MAX_BODY: usize = 1 << 20;
/// The most values in JSON that are judged: a condition may be evaluated over each.
const MAX_VALUES: usize = 10_000;

/// Why there is no value.
#[derive(Debug, Error)]
pub enum WebError {
    /// No answer in time.
    #[error("{host} did not answer within {}", duration::format(*.timeout))]
    Timeout {
        /// The server.
        host: String,
        /// The time it had.
        timeout: Duration,
    },
    /// The server cannot be reached, or it broke off.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server says no.
    #[error("{host} answered {status}; only 2xx is a measurement")]
    Refused {
        /// The server.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is too large.
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// The answer is no text.
    #[error("the answer is no text")]
    NotText,
    /// A path leads into an answer that is no JSON.
    #[error("the answer is no JSON, but jsonPath leads into it; is the url right?")]
    NotJson,
    /// There is too much to judge.
    #[error(
        "there are more than {MAX_VALUES} values in the answer; lead to those that matter with jsonPath"
    )]
    TooManyValues,
    /// No client can be made.
    #[error("TLS without verification cannot be set up")]
    Tls,
}

/// Asks. The question's timeout bounds everything. The answer is the body.
pub async fn ask(client: &reqwest::Client, question: &WebQuestion) -> Result<Vec<u8>, WebError> {
    tokio::time::timeout(question.timeout, asked(client, question))
        .await
        .unwrap_or_else(|_| {
            Err(WebError::Timeout {
                host: host(&question.url),
                timeout: question.timeout,
            })
        })
}

async fn asked(client: &reqwest::Client, question: &WebQuestion) -> Result<Vec<u8>, WebError> {
    let own = connection::client_for(&question.trust).map_err(|_| WebError::Tls)?;
    let client = own.as_ref().unwrap_or(client);
    let mut request = client
        .request(question.method.clone(), question.url.clone())
        .headers(question.headers.clone());
    if let Some(body) = &question.body {
        request = request.body(body.reveal().to_owned());
    }
    let response = request
        .send()
        .await
        .map_err(|error| unreachable_server(&question.url, &error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(WebError::Refused {
            host: host(&question.url),
            status: status.as_u16(),
        });
    }
    connection::body(response, MAX_BODY)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => WebError::TooLarge,
            BodyError::Broken(error) => unreachable_server(&question.url, &error),
        })
}

fn unreachable_server(url: &Url, error: &(dyn std::error::Error + 'static)) -> WebError {
    WebError::Unreachable {
        host: host(url),
        reason: connection::reason(error, None),
    }
}

/// The value in a body: what is at the path, or all of it. Without a path a body that is no JSON is a text. Pure; it may take
/// long on a large answer.
pub fn read(body: &[u8], path: Option<&JsonPath>) -> Result<MetricValue, WebError> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let found = match (json, path) {
        (Some(json), None) => json,
        (Some(json), Some(path)) => path.find(&json).unwrap_or(Value::Null),
        (None, None) => {
            let text = std::str::from_utf8(body).map_err(|_| WebError::NotText)?;
            return Ok(MetricValue::Text(text.to_owned()));
        }
        (None, Some(_)) => return Err(WebError::NotJson),
    };
    if count(&found) > MAX_VALUES {
        return Err(WebError::TooManyValues);
    }
    Ok(MetricValue::Json(found))
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => fields.values().map(count).sum(),
    }
}

#[cfg(test)]
mod tests;
