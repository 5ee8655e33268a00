//! Traffic fields that somebody else changes while a canary is under way.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    harness::{
        App, CANARY_INGRESS, Controller, SOON, WEIGHT, WeightWatch, World, eventually, none_lost,
        service, share_is,
    },
    kubectl::kubectl,
};

async fn in_mid_canary(name: &str) -> (World, Controller) {
    let world = World::new(name).await;
    let controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 40}, {"pause": {}}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    (world, controller)
}

/// What Argo CD and Flux do at every sync: the selector as it stands in git, and ours is out.
async fn sync(world: &World, name: &str) {
    let args = [
        "-n",
        world.namespace(),
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=argocd-controller",
        "-f",
        "-",
    ];
    let applied = kubectl(world.testbed(), &args, &service(name).to_string()).await;
    assert!(applied.ok, "{applied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_applied_by_force_is_pinned_again_at_once() {
    let (world, _controller) = in_mid_canary("forced-apply").await;
    let rollout = world.rollout().await;
    let load = world.load(100);
    share_is(&load, "v2", 40.0).await;
    for (name, hash) in [
        ("demo-stable", rollout.stable()),
        ("demo-canary", rollout.declared()),
    ] {
        sync(&world, name).await;
        let begun = Instant::now();
        world.pinned(name, hash).await;
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        let what = format!("argocd-controller changed the selector of Service {name}");
        world
            .until(SOON, "the manager is named", |rollout| {
                let told = rollout.told("TrafficOverwritten");
                told.is_some_and(|message| message.contains(&what))
            })
            .await;
    }
    share_is(&load, "v2", 40.0).await;
    let rollout = world.rollout().await;
    assert_eq!((rollout.step(), rollout.weight()), (1, 40));
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_at_rest_that_is_applied_by_force_leads_to_stable_alone_again() {
    let world = World::new("forced-at-rest").await;
    let _controller = world.controller().await;
    let rollout = world.deploy(&App::canary(2, json!([]))).await;
    let load = world.load(100);
    sync(&world, "demo-stable").await;
    world.pinned("demo-stable", rollout.stable()).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_somebody_else_writes_is_put_back_and_told() {
    let (world, _controller) = in_mid_canary("weight-overwritten").await;
    let load = world.load(100);
    let patch = json!({"metadata": {"annotations": {WEIGHT: "90"}}});
    world.patch("ingresses", CANARY_INGRESS, &patch).await;
    share_is(&load, "v2", 40.0).await;
    let rollout = world
        .until(SOON, "the manager is named", |rollout| {
            rollout.told("TrafficOverwritten").is_some()
        })
        .await;
    let told = rollout.told("TrafficOverwritten").unwrap();
    assert!(
        told.starts_with("somebody changed the canary weight"),
        "{told}"
    );
    let ingress = world.get("ingresses", CANARY_INGRESS).await.unwrap();
    assert_eq!(ingress["metadata"]["annotations"][WEIGHT], "40");
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_ingress_that_somebody_deletes_is_made_again() {
    let (world, _controller) = in_mid_canary("ingress-deleted").await;
    let load = world.load(100);
    world.delete("ingresses", CANARY_INGRESS).await;
    share_is(&load, "v2", 40.0).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_vanishes_in_mid_step_takes_its_part_of_the_weight_with_it() {
    let world = World::new("pod-vanishes").await;
    let _controller = world.controller().await;
    let app = App::canary(4, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    world.set_image("demo:v2-slow2").await;
    let rollout = world.paused_at(1).await;
    let load = world.load(100);
    share_is(&load, "v2", 50.0).await;
    let weights = WeightWatch::start(&world);
    let pods = world.pods_of(rollout.declared()).await;
    world.delete("pods", &pods[0]).await;
    eventually(SOON, "the weight has gone down and come back", || async {
        match weights.weights() {
            seen if seen == [50, 25, 50] => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    share_is(&load, "v2", 50.0).await;
    none_lost(load).await;
}
