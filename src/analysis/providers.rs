//! Fetching values from metric servers. What a value means is [`super::judge`]'s concern.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use http::{HeaderMap, Method};
use reqwest::Url;

use super::args::Secret;
use super::judge::MetricValue;
use super::plan::TimeRange;
use oauth2::TokenError;
use prometheus::FetchError;
use web::WebError;

pub mod connection;
pub mod oauth2;
pub mod prometheus;
pub mod web;

/// A question to a metric server, whole: its address was checked, its secrets are in place.
#[derive(Clone, Debug)]
pub struct Question {
    /// The server.
    pub address: Url,
    /// The query.
    pub query: Secret,
    /// The range, or else the value now is asked for.
    pub range: Option<TimeRange>,
    /// Further headers. Those with secrets are marked as sensitive.
    pub headers: HeaderMap,
    /// Whose word is taken for who the server is.
    pub trust: Trust,
    /// Bounds everything.
    pub timeout: Duration,
}

/// A request to an HTTP endpoint, whole: its address was checked, its secrets are in place.
#[derive(Clone, Debug)]
pub struct WebQuestion {
    /// The method.
    pub method: Method,
    /// Where to ask.
    pub url: Url,
    /// Headers. Those with secrets are marked as sensitive.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Option<Secret>,
    /// Whose word is taken for who the server is.
    pub trust: Trust,
    /// Bounds everything.
    pub timeout: Duration,
}

/// A question to who issues tokens (OAuth2 client credentials).
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Where tokens are issued; it was checked as the address of a metric server is.
    pub address: Url,
    /// The client's identity.
    pub client_id: Secret,
    /// The client's secret.
    pub client_secret: Secret,
    /// What is asked for, separated by spaces.
    pub scope: String,
    /// Bounds everything.
    pub timeout: Duration,
}

/// Whose word is taken for who a server is, where TLS is used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// The authorities of the system.
    #[default]
    System,
    /// These authorities and no others, as certificates in PEM.
    Authorities(String),
    /// The server's own.
    Anybody,
}

/// What a metric server says.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: MetricValue,
    /// What the server says is wrong with it, such as that it is not complete.
    pub warnings: Vec<String>,
}

impl From<MetricValue> for Answer {
    fn from(value: MetricValue) -> Self {
        Self {
            value,
            warnings: Vec::new(),
        }
    }
}

/// Where the values of queries come from: metric servers over HTTP, or the answers of a simulated one.
pub trait MetricSource: fmt::Debug + Send + Sync {
    /// Asks.
    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, FetchError>>;

    /// Asks an HTTP endpoint; the answer is the body.
    fn ask<'a>(&'a self, question: &'a WebQuestion) -> BoxFuture<'a, Result<Vec<u8>, WebError>>;

    /// Asks for a token.
    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Secret, TokenError>>;
}

impl MetricSource for reqwest::Client {
    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, FetchError>> {
        Box::pin(prometheus::fetch(self, question))
    }

    fn ask<'a>(&'a self, question: &'a WebQuestion) -> BoxFuture<'a, Result<Vec<u8>, WebError>> {
        Box::pin(web::ask(self, question))
    }

    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Secret, TokenError>> {
        Box::pin(oauth2::token(self, request))
    }
}
