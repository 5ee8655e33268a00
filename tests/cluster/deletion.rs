//! A Rollout that is deleted leaves what it found; a controller that is gone blocks nothing.

use serde_json::{Value, json};

use super::harness::{App, CANARY_INGRESS, SOON, World, eventually, none_lost, share_is};

/// What of a Service is the user's.
fn of_the_user(service: &Value) -> Value {
    let metadata = &service["metadata"];
    json!({"spec": service["spec"], "labels": metadata["labels"], "annotations": metadata["annotations"]})
}

async fn services(world: &World) -> Vec<Value> {
    let mut found = Vec::new();
    for name in ["demo-stable", "demo-canary"] {
        let service = world.get("services", name).await.expect(name);
        found.push(of_the_user(&service));
    }
    found
}

async fn canary_ingress_is_gone(world: &World) {
    eventually(SOON, "the canary Ingress is gone", || async {
        match world.get("ingresses", CANARY_INGRESS).await {
            None => Ok(()),
            Some(ingress) => Err(ingress.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn deleting_in_mid_canary_puts_everything_back_as_it_was() {
    let world = World::new("deletion").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"pause": {}}]));
    world.apply(&app.services()).await;
    let before = services(&world).await;
    let ingress = app.ingress(world.namespace());
    world.deploy(&app).await;
    let stable_ingress = world.get("ingresses", "demo").await.unwrap();
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    assert_ne!(services(&world).await, before, "the Services are pinned");
    assert_eq!(
        world.get("ingresses", "demo").await.unwrap(),
        stable_ingress,
        "the user's Ingress is never changed: {ingress}"
    );

    world.delete("rollouts", "demo").await;
    canary_ingress_is_gone(&world).await;
    eventually(SOON, "the Services are as they were", || async {
        let now = services(&world).await;
        if now == before {
            Ok(())
        } else {
            Err(format!("{now:?} is not {before:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_service_that_the_spec_no_longer_names_is_put_back() {
    let world = World::new("service-dropped").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(1, json!([])).strategy(json!({"stableService": "demo"}));
    world.apply(&app.services()).await;
    let before = of_the_user(&world.get("services", "demo").await.unwrap());
    let rollout = world.deploy(&app).await;
    world.pinned("demo", rollout.stable()).await;
    let patch = json!({"spec": {"strategy": {"canary": {"stableService": null}}}});
    world.patch("rollouts", "demo", &patch).await;
    eventually(SOON, "the Service is as it was", || async {
        let now = of_the_user(&world.get("services", "demo").await.unwrap());
        if now == before {
            Ok(())
        } else {
            Err(now.to_string())
        }
    })
    .await;
    world.serves("v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_with_orphans_in_mid_canary_leaves_stable_serving_alone() {
    let world = World::new("orphans").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    let rollout = world.paused_at(1).await;
    share_is(&load, "v2", 50.0).await;

    let deleted = world
        .kubectl(&[
            "delete",
            "rollouts.tidegate.dev",
            "demo",
            "--cascade=orphan",
        ])
        .await;
    assert!(deleted.ok, "{deleted:?}");
    canary_ingress_is_gone(&world).await;
    share_is(&load, "v1", 100.0).await;
    assert_eq!(world.pods_of(rollout.stable()).await.len(), 2);
    assert_eq!(
        world.pin("demo-stable").await.as_deref(),
        Some(rollout.stable())
    );
    none_lost(load).await;
}

#[tokio::test]
async fn a_rollout_that_is_created_again_at_once_begins_with_pods_of_its_own() {
    let world = World::new("created-again").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    let first = world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    let before = world.pods_of(first.stable()).await;

    // Its ReplicaSets go by and by; the name of one of them is needed again.
    world.delete("rollouts", "demo").await;
    world.apply(&[app.rollout()]).await;
    let rollout = world.healthy().await;
    assert_ne!(rollout.at("/metadata/uid"), first.at("/metadata/uid"));
    assert_eq!(rollout.stable(), first.stable());
    world.only_pods_of(rollout.stable()).await;
    let pods = world.pods_of(rollout.stable()).await;
    assert!(pods.iter().all(|pod| !before.contains(pod)), "{pods:?}");
    canary_ingress_is_gone(&world).await;
    world.pinned("demo-canary", rollout.stable()).await;
    world.serves("v1").await;
    world.set_image("demo:v2").await;
    assert_eq!(world.paused_at(1).await.weight(), 50);
}

#[tokio::test]
async fn a_namespace_goes_without_the_controller() {
    let world = World::new("namespace-goes").await;
    let controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    controller.kill().await;
    let args = ["delete", "namespace", world.namespace(), "--timeout=60s"];
    let deleted = world.kubectl(&args).await;
    assert!(deleted.ok, "{deleted:?}");
}
