use std::sync::Once;

use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn tls() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// What a measurement at a server that answers like this gives.
async fn measured(answer: ResponseTemplate, timeout: Duration) -> Result<MetricValue, String> {
    tls();
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/base/api/v1/query"))
        .and(query_param("query", "up"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let address: Url = format!("{}/base", server.uri()).parse().unwrap();
    let port = address.port().unwrap().to_string();
    fetch(
        &client().unwrap(),
        &address,
        &Secret::new("up".into()),
        timeout,
    )
    .await
    .map_err(|error| error.to_string().replace(&port, "PORT"))
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
            success("matrix", json!([])),
            "the result is of type matrix; use a query whose result is a vector or a scalar",
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
    tls();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address: Url = format!("http://{free}").parse().unwrap();
    let error = fetch(
        &client().unwrap(),
        &address,
        &Secret::new("hunter2".into()),
        SOON,
    )
    .await
    .unwrap_err()
    .to_string();
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
    tls();
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v1/query"))
        .respond_with(success("scalar", json!([1, "7"])))
        .mount(&server)
        .await;
    let address: Url = server.uri().parse().unwrap();
    let query = Secret::new(format!("up{}", " + up".repeat(1_000)));
    let found = fetch(&client().unwrap(), &address, &query, SOON).await;
    assert_eq!(found.unwrap(), MetricValue::Scalar(7.0));
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(status in 100_u16..600, body in "[{}\\[\\]\",:a-z0-9 ]{0,60}") {
        drop(parse(status, body.as_bytes()));
    }
}
