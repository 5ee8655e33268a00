//! Asks Prometheus, or what speaks its HTTP API, for the value of a query now.
//!
//! The server may be anybody's: the time, the size of the answer and what is repeated of it are bounded, and redirects
//! are not followed. Whether the address may be asked at all was checked before, by the allow-list.

mod answer;

use std::time::Duration;

use reqwest::Url;
use thiserror::Error;

use super::connection::{self, BodyError, host};
use super::{Answer, Question};
use crate::analysis::text;
use crate::api::duration;

pub use answer::parse;

/// The largest answer that is read, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The most series that are judged: a condition is evaluated over each.
pub const MAX_SERIES: usize = 1_000;
/// Longer queries are posted: servers and proxies bound the length of a URL.
const MAX_QUERY_IN_URL: usize = 2_048;

/// Why there is no value.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The address is no base address.
    #[error("the address cannot be used: {0}")]
    Address(String),
    /// No answer in time.
    #[error("Prometheus at {host} did not answer within {}", duration::format(*.timeout))]
    Timeout {
        /// The server.
        host: String,
        /// The time it had.
        timeout: Duration,
    },
    /// The server cannot be reached, or it broke off.
    #[error("Prometheus at {host} cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why.
        reason: String,
    },
    /// The answer is too large.
    #[error(
        "the answer of Prometheus is larger than {} bytes; aggregate in the query",
        MAX_BODY
    )]
    TooLarge,
    /// The server refuses or has a problem.
    #[error("Prometheus answered {status}{}", .detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Prometheus' own words, where they are its.
        detail: Option<String>,
    },
    /// The answer is not one of Prometheus.
    #[error("the answer is not one of Prometheus ({0}); is the address right?")]
    NotPrometheus(String),
    /// The result is of a type that is not judged.
    #[error("the result is of type {0}; use a query whose result is a vector or a scalar")]
    ResultType(String),
    /// The authorities cannot be used.
    #[error(
        "caCert has no certificates in PEM that can be used; give those of the authority that signed the server's"
    )]
    Authorities,
    /// There are too many points.
    #[error(
        "the result has {0} points; at most {MAX_SERIES} are judged, aggregate in the query or use a longer step"
    )]
    TooManyPoints(usize),
    /// There are too many series.
    #[error("the result has {0} series; at most {MAX_SERIES} are judged, aggregate in the query")]
    TooManySeries(usize),
}

/// Asks the question. Its timeout bounds everything.
pub async fn fetch(client: &reqwest::Client, question: &Question) -> Result<Answer, FetchError> {
    tokio::time::timeout(question.timeout, ask(client, question))
        .await
        .unwrap_or_else(|_| {
            Err(FetchError::Timeout {
                host: host(&question.address),
                timeout: question.timeout,
            })
        })
}

async fn ask(client: &reqwest::Client, question: &Question) -> Result<Answer, FetchError> {
    let address = &question.address;
    let own = connection::client_for(&question.trust).map_err(|_| FetchError::Authorities)?;
    let client = own.as_ref().unwrap_or(client);
    let prometheus = prometheus_http_query::Client::from(client.clone(), address.as_str())
        .map_err(|error| FetchError::Address(text::one_line(&error.to_string(), 200)))?;
    let query = question.query.reveal();
    let timeout = i64::try_from(question.timeout.as_millis()).unwrap_or(i64::MAX);
    let post = query.len() > MAX_QUERY_IN_URL;
    let headers = question.headers.iter();
    let response = if let Some(range) = &question.range {
        let (start, end) = (range.start.as_second(), range.end.as_second());
        let request = prometheus.query_range(query, start, end, range.step.as_secs_f64());
        let request = headers.fold(request.timeout(timeout), |request, (name, value)| {
            request.header(name.clone(), value.clone())
        });
        if post {
            request.post_raw().await
        } else {
            request.get_raw().await
        }
    } else {
        let request = prometheus.query(query).timeout(timeout);
        let request = headers.fold(request, |request, (name, value)| {
            request.header(name.clone(), value.clone())
        });
        if post {
            request.post_raw().await
        } else {
            request.get_raw().await
        }
    };
    let response = response.map_err(|error| unreachable_server(address, &error))?;
    let status = response.status().as_u16();
    let body = connection::body(response, MAX_BODY)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => FetchError::TooLarge,
            BodyError::Broken(error) => unreachable_server(address, &error),
        })?;
    answer::parse(status, &body)
}

fn unreachable_server(address: &Url, error: &(dyn std::error::Error + 'static)) -> FetchError {
    FetchError::Unreachable {
        host: host(address),
        reason: connection::reason(error, Some("caCert")),
    }
}

#[cfg(test)]
mod tests;
