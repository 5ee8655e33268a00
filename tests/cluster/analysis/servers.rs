//! Metric servers that want to know who asks, with certificates of an authority that nobody else knows.

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use testbed::guard::Guard;

use super::{QUERY, analysis, ended_run};
use crate::cluster::harness::{App, SOON, World, none_lost};

/// A Secret of the namespace.
fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

/// An argument from the Secret `credentials`.
fn argument(key: &str) -> Value {
    json!({"name": key, "valueFrom": {"secretKeyRef": {"name": "credentials", "key": key}}})
}

/// A metric at this server: the share of errors.
fn metric(name: &str, guard: &Guard, provider: &Value) -> Value {
    let mut metric = json!({
        "name": name, "initialDelay": "3s", "interval": "1s", "count": 2, "consecutiveErrorLimit": 0,
        "successCondition": "result[0] <= 0.05",
        "provider": {"prometheus": {"address": guard.url(), "query": QUERY}},
    });
    json_patch::merge(&mut metric["provider"]["prometheus"], provider);
    metric
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_prometheus_is_asked_with_credentials_that_are_shown_nowhere() {
    let world = World::new("protected").await;
    let prometheus = world.testbed().prometheus_url().unwrap().to_owned();
    let (token, password) = ("sesame-b41e", "swordfish-77ac");
    let mut tenant = HeaderMap::new();
    tenant.insert("x-scope-orgid", HeaderValue::from_static("shop"));
    let bearer = Guard::before(&prometheus, &format!("Bearer {token}"), tenant)
        .await
        .unwrap();
    // "me:swordfish-77ac"
    let encoded = "bWU6c3dvcmRmaXNoLTc3YWM=";
    let basic = Guard::before(&prometheus, &format!("Basic {encoded}"), HeaderMap::new())
        .await
        .unwrap();
    let allow = [
        "--metric-address-allow",
        bearer.url(),
        "--metric-address-allow",
        basic.url(),
    ];
    let controller = world.controller_with(&allow, None).await;
    let metrics = json!([
        metric(
            "by-token",
            &bearer,
            &json!({
                "caCert": "{{args.ca}}",
                "headers": [
                    {"key": "Authorization", "value": "Bearer {{args.token}}"}, {"key": "X-Scope-OrgID", "value": "shop"},
                ],
            })
        ),
        metric(
            "by-password",
            &basic,
            &json!({
                "caCert": basic.ca_pem(),
                "authentication": {"basicAuth": {"username": "me", "password": "{{args.password}}"}},
            })
        ),
    ]);
    let args = [
        json!({"name": "namespace"}),
        json!({"name": "hash"}),
        argument("ca"),
        argument("token"),
        argument("password"),
    ];
    let template = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"args": args, "metrics": metrics},
    });
    let mut data = json!({"ca": bearer.ca_pem(), "token": token, "password": password});
    world.apply(&[secret("credentials", &data), template]).await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"analysis": analysis()}]));
    world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.healthy().await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Successful", "{run}");
    assert_eq!(run["status"]["runSummary"]["successful"], 2, "{run}");

    // A Secret that is changed counts from the next measurement on.
    data["token"] = json!("mouse-5d0e");
    world.apply(&[secret("credentials", &data)]).await;
    world.set_image("demo:v3").await;
    let rollout = world.aborted().await;
    let cause = rollout.abort_cause();
    assert!(
        cause.contains("\"by-token\" assessed Error: Prometheus answered 401"),
        "{cause}"
    );
    none_lost(load).await;

    world
        .until(SOON, "nothing moves any more", |rollout| {
            rollout.weight() == 0
        })
        .await;
    let mut shown = controller.log();
    for kind in ["rollouts", "analysisruns", "events"] {
        shown += &json!(world.list(kind).await).to_string();
    }
    assert!(shown.contains("credentials"), "the Secret's name is shown");
    for hidden in [token, password, encoded, "mouse-5d0e"] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
}
