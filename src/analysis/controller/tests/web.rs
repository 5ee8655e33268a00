//! Measurements at HTTP endpoints.

use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::World;
use crate::api::analysis::{AnalysisPhase, MeasurementPhase};

fn metric(world: &str, web: &Value) -> Value {
    let mut metric = json!({
        "name": "gate", "successCondition": "result < 0.05", "consecutiveErrorLimit": 0,
        "provider": {"web": {"url": format!("{world}/gate")}},
    });
    json_patch::merge(&mut metric["provider"]["web"], web);
    metric
}

/// A run with one metric at the world's server.
async fn world(web: &Value) -> World {
    let world = World::new(json!([]), &[("token", "hunter 2\n")]).await;
    let metric = metric(&world.prometheus.uri(), web);
    world.run.lock().unwrap()["spec"]["metrics"] = json!([metric]);
    world
}

#[tokio::test]
async fn a_secret_is_sent_wherever_it_stands_and_shown_nowhere() {
    let world = world(&json!({
        "method": "POST",
        "headers": [{"key": "X-Token", "value": "{{args.token}}"}],
        "jsonBody": {"who": "{{args.token}}", "n": 1},
        "jsonPath": "{$.rate}",
    }))
    .await;
    {
        let mut run = world.run.lock().unwrap();
        let url = format!("{}/gate?t={{{{args.token}}}}", world.prometheus.uri());
        run["spec"]["metrics"][0]["provider"]["web"]["url"] = json!(url);
        run["spec"]["metrics"][0]["successCondition"] = json!("false");
    }
    Mock::given(method("POST"))
        .and(path("/gate"))
        .and(query_param("t", "hunter 2"))
        .and(header("x-token", "hunter 2"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({"who": "hunter 2\n", "n": 1})))
        .respond_with(ResponseTemplate::new(200).set_body_json(
            json!({"rate": {"hunter 2": ["not hunter 2", "hunter+2", "hunter%202"]}}),
        ))
        .expect(1)
        .mount(&world.prometheus)
        .await;
    world.reconcile().await;
    let status = world.status();
    let shown = serde_json::to_string(&status).unwrap();
    assert_eq!(status.phase, Some(AnalysisPhase::Failed), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
    let measurement = &status.metric_results[0].measurements[0];
    assert_eq!(
        measurement.value.as_deref(),
        Some(r#"{"***":["not ***","***","***"]}"#)
    );
    let query = measurement.query.clone().unwrap();
    assert!(
        query.starts_with("POST http://") && query.ends_with("/gate?t=***"),
        "{query}"
    );
}

#[tokio::test]
async fn what_an_endpoint_answers_is_judged() {
    for (answer, phase) in [
        (
            ResponseTemplate::new(200).set_body_json(json!({"rate": 0.01})),
            MeasurementPhase::Successful,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"rate": 0.5})),
            MeasurementPhase::Failed,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({})),
            MeasurementPhase::NoData,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"rate": null})),
            MeasurementPhase::NoData,
        ),
        (
            ResponseTemplate::new(500).set_body_json(json!({"rate": 0.01})),
            MeasurementPhase::Error,
        ),
        (
            ResponseTemplate::new(200).set_body_string("sorry"),
            MeasurementPhase::Error,
        ),
    ] {
        let world = world(&json!({"jsonPath": "{$.rate}"})).await;
        Mock::given(method("GET"))
            .respond_with(answer)
            .mount(&world.prometheus)
            .await;
        world.reconcile().await;
        let status = world.status();
        let measurement = &status.metric_results[0].measurements[0];
        assert_eq!(measurement.phase, Some(phase), "{measurement:?}");
    }
}

#[tokio::test]
async fn a_url_outside_the_allow_list_is_never_asked_and_no_secret_read_for_it() {
    for url in [
        "http://evil.example.com/?t={{args.token}}",
        "http://{{args.token}}.svc/",
    ] {
        let world = world(&json!({})).await;
        world.run.lock().unwrap()["spec"]["metrics"][0]["provider"]["web"]["url"] = json!(url);
        world.reconcile().await;
        let message = world.newest_message();
        assert!(
            message.contains("is not allowed; an administrator can"),
            "{message}"
        );
        let secrets = world
            .requests()
            .into_iter()
            .filter(|request| request.contains("secrets"));
        assert_eq!(secrets.count(), 0, "{url}");
    }
}
