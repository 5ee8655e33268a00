use std::sync::Once;

use serde_json::{Value, json};
use testbed::guard::Guard;
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::analysis::args::Secret;
use crate::analysis::judge::MetricValue;
use crate::analysis::plan::TimeRange;
use crate::analysis::providers::{Trust, connection::client};

fn tls() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A question to this address.
fn question(address: &str, query: &str) -> Question {
    Question {
        address: address.parse().unwrap(),
        query: Secret::new(query.into()),
        range: None,
        headers: http::HeaderMap::new(),
        trust: Trust::System,
        timeout: SOON,
    }
}

/// What asking it gives.
async fn asked(question: &Question) -> Result<Answer, String> {
    tls();
    fetch(&client().unwrap(), question)
        .await
        .map_err(|error| error.to_string())
}

/// What a measurement at a server that answers like this gives.
async fn measured(answer: ResponseTemplate, timeout: Duration) -> Result<MetricValue, String> {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/base/api/v1/query"))
        .and(query_param("query", "up"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let mut question = question(&format!("{}/base", server.uri()), "up");
    question.timeout = timeout;
    let port = server.address().port().to_string();
    match asked(&question).await {
        Ok(answer) => Ok(answer.value),
        Err(error) => Err(error.replace(&port, "PORT")),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better with json! at the call"
)]
fn success(result_type: &str, result: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(
        json!({"status": "success", "data": {"resultType": result_type, "result": result}}),
    )
}

fn series(values: &[&str]) -> Value {
    values
        .iter()
        .map(|value| json!({"metric": {"pod": "a"}, "value": [1.5, value]}))
        .collect()
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn values_are_read_as_numbers() {
    for (answer, value) in [
        (
            success("scalar", json!([1.5, "0.21"])),
            MetricValue::Scalar(0.21),
        ),
        (
            success("vector", series(&["0.21", "+Inf"])),
            MetricValue::Vector(vec![0.21, f64::INFINITY]),
        ),
        (success("vector", json!([])), MetricValue::Vector(vec![])),
        (
            success("string", json!([1.5, "up"])),
            MetricValue::Text("up".into()),
        ),
        (
            success(
                "matrix",
                json!([{"values": [[1, "1"], [2, "2"]]}, {"values": [[1, "3"]]}]),
            ),
            MetricValue::Vector(vec![1.0, 2.0, 3.0]),
        ),
        (success("matrix", json!([])), MetricValue::Vector(vec![])),
    ] {
        assert_eq!(measured(answer, SOON).await, Ok(value));
    }
    let nan = measured(success("vector", series(&["NaN"])), SOON).await;
    assert!(
        matches!(&nan, Ok(MetricValue::Vector(values)) if values[0].is_nan()),
        "{nan:?}"
    );
}

#[tokio::test]
async fn what_gives_no_value_says_why() {
    let bad_query = json!({"status": "error", "errorType": "bad_data", "error": "parse\nerror"});
    for (answer, error) in [
        (
            ResponseTemplate::new(400).set_body_json(&bad_query),
            "Prometheus answered 400: bad_data: parse error",
        ),
        (
            ResponseTemplate::new(200).set_body_json(&bad_query),
            "Prometheus answered 200: bad_data: parse error",
        ),
        (
            ResponseTemplate::new(500).set_body_string("<secret page>"),
            "Prometheus answered 500",
        ),
        (
            ResponseTemplate::new(302).insert_header("location", "http://169.254.169.254/"),
            "Prometheus answered 302",
        ),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            "the answer is not one of Prometheus (no JSON of its API); is the address right?",
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!([1])),
            "the answer is not one of Prometheus (no JSON of its API); is the address right?",
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"status": "success"})),
            "the answer is not one of Prometheus (it has no data); is the address right?",
        ),
        (
            success("heatmap", json!([])),
            "the result is of type heatmap; use a query whose result is a vector or a scalar",
        ),
        (
            success("matrix", json!([{"metric": {}}])),
            "the answer is not one of Prometheus (a series without values); is the address right?",
        ),
        (
            success("matrix", json!([{"values": [], "histograms": []}])),
            "the result is of type histogram; use a query whose result is a vector or a scalar",
        ),
        (
            success(
                "matrix",
                json!([{"values": vec![json!([1, "1"]); 600]}, {"values": vec![json!([1, "1"]); 600]}]),
            ),
            "the result has 1200 points; at most 1000 are judged, aggregate in the query or use a longer step",
        ),
        (
            success("vector", json!({})),
            "the answer is not one of Prometheus (a vector that is no list); is the address right?",
        ),
        (
            success("vector", json!([{"value": [1, 2]}])),
            "the answer is not one of Prometheus (a value that is no number); is the address right?",
        ),
        (
            success("vector", json!([{"histogram": [1, {}]}])),
            "the result is of type histogram; use a query whose result is a vector or a scalar",
        ),
        (
            success("scalar", json!("1")),
            "the answer is not one of Prometheus (a sample that is no pair); is the address right?",
        ),
        (
            success("vector", series(&vec!["1"; 1_001])),
            "the result has 1001 series; at most 1000 are judged, aggregate in the query",
        ),
        (
            ResponseTemplate::new(200).set_body_bytes(vec![b' '; 10_000_000]),
            "the answer of Prometheus is larger than 1048576 bytes; aggregate in the query",
        ),
    ] {
        assert_eq!(measured(answer, SOON).await, Err(error.to_owned()));
    }
}

