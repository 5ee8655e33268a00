//! Switches behind a real proxy: what is asked for before and after one, and the way back.

use serde_json::{Value, json};

use super::harness::{App, SOON, World, eventually, none_lost};

/// Share of errors of one version, and how long it is looked at.
fn template(name: &str, measurements: u32) -> Value {
    let query = r#"(sum(rate(http_requests_total{namespace="{{args.namespace}}",rs_hash="{{args.hash}}",code=~"5.."}[5s])) or vector(0))
 / sum(rate(http_requests_total{namespace="{{args.namespace}}",rs_hash="{{args.hash}}"}[5s]))"#;
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": name},
        "spec": {"args": [{"name": "namespace"}, {"name": "hash"}], "metrics": [{
            "name": "error-share", "initialDelay": "3s", "interval": "1s", "count": measurements,
            "successCondition": "result[0] <= 0.05",
            // The metric is there once the first request came in.
            "noData": {"policy": "hold", "limit": 20},
            "provider": {"prometheus": {"query": query}},
        }]},
    })
}

/// The new version is up: as many of its pods are there as the metric server has heard of.
fn pods_are_up(replicas: u32) -> Value {
    let query = r#"count(up{namespace="{{args.namespace}}",rs_hash="{{args.hash}}"} == 1)"#;
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "up"},
        "spec": {"args": [{"name": "namespace"}, {"name": "hash"}], "metrics": [{
            "name": "pods", "interval": "1s", "count": 2,
            "successCondition": format!("result[0] == {replicas}"),
            "noData": {"policy": "hold", "limit": 20},
            "provider": {"prometheus": {"query": query}},
        }]},
    })
}

fn by(template: &str) -> Value {
    json!({
        "templates": [{"templateName": template}],
        "args": [
            // Equal templates have equal hashes in all namespaces.
            {"name": "namespace", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
        ],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_after_its_analysis_loses_nothing() {
    let world = World::new("switch").await;
    let _controller = world.controller().await;
    world.apply(&[pods_are_up(1), template("errors", 3)]).await;
    let app = App::blue_green(
        3,
        json!({
            "previewReplicaCount": 1, "autoPromotionEnabled": false,
            "prePromotionAnalysis": by("up"), "postPromotionAnalysis": by("errors"),
        }),
    );
    let first = world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    let rollout = world.paused_before_the_switch().await;
    assert_eq!(world.pods_of(rollout.declared()).await.len(), 1);
    assert_eq!(world.pods_of(first.stable()).await.len(), 3);
    world.pinned("demo-canary", rollout.declared()).await;
    world.pinned("demo-stable", first.stable()).await;

    world.ask(&["promote", "demo"]).await;
    world.serves("v2").await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    assert_eq!(world.pods_of(rollout.declared()).await.len(), 3);
    let phases: Vec<Value> = world
        .list("analysisruns")
        .await
        .iter()
        .map(|run| run["status"]["phase"].clone())
        .collect();
    assert_eq!(phases, ["Successful", "Successful"]);
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_goes_bad_after_the_switch_is_switched_back() {
    let world = World::new("switched-back").await;
    let _controller = world.controller().await;
    world.apply(&[template("errors", 60)]).await;
    let fields = json!({"postPromotionAnalysis": by("errors")});
    // Nothing is sent to a pod when it goes: it need not even drain.
    let first = world.deploy(&App::blue_green(2, fields).drain(0)).await;
    let load = world.load(100);
    world.set_image("demo:v2-err50-errafter8").await;
    let rollout = world.aborted().await;
    world.pinned("demo-stable", first.stable()).await;
    assert!(
        rollout.abort_cause().contains("error-share"),
        "{}",
        rollout.abort_cause()
    );
    world.serves("v1").await;
    world.only_pods_of(first.stable()).await;
    world.pinned("demo-canary", first.stable()).await;
    let summary = none_lost(load).await;
    let second = &summary.by_version["v2"];
    assert!(
        second.errors > 0 && second.requests > second.errors,
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_while_the_old_pods_are_there_starts_none() {
    let world = World::new("warm-rollback").await;
    let _controller = world.controller().await;
    let fields = json!({"scaleDownDelaySeconds": 120});
    let first = world.deploy(&App::blue_green(2, fields)).await;
    let pods = world.pods_of(first.stable()).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.healthy().await;
    world.set_image("demo:v1").await;
    let rollout = world
        .until(SOON, "the first version is back", |rollout| {
            rollout.phase() == "Healthy" && rollout.declared() == first.declared()
        })
        .await;
    world.serves("v1").await;
    assert_eq!(world.pods_of(rollout.stable()).await, pods);
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_service_that_is_applied_by_force_is_pinned_again_at_once() {
    let world = World::new("active-applied").await;
    let _controller = world.controller().await;
    let fields = json!({"autoPromotionEnabled": false});
    let app = App::blue_green(2, fields);
    let first = world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_before_the_switch().await;
    world
        .patch(
            "services",
            "demo-stable",
            &json!({"spec": {"selector": {"tidegate.dev/pod-template-hash": null}}}),
        )
        .await;
    world.pinned("demo-stable", first.stable()).await;
    eventually(SOON, "it says who did it", || async {
        let rollout = world.rollout().await;
        rollout
            .told("TrafficOverwritten")
            .filter(|told| told.contains("the selector of Service demo-stable"))
            .map(|_| ())
            .ok_or_else(|| rollout.at("/status/conditions").to_string())
    })
    .await;
    world.serves("v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_in_mid_update_puts_both_services_back() {
    let world = World::new("switch-deleted").await;
    let _controller = world.controller().await;
    let fields = json!({"autoPromotionEnabled": false});
    world.deploy(&App::blue_green(1, fields)).await;
    world.set_image("demo:v2").await;
    world.paused_before_the_switch().await;
    world.delete("rollouts", "demo").await;
    for service in ["demo-stable", "demo-canary"] {
        eventually(SOON, "the Service is the user's again", || async {
            let object = world.get("services", service).await.expect("the Service");
            let selector = &object["spec"]["selector"];
            if *selector == json!({"app": "demo"}) {
                Ok(())
            } else {
                Err(selector.to_string())
            }
        })
        .await;
    }
}
