//! What a person asks for with the `tidegate` program, and what becomes of it.

use serde_json::{Value, json};

use super::harness::{App, Controller, Rollout, SOON, World, eventually, none_lost, share_is};

async fn at_the_first_pause(name: &str) -> (World, Controller) {
    let world = World::new(name).await;
    let controller = world.controller().await;
    let steps = json!([
        {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, {"setWeight": 80}, {"pause": {}},
    ]);
    // Nothing is sent to a pod when it goes: it need not even drain.
    world.deploy(&App::canary(2, steps).drain(0)).await;
    world.ask(&["set-image", "demo", "app=demo:v2"]).await;
    world.paused_at(1).await;
    (world, controller)
}

#[tokio::test]
async fn a_pause_lasts_until_it_is_promoted() {
    let (world, _controller) = at_the_first_pause("promote").await;
    let rollout = world.rollout().await;
    assert_eq!(
        (rollout.phase(), rollout.message(), rollout.weight()),
        ("Paused", "CanaryPauseStep", 20)
    );
    assert_eq!(rollout.at("/status/waitingFor"), "a person to promote it");
    let said = world.ask(&["promote", "demo"]).await;
    assert!(
        said.stdout.contains("going on from the pause at step 1"),
        "{said:?}"
    );
    assert_eq!(world.paused_at(3).await.weight(), 50);
}

/// Writes a request as a client does that has seen this revision and this step; gives what became of it.
async fn request(world: &World, id: &str, revision: &str, step: i64) -> Rollout {
    let request =
        json!({"id": id, "verb": "promote", "revision": revision, "step": step, "by": "ann"});
    let annotation = json!({"tidegate.dev/request": request.to_string()});
    let patch = json!({"metadata": {"annotations": annotation}});
    world.patch("rollouts", "demo", &patch).await;
    world
        .until(SOON, "the request is answered", |rollout| {
            rollout.at("/status/lastHandledRequest/id") == id
        })
        .await
}

#[tokio::test]
async fn two_promotes_of_one_pause_end_one_pause() {
    let (world, _controller) = at_the_first_pause("double-promote").await;
    let revision = world.rollout().await.declared().to_owned();
    // Two people look at step 1 and click.
    request(&world, "first", &revision, 1).await;
    world.paused_at(3).await;
    let rollout = request(&world, "second", &revision, 1).await;
    let handled = rollout.at("/status/lastHandledRequest");
    assert_eq!(handled["accepted"], false);
    assert_eq!(
        handled["message"],
        "meant step 1, but the update is at step 3"
    );
    assert_eq!((rollout.step(), rollout.weight()), (3, 50));
}

#[tokio::test]
async fn a_full_promotion_skips_everything() {
    let (world, _controller) = at_the_first_pause("promote-full").await;
    world.ask(&["promote", "demo", "--full"]).await;
    world.healthy().await;
    world.serves("v2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_takes_the_traffic_back_and_a_retry_starts_again() {
    let (world, _controller) = at_the_first_pause("abort-retry").await;
    let load = world.load(100);
    share_is(&load, "v2", 20.0).await;
    world.ask(&["abort", "demo"]).await;
    let rollout = world.aborted().await;
    assert_eq!(rollout.abort_cause(), "requested by admin");
    assert_eq!(
        rollout
            .condition("Ready")
            .map(|[status, reason, _]| [status, reason]),
        Some(["False", "RolledBack"])
    );
    share_is(&load, "v1", 100.0).await;
    world.pinned("demo-canary", rollout.stable()).await;
    world.only_pods_of(rollout.stable()).await;

    world.ask(&["retry", "demo"]).await;
    let rollout = world.paused_at(1).await;
    assert!(rollout.abort_cause().is_empty());
    share_is(&load, "v2", 20.0).await;
    none_lost(load).await;
}

#[tokio::test]
async fn an_abort_ends_the_analysis_that_is_under_way() {
    let world = World::new("abort-analysis").await;
    let _controller = world.controller().await;
    let template = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "long"},
        "spec": {"metrics": [{
            "name": "one", "interval": "1s", "count": 1000, "successCondition": "result[0] == 1",
            "provider": {"prometheus": {"query": "vector(1)"}},
        }]},
    });
    world.apply(&[template]).await;
    let analysis = json!({"templates": [{"templateName": "long"}]});
    let steps = json!([{"setWeight": 50}, {"analysis": analysis}]);
    world.deploy(&App::canary(1, steps)).await;
    world.set_image("demo:v2").await;
    let run = async |what: &str, wanted: fn(&Value) -> bool| {
        eventually(SOON, what, || async {
            let runs = world.list("analysisruns").await;
            match runs.as_slice() {
                [run] if wanted(run) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    };
    run("it measures", |run| run["status"]["phase"] == "Running").await;
    world.ask(&["abort", "demo"]).await;
    world.aborted().await;
    run("it has ended", |run| {
        run["spec"]["terminate"] == true && !run["status"]["completedAt"].is_null()
    })
    .await;
}

#[tokio::test]
async fn a_held_rollout_waits_for_its_resume() {
    let (world, _controller) = at_the_first_pause("hold").await;
    world.ask(&["pause", "demo"]).await;
    world
        .until(SOON, "held by a person", |rollout| {
            rollout.message() == "manually paused"
        })
        .await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world
        .until(SOON, "the promotion is answered", |rollout| {
            rollout.at("/status/lastHandledRequest/accepted") == true
        })
        .await;
    assert!(
        rollout.weight() == 20 && rollout.phase() == "Paused",
        "{rollout:?}"
    );
    world.ask(&["resume", "demo"]).await;
    assert_eq!(world.paused_at(3).await.weight(), 50);
}

#[tokio::test]
async fn a_request_for_an_older_revision_is_refused() {
    let (world, _controller) = at_the_first_pause("older-revision").await;
    let old = world.rollout().await.declared().to_owned();
    world.set_image("demo:v3").await;
    world
        .until(SOON, "v3 is paused", |rollout| {
            rollout.declared() != old && rollout.step() == 1
        })
        .await;
    let rollout = request(&world, "late", &old, 1).await;
    let handled = rollout.at("/status/lastHandledRequest");
    assert_eq!(handled["accepted"], false);
    assert_eq!(
        handled["message"],
        format!(
            "meant revision {old}, but {} is the current one",
            rollout.declared()
        )
    );
    assert_eq!(rollout.step(), 1);
}

/// What the clients of Argo Rollouts write into the status.
async fn a_written_status_is_an_intent(name: &str, status: Value) -> (World, Controller) {
    let (world, controller) = at_the_first_pause(name).await;
    let patch = json!({ "status": status }).to_string();
    let args = [
        "patch",
        "rollouts.tidegate.dev",
        "demo",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    let patched = world.kubectl(&args).await;
    assert!(patched.ok, "{patched:?}");
    (world, controller)
}

#[tokio::test]
async fn a_pause_that_a_client_clears_in_the_status_is_over() {
    let status = json!({"pauseConditions": null});
    let (world, _controller) = a_written_status_is_an_intent("alias-promote", status).await;
    world.paused_at(3).await;
}

#[tokio::test]
async fn an_abort_that_a_client_writes_into_the_status_is_an_abort() {
    let (world, _controller) =
        a_written_status_is_an_intent("alias-abort", json!({"abort": true})).await;
    let rollout = world.aborted().await;
    assert_eq!(rollout.abort_cause(), "requested in status.abort");
    world.serves("v1").await;
}

#[tokio::test]
async fn a_full_promotion_that_a_client_writes_into_the_status_is_one() {
    let status = json!({"promoteFull": true});
    let (world, _controller) = a_written_status_is_an_intent("alias-full", status).await;
    world.healthy().await;
    world.serves("v2").await;
}