#[tokio::test]
async fn a_slow_server_is_given_up_in_time() {
    let answer = success("scalar", json!([1, "1"])).set_delay(Duration::from_mins(1));
    let found = measured(answer, Duration::from_millis(200)).await;
    assert_eq!(
        found,
        Err("Prometheus at 127.0.0.1:PORT did not answer within 200ms".into())
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_the_query_is_not() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = asked(&question(&format!("http://{free}"), "hunter2"))
        .await
        .unwrap_err();
    assert!(
        error.starts_with(&format!("Prometheus at {free} cannot be reached: ")),
        "{error}"
    );
    assert!(
        error.contains("refused") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn a_long_query_is_posted() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v1/query"))
        .respond_with(success("scalar", json!([1, "7"])))
        .mount(&server)
        .await;
    let query = format!("up{}", " + up".repeat(1_000));
    let found = asked(&question(&server.uri(), &query)).await;
    assert_eq!(found.unwrap().value, MetricValue::Scalar(7.0));
}

#[tokio::test]
async fn a_range_is_asked_for_with_its_points() {
    let server = MockServer::start().await;
    let matrix = json!([
        {"metric": {"pod": "a"}, "values": [[1, "1"], [61, "2"]]},
        {"metric": {"pod": "b"}, "values": [[61, "3"]]},
    ]);
    Mock::given(method("GET"))
        .and(path("/api/v1/query_range"))
        .and(query_param("query", "up"))
        .and(query_param("start", "1767323045"))
        .and(query_param("end", "1767323345"))
        .and(query_param("step", "60"))
        .respond_with(success("matrix", matrix))
        .mount(&server)
        .await;
    let mut question = question(&server.uri(), "up");
    question.range = Some(TimeRange {
        start: "2026-01-02T03:04:05Z".parse().unwrap(),
        end: "2026-01-02T03:09:05Z".parse().unwrap(),
        step: Duration::from_mins(1),
    });
    let found = asked(&question).await.unwrap().value;
    assert_eq!(found, MetricValue::Vector(vec![1.0, 2.0, 3.0]));
}

#[tokio::test]
async fn what_the_server_warns_of_is_kept() {
    let server = MockServer::start().await;
    let data = json!({"resultType": "scalar", "result": [1, "7"]});
    let body = json!({"status": "success", "data": data, "warnings": ["a store\nis down"]});
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    let found = asked(&question(&server.uri(), "up")).await.unwrap();
    assert_eq!(found.warnings, ["a store is down"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", elsewhere.uri()))
        .mount(&server)
        .await;
    let found = asked(&question(&server.uri(), "up")).await;
    assert_eq!(found, Err("Prometheus answered 307".to_owned()));
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_server_is_believed_on_the_word_of_its_authority_only() {
    tls();
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(success("scalar", json!([1, "7"])))
        .mount(&server)
        .await;
    let wanted = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-scope-orgid"),
        http::HeaderValue::from_static("tenant"),
    )]);
    let guard = Guard::before(&server.uri(), "Bearer sesame", wanted)
        .await
        .unwrap();
    let other = Guard::before(&server.uri(), "", http::HeaderMap::new())
        .await
        .unwrap();
    let unknown = "cannot be reached: invalid peer certificate: UnknownIssuer; give the certificate of its authority in caCert";
    // The other authority has the same name.
    let not_its_own = "cannot be reached: invalid peer certificate: BadSignature; give the certificate of its authority in caCert";
    let unusable = "caCert has no certificates in PEM that can be used; give those of the authority that signed the server's";
    for (trust, expected) in [
        (Trust::Authorities(guard.ca_pem().to_owned()), Ok(7.0)),
        (Trust::Anybody, Ok(7.0)),
        (Trust::System, Err(unknown)),
        (
            Trust::Authorities(other.ca_pem().to_owned()),
            Err(not_its_own),
        ),
        (Trust::Authorities("no PEM".to_owned()), Err(unusable)),
        (
            Trust::Authorities(guard.ca_pem().replace("MII", "AAA")),
            Err(unusable),
        ),
    ] {
        let mut question = question(guard.url(), "up");
        question.trust = trust.clone();
        question
            .headers
            .insert("authorization", "Bearer sesame".parse().unwrap());
        question
            .headers
            .insert("x-scope-orgid", "tenant".parse().unwrap());
        let found = asked(&question).await;
        match expected {
            Ok(value) => assert_eq!(
                found.map(|answer| answer.value),
                Ok(MetricValue::Scalar(value)),
                "{trust:?}"
            ),
            Err(error) => assert!(
                found.as_ref().is_err_and(|found| found.ends_with(error)),
                "{trust:?}: {found:?}"
            ),
        }
        question.headers.clear();
        assert!(asked(&question).await.is_err(), "{trust:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(status in 100_u16..600, body in "[{}\\[\\]\",:a-z0-9 ]{0,60}") {
        drop(parse(status, body.as_bytes()));
    }
}
