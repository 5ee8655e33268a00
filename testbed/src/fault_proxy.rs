//! A proxy in front of the API server that cuts a client's connection at a chosen write, before the server sees it or
//! after the server has committed it. TLS on both sides, HTTP/1.1, watches stream through.
//!
//! Not here: slow answers, and upgraded connections (exec, port-forward).

mod forward;
mod plan;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::Testbed;
use forward::Shared;
pub use plan::{Cut, Then, WriteRecord};
pub use tls::Identity;

/// Decides by its path whether a write counts.
pub type Counts = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What to stand in front of.
pub struct FaultProxyOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The API server, `https://HOST:PORT`.
    pub upstream: String,
    /// The certificate that signs the API server's, PEM.
    pub upstream_ca_pem: String,
    /// What to show to clients; `None` makes an authority for this proxy alone.
    pub identity: Option<Identity>,
    /// Which writes are counted, logged and cut, by their path.
    pub counts: Counts,
}

impl FaultProxyOptions {
    /// On a free port of the loopback, counting all writes but those to Leases, which have a rhythm of their own.
    pub fn new(upstream: &str, upstream_ca_pem: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            upstream: upstream.to_owned(),
            upstream_ca_pem: upstream_ca_pem.to_owned(),
            identity: None,
            counts: Box::new(|path| !path.starts_with("/apis/coordination.k8s.io/")),
        }
    }

    /// In front of this testbed's API server and with its certificate: a kubeconfig for the testbed needs another
    /// server and nothing else.
    ///
    /// # Errors
    /// When the testbed's key material cannot be read.
    pub fn before(testbed: &Testbed) -> Result<Self> {
        let ca_pem = testbed.ca_pem()?;
        let read = |name: &str| {
            let path = testbed.state().ca.with_file_name(name);
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        let identity = Identity {
            ca_pem: ca_pem.clone(),
            certificate_pem: read("server.crt")?,
            key_pem: read("server.key")?,
        };
        Ok(Self {
            identity: Some(identity),
            ..Self::new(testbed.api_url(), &ca_pem)
        })
    }
}

/// A running proxy. It ends when it is dropped, and every connection through it.
pub struct FaultProxy {
    address: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl FaultProxy {
    /// Listens.
    ///
    /// # Errors
    /// When the address is taken, or a certificate or the upstream URL is malformed.
    pub async fn start(options: FaultProxyOptions) -> Result<Self> {
        let upstream: Uri = options
            .upstream
            .parse()
            .with_context(|| format!("upstream {:?} is not a URL", options.upstream))?;
        ensure!(
            upstream.scheme() == Some(&Scheme::HTTPS),
            "upstream {:?} must begin with https://",
            options.upstream
        );
        let authority = upstream
            .authority()
            .cloned()
            .context("the upstream URL names no host")?;

        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(&options.upstream_ca_pem)?)
            .https_only()
            .enable_http1()
            .build();
        let identity = match options.identity {
            Some(identity) => identity,
            None => Identity::self_made(options.listen.ip())?,
        };
        let acceptor = TlsAcceptor::from(identity.server()?);
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("the fault proxy cannot listen on {}", options.listen))?;
        let address = listener
            .local_addr()
            .context("the fault proxy has no address")?;
        let shared = Arc::new(Shared {
            plan: Mutex::default(),
            down: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            counts: options.counts,
            upstream: authority,
            client: Client::builder(TokioExecutor::new()).build(connector),
        });
        let serving = tokio::spawn(forward::serve(listener, acceptor, Arc::clone(&shared)));
        Ok(Self {
            address,
            ca_pem: identity.ca_pem,
            shared,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// Cuts the client's connection once, at the `nth` counted write from now; 1 is the next. Replaces an earlier order.
    pub fn cut_at(&self, nth: usize, cut: Cut, then: Then) {
        self.shared.plan().arm(nth, cut, then);
    }

    /// While `true`, every connection is cut and none is served.
    pub fn fail_all(&self, fail: bool) {
        self.shared.down.send_replace(fail);
    }

    /// Serves again after a cut that stayed down, or after [`FaultProxy::fail_all`].
    pub fn heal(&self) {
        self.fail_all(false);
    }

    /// How many ordered cuts have happened.
    pub fn cuts(&self) -> usize {
        *self.shared.cuts.borrow()
    }

    /// Waits until so many ordered cuts have happened; `false` when `limit` is over first.
    pub async fn wait_for_cuts(&self, cuts: usize, limit: Duration) -> bool {
        let mut seen = self.shared.cuts.subscribe();
        timeout(limit, seen.wait_for(|seen| *seen >= cuts))
            .await
            .is_ok_and(|seen| seen.is_ok())
    }

    /// All counted writes so far.
    pub fn log(&self) -> Vec<WriteRecord> {
        self.shared.plan().log.clone()
    }

    /// The certificate that clients must trust, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The proxy's URL, in the place of the API server's.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

#[cfg(test)]
mod tests;
