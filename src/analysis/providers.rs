//! Fetching values from metric servers. What a value means is [`super::judge`]'s concern.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use reqwest::Url;

use super::args::Secret;
use super::judge::MetricValue;
use prometheus::FetchError;

pub mod prometheus;

/// Where the values of queries come from: metric servers over HTTP, or the answers of a simulated one.
pub trait MetricSource: fmt::Debug + Send + Sync {
    /// The value of `query` now, at the server with `address`. `timeout` bounds everything.
    fn fetch<'a>(
        &'a self,
        address: &'a Url,
        query: &'a Secret,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<MetricValue, FetchError>>;
}

impl MetricSource for reqwest::Client {
    fn fetch<'a>(
        &'a self,
        address: &'a Url,
        query: &'a Secret,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<MetricValue, FetchError>> {
        Box::pin(prometheus::fetch(self, address, query, timeout))
    }
}
