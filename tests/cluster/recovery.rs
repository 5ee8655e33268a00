//! A status that is lost: what serves is found again, and it is never taken for a first deploy.

use serde_json::json;

use super::harness::{App, World, none_lost, share_is};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_wiped_in_mid_canary_costs_no_request_and_no_version() {
    let world = World::new("status-wiped").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    let first = world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 50.0).await;
    let wipe = r#"[{"op": "remove", "path": "/status"}]"#;
    let args = [
        "patch",
        "rollouts.tidegate.dev",
        "demo",
        "--subresource=status",
        "--type=json",
        "-p",
        wipe,
    ];
    let wiped = world.kubectl(&args).await;
    assert!(wiped.ok, "{wiped:?}");
    let rollout = world.paused_at(1).await;
    assert_eq!(rollout.stable(), first.stable());
    share_is(&load, "v2", 50.0).await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_is_applied_again_after_an_orphaning_deletion_takes_its_pods_back() {
    let world = World::new("applied-again").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    let first = world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    let second = world.paused_at(1).await;
    let pods = [first.stable(), second.declared()];
    let before = [world.pods_of(pods[0]).await, world.pods_of(pods[1]).await];
    let args = [
        "delete",
        "rollouts.tidegate.dev",
        "demo",
        "--cascade=orphan",
    ];
    let deleted = world.kubectl(&args).await;
    assert!(deleted.ok, "{deleted:?}");
    let mut again = app.rollout();
    again["spec"]["template"] = second.at("/spec/template").clone();
    world.apply(&[again]).await;

    let rollout = world.paused_at(1).await;
    assert_eq!(rollout.stable(), first.stable());
    share_is(&load, "v2", 50.0).await;
    let after = [world.pods_of(pods[0]).await, world.pods_of(pods[1]).await];
    assert_eq!(after, before, "no pod was replaced");
    for set in world.list("replicasets").await {
        let owner = &set["metadata"]["ownerReferences"][0]["uid"];
        assert_eq!(owner, rollout.at("/metadata/uid"), "{set}");
    }
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    none_lost(load).await;
}
