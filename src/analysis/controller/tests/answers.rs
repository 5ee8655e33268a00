//! What servers answer, and conditions that are hostile: no bad one is ever a success.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wiremock::matchers::{path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::{World, metric};
use crate::api::analysis::{AnalysisPhase, MeasurementPhase};

#[tokio::test]
async fn a_range_is_asked_for_up_to_the_time_of_the_measurement() {
    let range = json!({"start": "now() - duration('5m')", "end": "now()", "step": "1m"});
    let change = json!({
        "successCondition": "all(result, # < 0.05)",
        "provider": {"prometheus": {"rangeQuery": range}},
    });
    let world = World::new(json!([metric("errors", "up", &change)]), &[]).await;
    // The clock of these tests begins with the year.
    let points = json!([{"metric": {}, "values": [[1, "0.01"], [2, "0.06"]]}]);
    let body = json!({"status": "success", "data": {"resultType": "matrix", "result": points}});
    Mock::given(path("/api/v1/query_range"))
        .and(query_param("query", "up"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&world.prometheus)
        .await;
    world.reconcile().await;
    let measurement = world.status().metric_results[0].measurements[0].clone();
    assert_eq!(
        measurement.message.as_deref(),
        Some("[0.01, 0.06] does not satisfy `all(result, # < 0.05)`")
    );
    let asked = world.prometheus.received_requests().await.unwrap();
    let parameters: BTreeMap<_, _> = asked[0].url.query_pairs().into_owned().collect();
    let second = |name: &str| parameters[name].parse::<i64>().unwrap();
    let begun = measurement.started_at.unwrap().as_second();
    assert_eq!(second("end") - second("start"), 300);
    assert!((0..5).contains(&(second("end") - begun)), "{parameters:?}");
    assert!(
        measurement.metadata["range"].ends_with(" every 1m"),
        "{measurement:?}"
    );
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better with json! at the call"
)]
fn says(result_type: &str, result: Value) -> ResponseTemplate {
    let data = json!({"resultType": result_type, "result": result});
    ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}))
}

#[tokio::test]
async fn no_bad_answer_is_ever_a_success() {
    use MeasurementPhase::{Error, Failed, NoData};
    let series = |value: &str| json!([{"metric": {}, "value": [1, value]}]);
    for (what, answer, measurement, run) in [
        (
            "500",
            ResponseTemplate::new(500),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "slow",
            says("vector", series("0.01")).set_delay(Duration::from_secs(30)),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "no JSON",
            ResponseTemplate::new(200).set_body_string("<html>"),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "a text",
            says("string", json!([1, "0.01"])),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "a number where a list was expected",
            says("scalar", json!([1, "0.01"])),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "a matrix of bad values",
            says("matrix", json!([{"values": [[1, "0.9"]]}])),
            Failed,
            AnalysisPhase::Failed,
        ),
        (
            "a type nobody knows",
            says("heatmap", json!([])),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "NaN",
            says("vector", series("NaN")),
            NoData,
            AnalysisPhase::Inconclusive,
        ),
        (
            "no series",
            says("vector", json!([])),
            NoData,
            AnalysisPhase::Inconclusive,
        ),
        (
            "no points",
            says("matrix", json!([])),
            NoData,
            AnalysisPhase::Inconclusive,
        ),
        (
            "10 MB",
            ResponseTemplate::new(200).set_body_bytes(vec![b' '; 10_000_000]),
            Error,
            AnalysisPhase::Error,
        ),
        (
            "a redirect",
            ResponseTemplate::new(302).insert_header("location", "http://169.254.169.254/"),
            Error,
            AnalysisPhase::Error,
        ),
    ] {
        let change = json!({
            "consecutiveErrorLimit": 1, "noData": {"limit": 1}, "provider": {"prometheus": {"timeout": 1}},
        });
        let world = World::new(json!([metric("errors", "up", &change)]), &[]).await;
        Mock::given(query_param("query", "up"))
            .respond_with(answer)
            .mount(&world.prometheus)
            .await;
        world.reconcile().await;
        let first = world.status();
        assert_eq!(
            first.metric_results[0].measurements[0].phase,
            Some(measurement),
            "{what}: {first:?}"
        );
        world.context.clock.step(SignedDuration::from_secs(11));
        world.reconcile().await;
        let status = world.status();
        assert_eq!(status.phase, Some(run), "{what}: {status:?}");
        // Why is told at the metric, and the run repeats it.
        assert!(status.message.is_some(), "{what}");
    }
}

#[tokio::test]
async fn hostile_conditions_are_refused_before_anything_is_asked() {
    for (condition, problem) in [
        ("result[0] <".to_owned(), "it does not compile"),
        (
            format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000)),
            "it is longer than 1024 characters",
        ),
        (
            format!("{}true{}", "(".repeat(500), ")".repeat(500)),
            "it is nested deeper than 64 levels",
        ),
        ("len(1..1000000000) > 0".to_owned(), "it uses ranges (..)"),
        ("result[0] < {{args.nobody}}".to_owned(), "is not declared"),
    ] {
        let change = json!({"successCondition": condition});
        let world = World::new(json!([metric("errors", "up", &change)]), &[]).await;
        world.reconcile().await;
        let status = world.status();
        assert_eq!(status.phase, Some(AnalysisPhase::Error), "{condition}");
        let message = status.message.unwrap();
        assert!(
            message.starts_with("the spec cannot be used: spec.metrics[0].successCondition: ")
                && message.contains(problem),
            "{message}"
        );
        assert_eq!(world.prometheus.received_requests().await.unwrap().len(), 0);
    }
}
