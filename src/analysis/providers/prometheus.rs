//! Asks Prometheus, or what speaks its HTTP API, for the value of a query now.
//!
//! The server may be anybody's: the time, the size of the answer and what is repeated of it are bounded, and redirects
//! are not followed. Whether the address may be asked at all was checked before, by the allow-list.

mod answer;

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Certificate, Url};
use thiserror::Error;

use super::{Answer, Question, Trust};
use crate::analysis::text;
use crate::api::duration;

pub use answer::parse;

/// The largest answer that is read, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The most series that are judged: a condition is evaluated over each.
pub const MAX_SERIES: usize = 1_000;
/// A server that takes longer to accept a connection is taken to be down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
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

/// The client for metric servers that the system's authorities know: it follows no redirect and uses no proxy of its
/// environment.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    builder().build()
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
}

/// A client for one question to a server that the system's authorities need not know. `None`: the common one will do.
fn client_for(trust: &Trust) -> Result<Option<reqwest::Client>, FetchError> {
    let builder = match trust {
        Trust::System => return Ok(None),
        Trust::Anybody => builder().tls_danger_accept_invalid_certs(true),
        Trust::Authorities(bundle) => {
            let authorities = Certificate::from_pem_bundle(bundle.as_bytes())
                .map_err(|_| FetchError::Authorities)?;
            if authorities.is_empty() {
                return Err(FetchError::Authorities);
            }
            builder().tls_certs_only(authorities)
        }
    };
    builder
        .build()
        .map(Some)
        .map_err(|_| FetchError::Authorities)
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
    let own = client_for(&question.trust)?;
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
    let body = body(response, address).await?;
    answer::parse(status, &body)
}

/// The body, as far as the cap.
async fn body(response: reqwest::Response, address: &Url) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| unreachable_server(address, &error))?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Only the innermost cause is told: the outer ones repeat the URL, which holds the query and with it secrets.
fn unreachable_server(address: &Url, error: &(dyn std::error::Error + 'static)) -> FetchError {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let reason = match innermost.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "the connection timed out".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => text::one_line(&innermost.to_string(), 200),
    };
    let reason = if reason.contains("certificate") {
        format!("{reason}; give the certificate of its authority in caCert")
    } else {
        reason
    };
    FetchError::Unreachable {
        host: host(address),
        reason,
    }
}

fn host(address: &Url) -> String {
    let port = address
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}{port}", address.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests;
