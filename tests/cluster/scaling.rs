//! Sizes that follow traffic and traffic that waits for sizes, behind a real proxy and the scale subresource.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{App, SOON, World, eventually, none_lost};

/// Load that so many pods carry on target.
const LOAD: usize = 4;

fn routed(fields: &Value) -> App {
    App::canary(
        4,
        json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]),
    )
    .strategy(json!({"scaleDownDelaySeconds": null}))
    .strategy(fields.clone())
}

/// Pods that the selector of the scale subresource selects, and what it reports as their number.
async fn scale(world: &World) -> (Vec<String>, usize) {
    let group = &world.names().group;
    let path = format!(
        "/apis/{group}/v1alpha1/namespaces/{}/rollouts/demo/scale",
        world.namespace()
    );
    let said = world.kubectl(&["get", "--raw", &path]).await;
    let scale: Value = serde_json::from_str(&said.stdout).expect("the scale");
    let selector = scale["status"]["selector"].as_str().expect("a selector");
    let said = world
        .kubectl(&["get", "pods", "-l", selector, "-o", "json"])
        .await;
    let found: Value = serde_json::from_str(&said.stdout).expect("pods");
    // As every autoscaler, it leaves out those that are going.
    let pods = found["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    let reported = scale["status"]["replicas"].as_u64().expect("a number");
    (pods, usize::try_from(reported).expect("a small number"))
}

/// What an autoscaler sets that multiplies the reported number with the average over the selected pods, in several looks.
async fn autoscaled(world: &World) -> Vec<usize> {
    let mut wanted = Vec::new();
    for _ in 0..6 {
        let (pods, reported) = scale(world).await;
        let want = (reported * LOAD).div_ceil(pods.len().max(1));
        let replicas = format!("--replicas={want}");
        world
            .kubectl(&["scale", "rollout.tidegate.dev/demo", &replicas])
            .await;
        world
            .until(SOON, "the size to be followed", |rollout| {
                rollout.at("/status/HPAReplicas").as_u64() == rollout.at("/spec/replicas").as_u64()
            })
            .await;
        wanted.push(want);
    }
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_2857_an_autoscaler_stays_where_it_is_during_a_canary() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.dynamicStableScale",
        "status.HPAReplicas",
        "status.selector",
    ]);
    let world = World::new("autoscaled").await;
    let _controller = world.controller().await;
    world
        .deploy(&routed(&json!({"dynamicStableScale": true})))
        .await;
    world.set_image("demo:v2").await;
    for step in [1, 3] {
        let rollout = world.paused_at(step).await;
        world.only_as_many(&rollout, step).await;
        let wanted = autoscaled(&world).await;
        assert!(
            wanted.iter().all(|size| *size == LOAD),
            "step {step}: {wanted:?}"
        );
        world.ask(&["promote", "demo"]).await;
    }
    world.healthy().await;
    assert_eq!(autoscaled(&world).await, [LOAD; 6]);
}

impl World {
    /// Waits until the stable version has given away the pods of its traffic.
    async fn only_as_many(&self, rollout: &super::harness::Rollout, step: i64) {
        let left = if step == 1 { 2 } else { 1 };
        eventually(SOON, "the stable version to shrink", || async {
            let pods = self.pods_of(rollout.stable()).await;
            if pods.len() == left {
                Ok(())
            } else {
                Err(format!("{pods:?}"))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_1820_all_traffic_and_back_with_a_stable_version_that_shrinks_loses_nothing() {
    let _covers = testbed::covers(&["spec.strategy.canary.dynamicStableScale"]);
    let world = World::new("dynamic").await;
    let _controller = world.controller().await;
    let app = routed(&json!({"dynamicStableScale": true, "abortScaleDownDelaySeconds": 1}));
    world.deploy(&app.drain(0)).await;
    let load = world.load(150);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.paused_at(3).await;
    world.only_as_many(&rollout, 3).await;
    world.ask(&["abort", "demo"]).await;
    let aborted = world.aborted().await;
    world.only_pods_of(aborted.stable()).await;
    none_lost(load).await;
    assert_eq!(world.rollout().await.weight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_1978_a_bake_that_goes_back_loses_nothing() {
    let _covers = testbed::covers(&["spec.strategy.canary.bake.duration"]);
    let world = World::new("bake").await;
    let _controller = world.controller().await;
    let app = App::canary(3, json!([{"setWeight": 50}]))
        .strategy(json!({"bake": {"duration": "10m"}, "abortScaleDownDelaySeconds": 1}));
    world.deploy(&app.drain(0)).await;
    let load = world.load(150);
    world.set_image("demo:v2").await;
    let rollout = world
        .until(SOON, "the bake", |rollout| {
            rollout.message() == "waiting for the bake to end"
        })
        .await;
    assert_eq!(rollout.weight(), 100);
    assert_eq!(
        world.pods_of(rollout.stable()).await.len(),
        3,
        "it stays whole"
    );
    world.serves("v2").await;
    world.ask(&["abort", "demo"]).await;
    let aborted = world.aborted().await;
    world.serves("v1").await;
    world.only_pods_of(aborted.stable()).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bake_that_a_person_ends_is_a_promotion() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.bake.duration"]);
    let world = World::new("bake-switch").await;
    let _controller = world.controller().await;
    world
        .deploy(&App::blue_green(2, json!({"bake": {"duration": "10m"}})))
        .await;
    world.set_image("demo:v2").await;
    let baking = world
        .until(SOON, "the bake", |rollout| {
            rollout.message() == "waiting for the bake to end"
        })
        .await;
    assert_ne!(baking.stable(), baking.declared());
    assert!(baking.at("/status/next/at").is_string(), "its end is told");
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    assert_eq!(rollout.stable(), baking.declared());
    tokio::time::timeout(Duration::from_mins(1), world.only_pods_of(rollout.stable()))
        .await
        .expect("the old pods to go");
}
