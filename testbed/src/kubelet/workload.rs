//! The HTTP server inside a pod. It knows nothing of the API server, probes or deletion.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::image_tag::Behaviour;
use super::metrics::{self, Metrics};

/// A server that listens and answers until it is closed or dropped.
#[derive(Debug)]
pub struct Workload {
    close: oneshot::Sender<()>,
    served: AbortOnDropHandle<()>,
}

/// What every request sees.
struct App {
    behaviour: Behaviour,
    started: Instant,
    metrics: Metrics,
    version: HeaderValue,
    pod: HeaderValue,
    body: [Bytes; 2],
}

impl Workload {
    /// Binds the address and starts to answer.
    pub async fn listen(
        address: SocketAddr,
        pod: &str,
        behaviour: Behaviour,
    ) -> std::io::Result<Self> {
        let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let version = behaviour.version.as_str();
        let body = ["ok", "error"].map(|status| {
            Bytes::from(
                serde_json::json!({"version": version, "pod": pod, "status": status}).to_string(),
            )
        });
        let app = Arc::new(App {
            started: Instant::now(),
            metrics: Metrics::new(version),
            version: HeaderValue::from_str(version).map_err(invalid)?,
            pod: HeaderValue::from_str(pod).map_err(invalid)?,
            body,
            behaviour,
        });
        let listener = TcpListener::bind(address).await?;
        let (close, closing) = oneshot::channel();
        let served = AbortOnDropHandle::new(tokio::spawn(serve(listener, app, closing)));
        Ok(Self { close, served })
    }

    /// Closes the listener at once, ends idle connections, and finishes requests in flight until `deadline`.
    ///
    /// Returns whether all of them could be finished; the others are cut.
    pub async fn close(self, deadline: Instant) -> bool {
        let Self { close, served } = self;
        // An error means that the server has ended already: nothing is left to close.
        let _ended = close.send(());
        tokio::time::timeout_at(deadline, served).await.is_ok()
    }
}

async fn serve(listener: TcpListener, app: Arc<App>, mut closing: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut closing => break,
            accepted = listener.accept() => {
                // A failed accept is the peer's reset; it has its error already.
                let Ok((stream, _)) = accepted else { continue };
                // Without it answers wait for acknowledgements; the connection works either way.
                let _best_effort = stream.set_nodelay(true);
                let app = Arc::clone(&app);
                // No timer, hence no time limit for idle connections: the proxy ends those, never the pod.
                let connection = http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| answer(Arc::clone(&app), request)),
                );
                let connection = graceful.watch(connection);
                connections.spawn(async move {
                    // The peer's failure is seen and counted by the peer.
                    let _peer_counts = connection.await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn answer(
    app: Arc<App>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let begun = Instant::now();
    // An unread body would make hyper close the connection.
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    let (status, content_type, body) = match request.uri().path() {
        "/metrics" => (
            StatusCode::OK,
            metrics::CONTENT_TYPE,
            Bytes::from(app.metrics.text()),
        ),
        "/ready" if app.behaviour.is_ready_at(app.started.elapsed()) => {
            (StatusCode::OK, "text/plain", Bytes::from_static(b"ready\n"))
        }
        "/ready" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain",
            Bytes::from_static(b"not ready\n"),
        ),
        _ => {
            if !app.behaviour.latency.is_zero() {
                tokio::time::sleep(app.behaviour.latency).await;
            }
            let share = app.behaviour.error_share_at(app.started.elapsed());
            let failed = share > 0.0 && fastrand::f64() < share;
            let status = if failed {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::OK
            };
            app.metrics.note(status.as_u16(), begun.elapsed());
            (
                status,
                "application/json",
                app.body[usize::from(failed)].clone(),
            )
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-version", app.version.clone());
    headers.insert("x-pod", app.pod.clone());
    Ok(response)
}

#[cfg(test)]
mod tests;
