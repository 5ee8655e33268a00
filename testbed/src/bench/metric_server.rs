//! A stand-in for Prometheus that answers every query with one number, and knows when it gave the bad one: the moment from
//! which a reaction is counted.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::clock;

#[derive(Debug, Default)]
struct Answers {
    bad: bool,
    /// When the first bad answer was given.
    bad_since: Option<Instant>,
}

/// The server. It ends when this is dropped.
pub(super) struct MetricServer {
    url: String,
    answers: Arc<Mutex<Answers>>,
    _serving: AbortOnDropHandle<()>,
}

impl MetricServer {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.context("no port for the metric server")?;
        let url = format!("http://{}", listener.local_addr()?);
        let answers = Arc::<Mutex<Answers>>::default();
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, Arc::clone(&answers))));
        Ok(Self {
            url,
            answers,
            _serving: serving,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Answers well from now on.
    pub(super) fn be_good(&self) {
        *self.lock() = Answers::default();
    }

    /// Answers badly from now on.
    pub(super) fn be_bad(&self) {
        self.lock().bad = true;
    }

    /// When the first bad answer was given, if it was.
    pub(super) fn bad_since(&self) -> Option<Instant> {
        self.lock().bad_since
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, answers: Arc<Mutex<Answers>>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        // A failed accept is the peer's reset; it has its error already.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let answers = Arc::clone(&answers);
        let service = service_fn(move |request| answer(request, Arc::clone(&answers)));
        connections.spawn(async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection to the metric server");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    mut request: Request<Incoming>,
    answers: Arc<Mutex<Answers>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // An unread body would make hyper close the connection.
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    let bad = {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.bad {
            answers.bad_since.get_or_insert_with(Instant::now);
        }
        answers.bad
    };
    let value = if bad { "1" } else { "0" };
    let body = json!({
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [clock::now().as_second(), value]}]},
    });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    response.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
