//! A guard in front of an HTTP server: TLS with an authority of its own, and only who brings the right header gets through.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context, Result};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::fault_proxy::Identity;

/// A running guard. It ends when it is dropped.
pub struct Guard {
    url: String,
    ca_pem: String,
    _serving: AbortOnDropHandle<()>,
}

struct Gate {
    upstream: String,
    authorization: String,
    others: HeaderMap,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Guard {
    /// Stands before `upstream` (`http://HOST:PORT`) and lets requests through that have this `Authorization` and all of
    /// `others`.
    ///
    /// # Errors
    /// When there is no free port, or no certificate can be made.
    pub async fn before(upstream: &str, authorization: &str, others: HeaderMap) -> Result<Self> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let identity = Identity::self_made(address)?;
        let acceptor = TlsAcceptor::from(identity.server()?);
        let listener = TcpListener::bind((address, 0))
            .await
            .context("the guard cannot listen")?;
        let port = listener
            .local_addr()
            .context("the guard has no address")?
            .port();
        let gate = Arc::new(Gate {
            upstream: upstream.trim_end_matches('/').to_owned(),
            authorization: authorization.to_owned(),
            others,
            client: Client::builder(TokioExecutor::new()).build_http(),
        });
        let serving = tokio::spawn(serve(listener, acceptor, gate));
        Ok(Self {
            url: format!("https://{address}:{port}"),
            ca_pem: identity.ca_pem,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// Where it listens, `https://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate that clients must trust, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, gate: Arc<Gate>) {
    let mut connections = JoinSet::new();
    loop {
        // A failed accept is the peer's reset.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(serve_one(stream, tls.clone(), Arc::clone(&gate)));
    }
}

async fn serve_one(stream: TcpStream, tls: TlsAcceptor, gate: Arc<Gate>) {
    // Who does not trust the certificate ends the handshake: that is what some tests want to see.
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| {
        let gate = Arc::clone(&gate);
        async move { Ok::<_, Infallible>(gate.answer(request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the guard broke off: {error}");
    }
}

impl Gate {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.lets_through(request.headers()) {
            return plain(StatusCode::UNAUTHORIZED, "who are you?");
        }
        match self.forward(request).await {
            Ok(response) => response,
            Err(error) => plain(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
        }
    }

    fn lets_through(&self, headers: &HeaderMap) -> bool {
        let is_right = |name, wanted: &[u8]| {
            headers
                .get(name)
                .is_some_and(|value| value.as_bytes() == wanted)
        };
        is_right(&AUTHORIZATION, self.authorization.as_bytes())
            && self
                .others
                .iter()
                .all(|(name, wanted)| is_right(name, wanted.as_bytes()))
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let (mut parts, body) = request.into_parts();
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        parts.uri = format!("{}{target}", self.upstream)
            .parse::<Uri>()
            .context("the upstream is no URL")?;
        parts.headers.remove(http::header::HOST);
        let body = body.collect().await.context("reading the request")?;
        let request = Request::from_parts(parts, Full::new(body.to_bytes()));
        let response = self.client.request(request).await.context("upstream")?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.context("reading the answer")?;
        Ok(Response::from_parts(parts, Full::new(body.to_bytes())))
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}
