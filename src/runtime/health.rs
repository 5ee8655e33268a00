//! The HTTP endpoints for the kubelet and for Prometheus: `/healthz`, `/readyz` and `/metrics`.
//!
//! What has to be ready is said by those who make it so, through gates. Who leads does not matter here: a replica that
//! stands by is ready too, else a roll-out of the controller itself would wait for ever.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::instruments::{CONTENT_TYPE, Instruments};

/// Named gates that all have to be open for the process to be ready. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Readiness {
    /// Ready as long as no gate is made.
    pub fn new() -> Self {
        Self::default()
    }

    /// A gate that is closed at first, `why` being what it waits for. Gates of one name are one gate.
    pub fn gate(&self, name: &'static str, why: impl Into<String>) -> Gate {
        let gate = Gate {
            readiness: self.clone(),
            name,
        };
        gate.close(why);
        gate
    }

    /// The closed gates and why, in order of name; none means ready.
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates
            .iter()
            .filter_map(|(name, closed)| closed.clone().map(|why| (*name, why)))
            .collect()
    }

    fn set(&self, name: &'static str, closed: Option<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, closed);
    }
}

/// One thing the process needs before it is ready.
#[derive(Clone, Debug)]
pub struct Gate {
    readiness: Readiness,
    name: &'static str,
}

impl Gate {
    /// It is there.
    pub fn open(&self) {
        self.readiness.set(self.name, None);
    }

    /// It is missing, or missing again.
    pub fn close(&self, why: impl Into<String>) {
        self.readiness.set(self.name, Some(why.into()));
    }
}

/// Why the endpoints are not served.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened on.
    #[error("health endpoints on {address}: {source}. Give --health-address one that is free")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server ended with an error.
    #[error("health endpoints: {0}")]
    Serve(#[source] io::Error),
}

/// Takes the address, so that a mistake is seen before anything else starts.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, HealthError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| HealthError::Listen { address, source })
}

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    instruments: Instruments,
    shutdown: CancellationToken,
) -> Result<(), HealthError> {
    axum::serve(listener, router(readiness, instruments))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(HealthError::Serve)
}

fn router(readiness: Readiness, instruments: Instruments) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(instruments))
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let lines: Vec<String> = missing
        .iter()
        .map(|(name, why)| format!("{name}: {why}\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.concat()).into_response()
}

async fn metrics(State(instruments): State<Instruments>) -> Response {
    match instruments.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("metrics: {error}\n"),
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str, readiness: &Readiness) -> (u16, String, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router(readiness.clone(), Instruments::new())
            .oneshot(request)
            .await
            .expect("infallible");
        let status = response.status().as_u16();
        let content_type = response.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .to_owned();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .expect("a body");
        (
            status,
            content_type,
            String::from_utf8(body.to_vec()).expect("text"),
        )
    }

    #[tokio::test]
    async fn is_ready_when_every_gate_is_open_and_says_what_is_missing() {
        let readiness = Readiness::new();
        let caches = readiness.gate("caches", "rollouts are being listed");
        let crds = readiness.gate("crds", "rollouts.tidegate.dev is not installed");
        let mut answers = Vec::new();
        answers.push(get("/readyz", &readiness).await);
        caches.open();
        answers.push(get("/readyz", &readiness).await);
        crds.open();
        answers.push(get("/readyz", &readiness).await);
        caches.close("the watch of services is refused");
        answers.push(get("/readyz", &readiness).await);
        let answers: Vec<_> = answers
            .iter()
            .map(|(status, _, body)| (*status, body.as_str()))
            .collect();
        let both =
            "caches: rollouts are being listed\ncrds: rollouts.tidegate.dev is not installed\n";
        assert_eq!(
            answers,
            [
                (503, both),
                (503, "crds: rollouts.tidegate.dev is not installed\n"),
                (200, "ok\n"),
                (503, "caches: the watch of services is refused\n"),
            ]
        );
    }

    #[tokio::test]
    async fn is_alive_before_it_is_ready() {
        let readiness = Readiness::new();
        readiness.gate("caches", "not yet");
        assert_eq!(get("/healthz", &readiness).await.0, 200);
    }

    #[tokio::test]
    async fn metrics_are_open_metrics() {
        let (status, content_type, text) = get("/metrics", &Readiness::new()).await;
        assert_eq!((status, content_type.as_str()), (200, CONTENT_TYPE));
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn serves_on_its_address_until_shutdown() {
        let listener = listen("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(
            listener,
            Readiness::new(),
            Instruments::new(),
            shutdown.clone(),
        ));
        let mut connection = tokio::net::TcpStream::connect(address)
            .await
            .expect("connected");
        connection
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("read");
        shutdown.cancel();
        server.await.expect("joined").expect("served");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port")
            .local_addr()
            .expect("an address");
        let holder = TcpListener::bind(taken).await.expect("still free");
        let error = listen(taken).await.expect_err("in use").to_string();
        drop(holder);
        assert!(
            error.starts_with(&format!("health endpoints on {taken}: ")),
            "{error}"
        );
    }
}
