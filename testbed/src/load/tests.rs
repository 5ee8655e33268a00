use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nX-Version: v1\r\nX-Pod: p1\r\nContent-Length: 2\r\n\r\nhi";

/// What a server does with the connections it accepts.
#[derive(Clone)]
enum Server {
    /// Answers every request with this text.
    Answers(&'static str),
    /// Answers one request with this text, then closes the connection.
    AnswersOnce(&'static str),
    /// Reads a request and resets the connection.
    Resets,
    /// Answers when so many requests wait.
    AnswersTogether(Arc<Barrier>),
    /// Reads a request, tells so, and never answers.
    Hangs(Arc<Notify>),
}

/// Starts a server on a free port of the loopback.
async fn serve(server: Server) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(converse(server.clone(), stream));
        }
    });
    (url, AbortOnDropHandle::new(task))
}

async fn converse(server: Server, mut stream: TcpStream) {
    while read_request(&mut stream).await {
        match &server {
            Server::Answers(text) => stream.write_all(text.as_bytes()).await.expect("answering"),
            Server::AnswersOnce(text) => {
                return stream.write_all(text.as_bytes()).await.expect("answering");
            }
            Server::AnswersTogether(barrier) => {
                barrier.wait().await;
                stream.write_all(OK.as_bytes()).await.expect("answering");
            }
            Server::Resets => return stream.set_zero_linger().expect("a socket option"),
            Server::Hangs(heard) => {
                heard.notify_one();
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> bool {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => return false,
        }
    }
    true
}

fn options(url: &str, requests: u32) -> LoadOptions {
    let options = LoadOptions::new(url, "demo.test", 500, requests, Duration::from_secs(30));
    LoadOptions {
        timeout: Duration::from_secs(5),
        connections: 4,
        ..options
    }
}

/// Sends so many requests and waits until all have ended.
async fn run(options: LoadOptions) -> Summary {
    let load = Load::start(options).expect("a valid load");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !load.is_finished() {
        assert!(
            Instant::now() < deadline,
            "still running: {}",
            load.snapshot()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.stop().await
}

#[tokio::test]
async fn every_answered_request_is_counted() {
    let (url, _server) = serve(Server::Answers(OK)).await;
    let summary = run(options(&url, 100)).await;
    assert_eq!(
        (summary.requests, summary.lost, summary.resent),
        (100, 0, 0),
        "{summary}"
    );
    assert_eq!(
        summary.by_version["v1"],
        VersionCount {
            requests: 100,
            errors: 0
        }
    );
    assert_eq!(summary.by_pod["p1"], 100);
}

#[tokio::test]
async fn an_error_with_the_header_is_the_applications() {
    let (url, _server) = serve(Server::Answers(
        "HTTP/1.1 500 E\r\nX-Version: v2\r\nContent-Length: 0\r\n\r\n",
    ))
    .await;
    let summary = run(options(&url, 20)).await;
    assert_eq!(
        (
            summary.lost,
            summary.errors_by_app,
            summary.by_version["v2"].errors
        ),
        (0, 20, 20),
        "{summary}"
    );
}

#[tokio::test]
async fn requests_are_lost_in_the_way_they_are() {
    for (what, server, kind) in [
        (
            "an answer of the proxy",
            Server::Answers("HTTP/1.1 502 B\r\nContent-Length: 3\r\n\r\nbad"),
            LostKind::WithoutVersion,
        ),
        ("no answer", Server::AnswersOnce(""), LostKind::ClosedMidway),
        (
            "half a head",
            Server::AnswersOnce("HTTP/1.1 200 OK\r\nX-Ver"),
            LostKind::ClosedMidway,
        ),
        (
            "half a body",
            Server::AnswersOnce("HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 9\r\n\r\nhi"),
            LostKind::ClosedMidway,
        ),
        ("a reset", Server::Resets, LostKind::Reset),
        (
            "no HTTP",
            Server::AnswersOnce("SSH-2.0\r\n\r\n"),
            LostKind::Other,
        ),
    ] {
        let (url, _server) = serve(server).await;
        let summary = run(options(&url, 10)).await;
        assert_eq!(
            summary.lost_by_kind.get(&kind),
            Some(&10),
            "{what}: {summary}"
        );
        assert_eq!(
            (summary.requests, summary.lost, summary.by_version.len()),
            (10, 10, 0),
            "{what}: {summary}"
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_loses_requests_at_the_time_limit() {
    let (url, _server) = serve(Server::Hangs(Arc::default())).await;
    let summary = run(LoadOptions {
        timeout: Duration::from_millis(50),
        ..options(&url, 5)
    })
    .await;
    assert_eq!(
        summary.lost_by_kind.get(&LostKind::Timeout),
        Some(&5),
        "{summary}"
    );
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let (url, server) = serve(Server::Hangs(Arc::default())).await;
    drop(server);
    // The listener is closed with its task, soon.
    let address = url.strip_prefix("http://").expect("its scheme");
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .expect("the listener stays");
    let summary = run(options(&url, 5)).await;
    assert_eq!(
        summary.lost_by_kind.get(&LostKind::Refused),
        Some(&5),
        "{summary}"
    );
}

/// The server closes each connection after one answer, without saying so: to use it again is to find it closed.
#[tokio::test]
async fn a_connection_closed_while_idle_loses_nothing() {
    let (url, _server) = serve(Server::AnswersOnce(OK)).await;
    let summary = run(LoadOptions {
        connections: 1,
        ..options(&url, 50)
    })
    .await;
    assert_eq!((summary.requests, summary.lost), (50, 0), "{summary}");
}

#[tokio::test]
async fn requests_are_sent_when_due_whatever_became_of_the_others() {
    let (url, _server) = serve(Server::AnswersTogether(Arc::new(Barrier::new(30)))).await;
    let summary = run(options(&url, 30)).await;
    assert_eq!((summary.requests, summary.lost), (30, 0), "{summary}");
}

#[tokio::test]
async fn the_bounds_are_kept() {
    let (url, _server) = serve(Server::Answers(OK)).await;
    let by_count = run(LoadOptions {
        max_requests: 7,
        ..options(&url, 0)
    })
    .await;
    let by_time = run(LoadOptions {
        max_duration: Duration::from_millis(100),
        ..options(&url, 10_000)
    })
    .await;
    assert_eq!((by_count.requests, by_time.requests), (7, 50));
}

#[tokio::test]
async fn stopping_waits_for_the_requests_in_flight() {
    let heard = Arc::new(Notify::new());
    let (url, _server) = serve(Server::Hangs(Arc::clone(&heard))).await;
    let timeout = Duration::from_millis(200);
    let load = Load::start(LoadOptions {
        timeout,
        ..options(&url, 1)
    })
    .expect("a valid load");
    heard.notified().await;
    assert_eq!(
        load.stop().await.lost_by_kind.get(&LostKind::Timeout),
        Some(&1)
    );
}

#[tokio::test]
async fn the_answers_of_a_version_are_found_by_time() {
    let (url, _server) = serve(Server::Answers(OK)).await;
    let begun = Instant::now();
    let load = Load::start(options(&url, 10)).expect("a valid load");
    while !load.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (first, last) = (
        load.first_answer("v1", begun),
        load.last_answer("v1", begun),
    );
    assert!(first > Some(begun) && last > first, "{first:?} {last:?}");
    assert_eq!(load.first_answer("v2", begun), None);
    assert_eq!(load.last_answer("v1", Instant::now()), None);
}

#[tokio::test]
async fn a_load_goes_to_the_testbed_only() {
    for (url, expected) in [
        ("http://93.184.216.34:80", "neither on the loopback"),
        ("https://127.0.0.1:80", "http://ADDRESS:PORT"),
        ("http://example.org", "http://ADDRESS:PORT"),
    ] {
        let error = Load::start(options(url, 1)).expect_err(url).to_string();
        assert!(error.contains(expected), "{url}: {error}");
    }
}
