//! Sending one request, over kept connections. Nothing is sent twice, with one exception as in every HTTP client:
//! a request of which no byte was written, because the server had closed the idle connection before.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::record::{LostKind, Outcome};

type Connection = SendRequest<Empty<Bytes>>;

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Connections {
    address: SocketAddr,
    /// So many are opened before one is used again, and at most so many are kept.
    wanted: usize,
    open: Arc<AtomicUsize>,
    idle: Mutex<VecDeque<Connection>>,
}

impl Connections {
    pub(super) fn new(address: SocketAddr, wanted: usize) -> Self {
        Self {
            address,
            wanted,
            open: Arc::new(AtomicUsize::new(0)),
            idle: Mutex::new(VecDeque::new()),
        }
    }

    /// Sends a request and reads the whole answer; also whether it was sent on a second connection.
    pub(super) async fn send(&self, request: Request<Empty<Bytes>>) -> (Outcome, bool) {
        let (request, resent) = match self.kept().await {
            None => (request, false),
            Some(mut connection) => match connection.try_send_request(request).await {
                Ok(response) => return (self.receive(connection, response).await, false),
                // hyper hands a request back only if it has not begun to write it.
                Err(mut refused) => match refused.take_message() {
                    Some(request) => (request, true),
                    None => return (lost(&refused.into_error()), false),
                },
            },
        };
        let outcome = match self.open().await {
            Ok(mut connection) => match connection.send_request(request).await {
                Ok(response) => self.receive(connection, response).await,
                Err(error) => lost(&error),
            },
            Err(error) => lost(error.as_ref()),
        };
        (outcome, resent)
    }

    async fn receive(&self, connection: Connection, response: Response<Incoming>) -> Outcome {
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return lost(&error),
        };
        self.keep(connection);
        let status = head.status.as_u16();
        match header(&head.headers, "x-version") {
            Some(version) => Outcome::Answered {
                status,
                version,
                pod: header(&head.headers, "x-pod").unwrap_or_default(),
            },
            None => Outcome::Lost {
                kind: LostKind::WithoutVersion,
                detail: format!(
                    "status {status}, {:?}",
                    String::from_utf8_lossy(&body[..body.len().min(80)])
                ),
            },
        }
    }

    /// The connection longest idle, once enough are open.
    async fn kept(&self) -> Option<Connection> {
        if self.open.load(Ordering::Relaxed) < self.wanted {
            return None;
        }
        loop {
            let mut connection = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front()?;
            // An error means that it was closed meanwhile.
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.wanted {
            idle.push_back(connection);
        }
    }

    async fn open(&self) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        let open = Arc::clone(&self.open);
        open.fetch_add(1, Ordering::Relaxed);
        // Ends when its `Connection` is dropped, or the server closes it.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection ended");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(connection)
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn lost(error: &(dyn std::error::Error + 'static)) -> Outcome {
    let chain: Vec<_> = std::iter::successors(Some(error), |error| error.source()).collect();
    let io = chain
        .iter()
        .find_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    let closed = chain
        .iter()
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_incomplete_message);
    let kind = match io {
        Some(io::ErrorKind::ConnectionRefused) => LostKind::Refused,
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted,
        ) => LostKind::Reset,
        Some(io::ErrorKind::UnexpectedEof) => LostKind::ClosedMidway,
        Some(_) | None if closed => LostKind::ClosedMidway,
        Some(_) | None => LostKind::Other,
    };
    let detail = chain
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    Outcome::Lost { kind, detail }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// The server closes an idle connection, and the client sends before it has looked.
    #[tokio::test]
    async fn a_request_that_finds_its_connection_closed_is_sent_once_more() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let connections = Connections::new(listener.local_addr().expect("its address"), 1);

        let stream = TcpStream::connect(connections.address)
            .await
            .expect("connecting");
        let (connection, driver) = handshake(TokioIo::new(stream))
            .await
            .expect("a fresh connection");
        let mut driver = Box::pin(driver);
        assert!(futures::poll!(&mut driver).is_pending());
        connections.open.store(1, Ordering::Relaxed);
        connections.keep(connection);
        drop(listener.accept().expect("the first connection"));
        let server = std::thread::spawn(move || {
            let (mut second, _) = listener.accept().expect("the second connection");
            let heard = second.read(&mut [0; 1024]).expect("a request");
            second
                .write_all(b"HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 0\r\n\r\n")
                .expect("answering");
            heard
        });
        // The runtime hears of the close; the connection has not been polled since.
        tokio::task::yield_now().await;

        let request = Request::get("/")
            .header("host", "x")
            .body(Empty::new())
            .expect("a request");
        let (sent, _closed) = tokio::join!(connections.send(request), driver);
        let answered = Outcome::Answered {
            status: 200,
            version: "v1".to_owned(),
            pod: String::new(),
        };
        assert_eq!(sent, (answered, true));
        assert!(server.join().expect("no panic") > 0);
    }
}
