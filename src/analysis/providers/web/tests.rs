use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;
use wiremock::matchers::{body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::analysis::args::Secret;
use crate::analysis::providers::{Trust, connection::client};
use crate::runtime::client::install_crypto_provider;

fn question(url: &str) -> WebQuestion {
    WebQuestion {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        trust: Trust::System,
        timeout: Duration::from_secs(2),
    }
}

/// What asking a server that answers like this gives, at this path of the answer.
async fn measured(answer: ResponseTemplate, at: &str) -> Result<MetricValue, String> {
    install_crypto_provider();
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let port = server.address().port().to_string();
    let body = ask(&client().unwrap(), &question(&server.uri())).await;
    let at = JsonPath::parse(at).unwrap();
    body.and_then(|body| read(&body, at.as_ref()))
        .map_err(|error| error.to_string().replace(&port, "PORT"))
}

#[tokio::test]
async fn a_value_is_what_is_at_the_path_of_the_answer() {
    let answer = json!({"data": {"rate": 0.5, "all": [{"v": 1}, {"v": 2}]}});
    let json = || ResponseTemplate::new(200).set_body_json(&answer);
    let text = |text: &str| ResponseTemplate::new(201).set_body_string(text);
    for (answered, at, value) in [
        (json(), "{$}", MetricValue::Json(answer.clone())),
        (json(), "{$.data.rate}", MetricValue::Json(json!(0.5))),
        (json(), "{.data.all[*].v}", MetricValue::Json(json!([1, 2]))),
        (json(), "{$.nothing}", MetricValue::Json(json!(null))),
        (text("true"), "{$}", MetricValue::Json(json!(true))),
        (
            text("all is well"),
            "{$}",
            MetricValue::Text("all is well".into()),
        ),
        (
            ResponseTemplate::new(204),
            "{$}",
            MetricValue::Text(String::new()),
        ),
    ] {
        assert_eq!(measured(answered, at).await, Ok(value), "{at}");
    }
}

#[tokio::test]
async fn what_gives_no_value_says_why_and_repeats_nothing() {
    let many = json!(vec![0; 10_001]);
    for (answered, at, error) in [
        (
            ResponseTemplate::new(503).set_body_string("hunter2"),
            "{$}",
            "127.0.0.1:PORT answered 503; only 2xx is a measurement",
        ),
        (
            ResponseTemplate::new(302).insert_header("location", "http://169.254.169.254/"),
            "{$}",
            "127.0.0.1:PORT answered 302; only 2xx is a measurement",
        ),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            "{$.data}",
            "the answer is no JSON, but jsonPath leads into it; is the url right?",
        ),
        (
            ResponseTemplate::new(200).set_body_bytes(vec![0xff, 0xfe]),
            "{$}",
            "the answer is no text",
        ),
        (
            ResponseTemplate::new(200).set_body_bytes(vec![b' '; 2_000_000]),
            "{$}",
            "the answer is larger than 1048576 bytes",
        ),
        (
            ResponseTemplate::new(200).set_body_json(&many),
            "{$}",
            "there are more than 10000 values in the answer; lead to those that matter with jsonPath",
        ),
        (
            ResponseTemplate::new(200).set_delay(Duration::from_mins(1)),
            "{$}",
            "127.0.0.1:PORT did not answer within 2s",
        ),
    ] {
        assert_eq!(measured(answered, at).await, Err(error.to_owned()), "{at}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_the_url_is_not() {
    install_crypto_provider();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let question = question(&format!("http://127.0.0.1:{port}/?token=hunter2"));
    let error = ask(&client().unwrap(), &question)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("127.0.0.1:{port} cannot be reached: "))
            && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn method_headers_and_body_are_sent_as_they_are() {
    install_crypto_provider();
    for sent in [Method::POST, Method::PUT] {
        let server = MockServer::start().await;
        Mock::given(method(sent.as_str()))
            .and(path("/gate"))
            .and(query_param("version", "a b"))
            .and(header("x-team", "shop"))
            .and(body_string("how are you?"))
            .respond_with(ResponseTemplate::new(200).set_body_string("1"))
            .expect(1)
            .mount(&server)
            .await;
        let mut question = question(&format!("{}/gate?version=a%20b", server.uri()));
        question.method = sent;
        question
            .headers
            .insert("x-team", HeaderValue::from_static("shop"));
        question.body = Some(Secret::new("how are you?".into()));
        let body = ask(&client().unwrap(), &question).await.unwrap();
        assert_eq!(body, b"1");
    }
}
