use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A server on a free port of the loopback, and a connection to it.
async fn server(image: &str) -> (Workload, TcpStream) {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("its address");
    let behaviour = Behaviour::read(image, &BTreeMap::new()).expect("a valid tag");
    let workload = Workload::listen(free, "pod-1", behaviour)
        .await
        .expect("listening");
    (
        workload,
        TcpStream::connect(free).await.expect("connecting"),
    )
}

async fn send(stream: &mut TcpStream, path: &str) {
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .await
        .expect("sending");
}

/// Sends a request and returns when the server has begun to work on it.
async fn send_and_be_heard(stream: &mut TcpStream, path: &str) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("sending the head");
    let mut answer = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream
        .read_exact(&mut answer)
        .await
        .expect("being told to continue");
    stream.write_all(b"hi").await.expect("sending the body");
}

/// The next answer, headers in lower case; empty when the connection was closed.
async fn receive(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len()
                >= length
                    .and_then(|length| length.parse().ok())
                    .expect("a length")
            {
                return text;
            }
        }
        let mut some = [0; 4096];
        let count = stream.read(&mut some).await.unwrap_or(0);
        if count == 0 {
            return String::new();
        }
        text.push_str(&String::from_utf8_lossy(&some[..count]).to_lowercase());
    }
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    send(stream, path).await;
    receive(stream).await
}

#[tokio::test]
async fn every_answer_names_the_version_and_the_pod() {
    let (_workload, mut stream) = server("demo:v2").await;
    for path in ["/", "/ready", "/metrics", "/any/where?x=1"] {
        let answer = ask(&mut stream, path).await;
        assert!(answer.starts_with("http/1.1 200"), "{path}: {answer}");
        assert!(
            answer.contains("x-version: v2\r\n") && answer.contains("x-pod: pod-1\r\n"),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_share_of_errors_is_that_of_the_tag() {
    for (image, least, most) in [
        ("demo:v2", 0, 0),
        ("demo:v2-err100", 400, 400),
        ("demo:v2-err50", 120, 280),
    ] {
        let (_workload, mut stream) = server(image).await;
        let mut errors = 0;
        for _ in 0..400 {
            errors += usize::from(ask(&mut stream, "/").await.starts_with("http/1.1 500"));
        }
        assert!((least..=most).contains(&errors), "{image}: {errors} of 400");
    }
}

#[tokio::test]
async fn answers_are_counted_and_probes_are_not() {
    let (_workload, mut stream) = server("demo:v2-err100").await;
    for path in ["/", "/ready", "/"] {
        ask(&mut stream, path).await;
    }
    let page = ask(&mut stream, "/metrics").await;
    assert!(
        page.contains("http_requests_total{version=\"v2\",code=\"500\"} 2\n"),
        "{page}"
    );
    assert!(
        page.contains("http_requests_total{version=\"v2\",code=\"200\"} 0\n"),
        "{page}"
    );
}

#[tokio::test]
async fn an_unready_program_says_so() {
    let (_workload, mut stream) = server("demo:v2-unready").await;
    assert!(ask(&mut stream, "/ready").await.starts_with("http/1.1 503"));
}

#[tokio::test]
async fn closing_refuses_new_connections_and_finishes_requests_in_flight() {
    let (workload, mut stream) = server("demo:v2-lat200").await;
    let address = stream.peer_addr().expect("connected");
    send_and_be_heard(&mut stream, "/").await;
    let closing = tokio::spawn(workload.close(Instant::now() + Duration::from_secs(10)));
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .expect("new connections are still accepted");
    assert!(receive(&mut stream).await.starts_with("http/1.1 200"));
    assert!(
        closing.await.expect("no panic"),
        "all requests were finished"
    );
}

#[tokio::test]
async fn the_deadline_cuts_requests_in_flight() {
    let (workload, mut stream) = server("demo:v2-lat60000").await;
    send_and_be_heard(&mut stream, "/").await;
    let finished = workload
        .close(Instant::now() + Duration::from_millis(100))
        .await;
    assert_eq!(
        (finished, receive(&mut stream).await),
        (false, String::new())
    );
}

#[tokio::test]
async fn closing_ends_idle_connections_at_once() {
    let (workload, mut stream) = server("demo:v2").await;
    ask(&mut stream, "/").await;
    assert!(
        workload
            .close(Instant::now() + Duration::from_secs(10))
            .await
    );
    assert_eq!(receive(&mut stream).await, "");
}
