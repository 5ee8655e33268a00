//! A load generator that loses nothing silently: a fixed rate of requests, each noted with what became of it.
//!
//! A request is *lost* when it gets no complete answer, or one without the application's `X-Version` header. A 5xx
//! with that header is the application's error. Runs in the process that reads it, so both share one clock.

mod connection;
mod record;
mod summary;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Empty;
use hyper::body::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use connection::Connections;
use record::Ledger;
pub use record::{Lost, LostKind, Outcome};
pub use summary::{Summary, VersionCount};

/// At most so many requests in flight; a request that waits for its turn takes the longer for it.
const IN_FLIGHT: usize = 400;

/// What to send where, and how much at most.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// `http://ADDRESS:PORT`: an address of the loopback or of a pod.
    pub url: String,
    /// The `Host` header.
    pub host: String,
    /// The path, beginning with `/`.
    pub path: String,
    /// Further headers of every request.
    pub headers: HeaderMap,
    /// Requests per second.
    pub rate: u32,
    /// Connections kept open.
    pub connections: usize,
    /// A request without a complete answer after this time is lost.
    pub timeout: Duration,
    /// No more requests than this.
    pub max_requests: u32,
    /// No more requests after this time.
    pub max_duration: Duration,
}

impl LoadOptions {
    /// `GET /` over 16 connections with a time limit of 10 s.
    pub fn new(
        url: &str,
        host: &str,
        rate: u32,
        max_requests: u32,
        max_duration: Duration,
    ) -> Self {
        Self {
            url: url.to_owned(),
            host: host.to_owned(),
            path: "/".to_owned(),
            headers: HeaderMap::new(),
            rate,
            connections: 16,
            timeout: Duration::from_secs(10),
            max_requests,
            max_duration,
        }
    }

    fn address(&self) -> Result<SocketAddr, LoadError> {
        let not_understood = || LoadError::Url(self.url.clone());
        let authority = self
            .url
            .strip_prefix("http://")
            .ok_or_else(not_understood)?;
        let address: SocketAddr = authority
            .trim_end_matches('/')
            .parse()
            .map_err(|_| not_understood())?;
        let ours = match address.ip() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.octets()[..2] == [10, 244],
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        if ours {
            Ok(address)
        } else {
            Err(LoadError::Foreign(address.ip()))
        }
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, LoadError> {
        let mut request = Request::get(&self.path).body(Empty::new())?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(
            "host",
            HeaderValue::from_str(&self.host).map_err(http::Error::from)?,
        );
        Ok(request)
    }
}

/// Why a load cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not an address and port.
    #[error("load URL {0:?}: it must be http://ADDRESS:PORT")]
    Url(String),
    /// An address that is not the testbed's.
    #[error("load URL: {0} is neither on the loopback nor a pod's address (10.244.0.0/16)")]
    Foreign(IpAddr),
    /// The path or a header is malformed.
    #[error("load request: {0}")]
    Request(#[from] http::Error),
    /// A load of nothing.
    #[error("load rate: it must be at least 1 per second")]
    Rate,
}

/// A load that runs until it is stopped, dropped, or at its bounds.
#[derive(Debug)]
pub struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: CancellationToken,
    pacer: AbortOnDropHandle<()>,
}

impl Load {
    /// Starts to send.
    pub fn start(options: LoadOptions) -> Result<Self, LoadError> {
        if options.rate == 0 {
            return Err(LoadError::Rate);
        }
        let connections = Arc::new(Connections::new(options.address()?, options.connections));
        let request = options.request()?;
        let begun = Instant::now();
        let ledger = Arc::new(Mutex::new(Ledger::new(begun)));
        let stop = CancellationToken::new();
        let pacer = Pacer {
            connections,
            request,
            options,
            begun,
            ledger: Arc::clone(&ledger),
            turns: Arc::new(Semaphore::new(IN_FLIGHT)),
        };
        let pacer = AbortOnDropHandle::new(tokio::spawn(pacer.run(stop.clone())));
        Ok(Self {
            ledger,
            stop,
            pacer,
        })
    }

    /// All requests that have ended so far.
    pub fn snapshot(&self) -> Summary {
        Summary::of(&self.ledger(), |_| true)
    }

    /// The requests due from `from` until before `until` that have ended so far.
    pub fn between(&self, from: Instant, until: Instant) -> Summary {
        Summary::of(&self.ledger(), |due| (from..until).contains(&due))
    }

    /// When the first answer of a version was complete, of the requests due since `since`.
    pub fn first_answer(&self, version: &str, since: Instant) -> Option<Instant> {
        self.answers(version, since).into_iter().min()
    }

    /// When the last answer of a version was complete, of the requests due since `since`.
    pub fn last_answer(&self, version: &str, since: Instant) -> Option<Instant> {
        self.answers(version, since).into_iter().max()
    }

    /// Whether the bounds are reached and every request has ended.
    pub fn is_finished(&self) -> bool {
        self.pacer.is_finished()
    }

    /// Sends no more; the requests in flight go on, and what is counted stays.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Sends no more, waits for the requests in flight (at most for their time limit), and counts all.
    pub async fn stop(self) -> Summary {
        self.stop.cancel();
        let Self { ledger, pacer, .. } = self;
        if let Err(error) = pacer.await {
            tracing::error!(%error, "the load ended early");
        }
        Summary::of(
            &ledger.lock().unwrap_or_else(PoisonError::into_inner),
            |_| true,
        )
    }

    fn answers(&self, version: &str, since: Instant) -> Vec<Instant> {
        let ledger = self.ledger();
        let matching = ledger.rows.iter().filter(|row| row.start >= since);
        matching
            .filter(|row| {
                row.result
                    .is_ok_and(|answer| ledger.names[answer.version] == version)
            })
            .map(|row| row.end)
            .collect()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Pacer {
    connections: Arc<Connections>,
    request: Request<Empty<Bytes>>,
    options: LoadOptions,
    begun: Instant,
    ledger: Arc<Mutex<Ledger>>,
    turns: Arc<Semaphore>,
}

impl Pacer {
    /// Starts a request whenever one is due, whatever became of the others.
    async fn run(self, stop: CancellationToken) {
        let mut in_flight = JoinSet::new();
        for number in 0..self.options.max_requests {
            let offset = Duration::from_secs(number.into()) / self.options.rate;
            if offset >= self.options.max_duration {
                break;
            }
            let due = self.begun + offset;
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => break,
            }
            in_flight.spawn(self.one(due));
            while in_flight.try_join_next().is_some() {}
        }
        while in_flight.join_next().await.is_some() {}
    }

    fn one(&self, due: Instant) -> impl Future<Output = ()> + use<> {
        let (connections, ledger, turns) = (
            Arc::clone(&self.connections),
            Arc::clone(&self.ledger),
            Arc::clone(&self.turns),
        );
        let (request, limit) = (self.request.clone(), self.options.timeout);
        async move {
            let sent = async {
                // The semaphore is never closed.
                let _turn = turns.acquire().await;
                connections.send(request).await
            };
            let (outcome, resent) = timeout_at(due + limit, sent).await.unwrap_or_else(|_| {
                let detail = format!("no complete answer within {} ms", limit.as_millis());
                (
                    Outcome::Lost {
                        kind: LostKind::Timeout,
                        detail,
                    },
                    false,
                )
            });
            ledger.lock().unwrap_or_else(PoisonError::into_inner).note(
                due,
                Instant::now(),
                outcome,
                resent,
            );
        }
    }
}

#[cfg(test)]
mod tests;
