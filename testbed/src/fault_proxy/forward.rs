//! Connections and requests through the proxy, and their cutting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Counts;
use super::plan::{Plan, Then, Verdict, is_write};

/// What all connections share.
pub(super) struct Shared {
    pub(super) plan: Mutex<Plan>,
    /// While true, nothing is served.
    pub(super) down: watch::Sender<bool>,
    /// How many cuts there were.
    pub(super) cuts: watch::Sender<usize>,
    pub(super) counts: Counts,
    pub(super) upstream: Authority,
    pub(super) client: Client<HttpsConnector<HttpConnector>, Incoming>,
}

/// The client's connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("cut by the test")]
    Cut,
    #[error("the API server did not answer: {0}")]
    Upstream(#[from] hyper_util::client::legacy::Error),
    #[error("the request has no valid target: {0}")]
    Target(#[from] http::uri::InvalidUriParts),
}

impl Shared {
    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, then: Then) -> Ended {
        match then {
            Then::StayDown => {
                self.down.send_replace(true);
            }
            Then::GoOn => {}
        }
        self.cuts.send_modify(|cuts| *cuts += 1);
        Ended::Cut
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>, Ended> {
        if *self.down.borrow() {
            return Err(Ended::Cut);
        }
        let target = request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or(PathAndQuery::from_static("/"));
        let counted = is_write(request.method()) && (self.counts)(target.path());
        let number = if counted {
            let verdict = self
                .plan()
                .arrive(request.method().clone(), target.to_string());
            match verdict {
                Verdict::Forward(number) => Some(number),
                Verdict::CutNow(then) => return Err(self.cut(then)),
            }
        } else {
            None
        };
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTPS);
        uri.authority = Some(self.upstream.clone());
        uri.path_and_query = Some(target);
        *request.uri_mut() = Uri::from_parts(uri)?;
        let response = self.client.request(request).await?;
        let heard =
            number.and_then(|number| self.plan().answer(number, response.status().as_u16()));
        match heard {
            Some(then) => Err(self.cut(then)),
            None => Ok(response),
        }
    }
}

/// Accepts for ever. All connections end with this future.
pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        // A failed accept is the peer's reset.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        // Dropped at once while down.
        if !*shared.down.borrow() {
            connections.spawn(serve_one(stream, tls.clone(), Arc::clone(&shared)));
        }
    }
}

async fn serve_one(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut down = shared.down.subscribe();
    let served = async {
        // Without it small frames of a watch wait for acknowledgements; the connection works either way.
        let _best_effort = stream.set_nodelay(true);
        match tls.accept(stream).await {
            Ok(stream) => {
                let forward = service_fn(|request| shared.forward(request));
                let served = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), forward)
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a client's connection ended");
                }
            }
            Err(error) => tracing::warn!(%error, "TLS with a client of the fault proxy"),
        }
    };
    tokio::select! {
        () = served => {}
        // The sender lives in `shared`; an error cannot come before the end of this future.
        _ = down.wait_for(|down| *down) => {}
    }
}
