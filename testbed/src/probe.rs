//! Asking a server on this machine over plain HTTP whether it is there.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// Whether a GET of `url` is answered with a success.
///
/// # Errors
/// A sentence that says how it was answered instead.
pub(crate) async fn get(url: &str) -> Result<(), String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    match client.get(uri).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{url} answered {}", answer.status())),
        Err(error) => Err(format!("{url}: {error}")),
    }
}
