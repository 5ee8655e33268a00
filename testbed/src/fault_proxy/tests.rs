use std::convert::Infallible;

use futures::StreamExt;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;

use super::*;

type Seen = Arc<Mutex<Vec<String>>>;

/// A stand-in for the API server that notes what it commits; `/watch` sends one event and stays open.
async fn upstream() -> (FaultProxyOptions, Seen, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let identity = Identity::self_made(address.ip()).expect("certificates");
    let acceptor = TlsAcceptor::from(identity.server().expect("a TLS server"));
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let serving = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, noted) = (acceptor.clone(), Arc::clone(&noted));
            connections.spawn(async move {
                let stream = TokioIo::new(acceptor.accept(stream).await.expect("TLS"));
                let commit = service_fn(|request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    noted.lock().expect("no panic").push(line);
                    let answer = answer(request.uri().path());
                    async { Ok::<_, Infallible>(answer) }
                });
                drop(http1::Builder::new().serve_connection(stream, commit).await);
            });
        }
    });
    let options = FaultProxyOptions::new(&format!("https://{address}"), &identity.ca_pem);
    (options, seen, AbortOnDropHandle::new(serving))
}

fn answer(path: &str) -> Response<BoxBody<Bytes, Infallible>> {
    let body = if path == "/watch" {
        let event = futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"ADDED"))) });
        BodyExt::boxed(StreamBody::new(event.chain(futures::stream::pending())))
    } else {
        BodyExt::boxed(Full::from("done"))
    };
    Response::new(body)
}

type TestClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

fn client(proxy: &FaultProxy) -> TestClient {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(proxy.ca_pem()).expect("the proxy's authority"))
        .https_only()
        .enable_http1()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The body of the answer, or `None` when the connection was cut.
async fn send(client: &TestClient, proxy: &FaultProxy, method: &str, path: &str) -> Option<String> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", proxy.url()));
    let response = client
        .request(request.body(Empty::new()).expect("a request"))
        .await
        .ok()?;
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some(String::from_utf8_lossy(&body).into_owned())
}

fn seen(seen: &Seen) -> Vec<String> {
    seen.lock().expect("no panic").clone()
}

#[tokio::test]
async fn requests_pass_and_writes_are_logged() {
    let (options, seen_upstream, _upstream) = upstream().await;
    let proxy = FaultProxy::start(options).await.expect("a proxy");
    let client = client(&proxy);
    for (method, path) in [
        ("GET", "/a"),
        ("PATCH", "/b?x=1"),
        ("PUT", "/apis/coordination.k8s.io/v1/l"),
        ("DELETE", "/c"),
    ] {
        assert_eq!(
            send(&client, &proxy, method, path).await.as_deref(),
            Some("done")
        );
    }
    assert_eq!(seen(&seen_upstream).len(), 4);
    let log: Vec<_> = proxy
        .log()
        .into_iter()
        .map(|write| (write.n, write.method.to_string(), write.path, write.status))
        .collect();
    let expected = [
        (1, "PATCH", "/b?x=1", Some(200)),
        (2, "DELETE", "/c", Some(200)),
    ];
    assert_eq!(
        log,
        expected.map(|(n, method, path, status)| (n, method.to_owned(), path.to_owned(), status))
    );
}

#[tokio::test]
async fn a_cut_before_keeps_the_write_from_the_server_and_one_after_does_not() {
    for (cut, committed) in [
        (Cut::Before, vec!["POST /1", "POST /3"]),
        (Cut::AfterCommit, vec!["POST /1", "POST /2", "POST /3"]),
    ] {
        let (options, seen_upstream, _upstream) = upstream().await;
        let proxy = FaultProxy::start(options).await.expect("a proxy");
        let client = client(&proxy);
        proxy.cut_at(2, cut, Then::GoOn);
        let mut heard = Vec::new();
        for path in ["/1", "/2", "/3"] {
            heard.push(send(&client, &proxy, "POST", path).await.is_some());
        }
        assert_eq!(
            (heard, seen(&seen_upstream)),
            (
                vec![true, false, true],
                committed.into_iter().map(str::to_owned).collect()
            ),
            "{cut:?}"
        );
        assert_eq!(proxy.cuts(), 1);
    }
}

#[tokio::test]
async fn after_a_cut_that_stays_nothing_is_served_until_it_is_healed() {
    let (options, seen_upstream, _upstream) = upstream().await;
    let proxy = FaultProxy::start(options).await.expect("a proxy");
    let client = client(&proxy);
    proxy.cut_at(1, Cut::AfterCommit, Then::StayDown);
    let mut heard = Vec::new();
    for (method, path) in [("PATCH", "/1"), ("GET", "/2"), ("PATCH", "/3")] {
        heard.push(send(&client, &proxy, method, path).await.is_some());
    }
    assert!(proxy.wait_for_cuts(1, Duration::from_secs(5)).await);
    proxy.heal();
    heard.push(send(&client, &proxy, "PATCH", "/4").await.is_some());
    assert_eq!(
        (heard, seen(&seen_upstream)),
        (
            vec![false, false, false, true],
            vec!["PATCH /1".to_owned(), "PATCH /4".to_owned()]
        )
    );
}

#[tokio::test]
async fn a_watch_streams_through_and_ends_when_all_fails() {
    let (options, _seen, _upstream) = upstream().await;
    let proxy = FaultProxy::start(options).await.expect("a proxy");
    let request = Request::get(format!("{}/watch", proxy.url()))
        .body(Empty::new())
        .expect("a request");
    let mut watch = client(&proxy)
        .request(request)
        .await
        .expect("a watch")
        .into_body();
    let event = watch
        .frame()
        .await
        .expect("an event")
        .expect("an event")
        .into_data()
        .expect("data");
    assert_eq!(event, "ADDED");
    proxy.fail_all(true);
    let end = timeout(Duration::from_secs(5), watch.frame())
        .await
        .expect("the watch goes on");
    assert!(
        end.is_none_or(|frame| frame.is_err()),
        "an event after the end"
    );
}

#[tokio::test]
async fn a_cut_that_does_not_come_is_not_waited_for_longer_than_asked() {
    let (options, _seen, _upstream) = upstream().await;
    let proxy = FaultProxy::start(options).await.expect("a proxy");
    assert!(!proxy.wait_for_cuts(1, Duration::from_millis(20)).await);
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_cuts_the_client() {
    let (options, _seen, serving) = upstream().await;
    drop(serving);
    let proxy = FaultProxy::start(options).await.expect("a proxy");
    assert_eq!(send(&client(&proxy), &proxy, "PATCH", "/1").await, None);
    assert_eq!(proxy.log()[0].status, None);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_proxy_gets_nothing() {
    let (options, seen_upstream, _upstream) = upstream().await;
    let stranger = FaultProxy::start(upstream().await.0)
        .await
        .expect("another proxy");
    let proxy = FaultProxy::start(options).await.expect("a proxy");
    assert_eq!(send(&client(&stranger), &proxy, "PATCH", "/1").await, None);
    assert_eq!(seen(&seen_upstream), [""; 0]);
}
