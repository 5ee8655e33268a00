//! Verdicts from an HTTP endpoint.

use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::ended_run;
use crate::cluster::harness::{App, World};

const SECRET: &str = "sesame-7ab1";

/// A metric at the gate's `/check`.
fn template(url: &str) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "gate"},
        "spec": {
            "args": [
                {"name": "version"},
                {"name": "token", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "token"}}},
            ],
            "metrics": [{
                "name": "gate", "interval": "1s", "count": 2, "consecutiveErrorLimit": 0,
                "successCondition": "result.errors < 0.05 && result.open",
                "provider": {"web": {
                    "method": "POST", "url": format!("{url}/check"), "timeoutSeconds": 5,
                    "headers": [{"key": "Authorization", "value": "Bearer {{args.token}}"}],
                    "jsonBody": {"version": "{{args.version}}"},
                    "jsonPath": "{$.data.versions[0]}",
                }},
            }],
        },
    })
}

/// The gate answers only who knows the secret; it is open for the first version that it is asked about, then shut.
async fn gate() -> MockServer {
    let server = MockServer::start().await;
    for (version, errors) in [("v2", 0.01), ("v3", 0.2)] {
        let answer =
            json!({"data": {"versions": [{"errors": errors, "open": true, "who": SECRET}]}});
        Mock::given(method("POST"))
            .and(path("/check"))
            .and(header("authorization", format!("Bearer {SECRET}")))
            .and(header("content-type", "application/json"))
            .and(body_json(json!({"version": version})))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_endpoint_judges_a_release_and_hears_a_secret_that_is_shown_nowhere() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.web.method",
        "AnalysisTemplate spec.metrics[].provider.web.url",
        "AnalysisTemplate spec.metrics[].provider.web.timeoutSeconds",
        "AnalysisTemplate spec.metrics[].provider.web.headers[].key",
        "AnalysisTemplate spec.metrics[].provider.web.headers[].value",
        "AnalysisTemplate spec.metrics[].provider.web.jsonBody",
        "AnalysisTemplate spec.metrics[].provider.web.jsonPath",
    ]);
    let world = World::new("web").await;
    let gate = gate().await;
    let allow = ["--metric-address-allow", &gate.uri()];
    let controller = world.controller_with(&allow, None).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials"}, "stringData": {"token": SECRET},
    });
    world.apply(&[template(&gate.uri()), secret]).await;
    let analysis = json!({
        "templates": [{"templateName": "gate"}],
        "args": [{"name": "version", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['version']"}}}],
    });
    let app = App::canary(1, json!([{"setWeight": 50}, {"analysis": analysis}]));
    let annotate = |version: &str| json!({"metadata": {"annotations": {"version": version}}});
    let mut manifests = app.manifests(world.namespace());
    for manifest in manifests.iter_mut().filter(|one| one["kind"] == "Rollout") {
        json_patch::merge(manifest, &annotate("v2"));
    }
    world.apply(&manifests).await;
    world.healthy().await;
    world.set_image("demo:v2").await;
    world.healthy().await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Successful", "{run}");
    assert_eq!(
        run["status"]["metricResults"][0]["measurements"][1]["query"],
        format!("POST {}/check", gate.uri())
    );

    world.patch("rollouts", "demo", &annotate("v3")).await;
    world.set_image("demo:v3").await;
    let rollout = world.aborted().await;
    assert!(
        rollout
            .abort_cause()
            .contains("does not satisfy `result.errors < 0.05 && result.open`"),
        "{}",
        rollout.abort_cause()
    );
    let mut shown = controller.log();
    for kind in ["rollouts", "analysisruns", "events"] {
        shown += &json!(world.list(kind).await).to_string();
    }
    assert!(!shown.contains(SECRET), "the Secret is shown");
}
