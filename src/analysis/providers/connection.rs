//! What all providers have in common that ask over HTTP: clients, bounded bodies, and reasons without secrets.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Certificate, Url};
use thiserror::Error;

use super::Trust;
use crate::analysis::text;

/// A server that takes longer to accept a connection is taken to be down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The authorities cannot be used.
#[derive(Debug)]
pub struct BadAuthorities;

/// Why there is no body.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is too large.
    #[error("the body is too large")]
    TooLarge,
    /// The server broke off.
    #[error(transparent)]
    Broken(reqwest::Error),
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
pub(super) fn client_for(trust: &Trust) -> Result<Option<reqwest::Client>, BadAuthorities> {
    let builder = match trust {
        Trust::System => return Ok(None),
        Trust::Anybody => builder().tls_danger_accept_invalid_certs(true),
        Trust::Authorities(bundle) => {
            let authorities =
                Certificate::from_pem_bundle(bundle.as_bytes()).map_err(|_| BadAuthorities)?;
            if authorities.is_empty() {
                return Err(BadAuthorities);
            }
            builder().tls_certs_only(authorities)
        }
    };
    builder.build().map(Some).map_err(|_| BadAuthorities)
}

/// The body, as far as the cap in bytes.
pub(super) async fn body(response: reqwest::Response, max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(BodyError::Broken)?;
        if body.len() + chunk.len() > max {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Only the innermost cause is told: the outer ones repeat the URL, which holds the query and with it secrets. `authorities`
/// is the field in which certificates are given, where there is one.
pub(super) fn reason(
    error: &(dyn std::error::Error + 'static),
    authorities: Option<&str>,
) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let reason = match innermost.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "the connection timed out".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => text::one_line(&innermost.to_string(), 200),
    };
    match authorities {
        Some(field) if reason.contains("certificate") => {
            format!("{reason}; give the certificate of its authority in {field}")
        }
        Some(_) | None => reason,
    }
}

/// Host and port, as they are shown.
pub(super) fn host(address: &Url) -> String {
    let port = address
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}{port}", address.host_str().unwrap_or_default())
}
