//! A canary from the first deploy to its end, with real requests: through a router, and by the share of pods.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use super::harness::{App, Rollout, SOON, WeightWatch, World, eventually, none_lost, share_is};

#[tokio::test]
async fn a_first_deploy_takes_no_steps_and_tells_tools_that_it_is_ready() {
    let world = World::new("first-deploy").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 20}, {"pause": {}}]));
    let rollout = world.deploy(&app).await;
    let pins = [
        world.pin("demo-stable").await,
        world.pin("demo-canary").await,
    ];
    let stable = Some(rollout.stable().to_owned());
    assert_eq!(pins, [stable.clone(), stable]);
    assert_eq!(rollout.step(), 2);
    assert_eq!(
        rollout.condition("Ready").map(|[status, ..]| status),
        Some("True"),
    );
    assert_eq!(
        [
            rollout.condition("Reconciling"),
            rollout.condition("Stalled")
        ],
        [None, None]
    );
    assert_eq!(world.list("ingresses").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_gets_the_share_of_each_step_and_then_everything() {
    let world = World::new("good-canary").await;
    let _controller = world.controller().await;
    let app = App::canary(
        3,
        json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]),
    )
    .strategy(json!({"scaleDownDelaySeconds": 7}));
    // Nothing is sent to a pod when it goes: it need not even drain.
    world.deploy(&app.drain(0)).await;
    let load = world.load(150);

    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 20.0).await;
    world.ask(&["promote", "demo"]).await;
    world.paused_at(3).await;
    share_is(&load, "v2", 50.0).await;
    world.ask(&["promote", "demo"]).await;
    let promoted = Instant::now();
    let rollout = world.healthy().await;
    share_is(&load, "v2", 100.0).await;

    world.only_pods_of(rollout.declared()).await;
    let stayed = promoted.elapsed();
    assert!(
        stayed >= Duration::from_secs(7),
        "the old pods stayed for {stayed:?}"
    );
    let settled = Instant::now();
    share_is(&load, "v2", 100.0).await;
    let versions = load.between(settled, Instant::now()).by_version;
    assert!(versions.keys().eq(["v2"]), "{versions:?}");
    none_lost(load).await;
    assert_eq!(world.rollout().await.weight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_router_the_share_of_pods_is_the_share_of_requests() {
    let world = World::new("pod-ratio").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(
        4,
        json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}]),
    );
    world.deploy(&app).await;
    let load = world.load(150);

    world.set_image("demo:v2").await;
    let rollout = world.paused_at(1).await;
    let pods = [
        world.pods_of(rollout.declared()).await.len(),
        world.pods_of(rollout.stable()).await.len(),
    ];
    assert_eq!(pods, [1, 3]);
    share_is(&load, "v2", 25.0).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_in_mid_canary_takes_the_place_of_the_first() {
    let world = World::new("newer-version").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 40}, {"pause": {}}]));
    world.deploy(&app.drain(0)).await;
    let load = world.load(100);

    world.set_image("demo:v2").await;
    let second = world.paused_at(1).await.declared().to_owned();
    share_is(&load, "v2", 40.0).await;
    world.set_image("demo:v3").await;
    let third = world
        .until(SOON, "v3 is paused at its step", |rollout| {
            rollout.declared() != second
                && rollout.step() == 1
                && rollout.is_paused_for("CanaryPauseStep")
        })
        .await;
    share_is(&load, "v3", 40.0).await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    world.only_pods_of(third.declared()).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_to_the_stable_template_in_mid_canary_needs_no_step() {
    let world = World::new("back-to-stable").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    let first = world.deploy(&app.drain(0)).await;
    let load = world.load(100);

    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 50.0).await;
    world.set_image("demo:v1").await;
    let rollout = world.healthy().await;
    assert_eq!(rollout.stable(), first.stable());
    share_is(&load, "v1", 100.0).await;
    world.only_pods_of(first.stable()).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_in_mid_canary_keeps_step_and_weight() {
    let world = World::new("scaling").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 50.0).await;

    let weights = WeightWatch::start(&world);
    for (replicas, canary) in [(4, 2), (2, 1)] {
        let scaled = world
            .kubectl(&[
                "scale",
                "rollouts.tidegate.dev",
                "demo",
                &format!("--replicas={replicas}"),
            ])
            .await;
        assert!(scaled.ok, "{scaled:?}");
        let rollout = world.rollout().await;
        eventually(SOON, "both versions have their pods", || async {
            let pods = (
                world.pods_of(rollout.stable()).await.len(),
                world.pods_of(rollout.declared()).await.len(),
            );
            if pods == (replicas, canary) {
                Ok(())
            } else {
                Err(format!("{pods:?}"))
            }
        })
        .await;
        let rollout = world.rollout().await;
        assert_eq!((rollout.step(), rollout.weight()), (1, 50));
        share_is(&load, "v2", 50.0).await;
    }
    assert_eq!(weights.weights(), [50]);
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_at_no_replicas_waits_for_nothing_and_comes_up_when_it_is_scaled() {
    let world = World::new("scale-to-zero").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    for replicas in [0, 2] {
        let patch = json!({"spec": {"replicas": replicas}});
        world.patch("rollouts", "demo", &patch).await;
        let rollout = world.rollout().await;
        let canary = replicas / 2;
        eventually(SOON, "both versions have their pods", || async {
            let stable = world.pods_of(rollout.stable()).await.len();
            let new = world.pods_of(rollout.declared()).await.len();
            if (stable, new) == (replicas, canary) {
                Ok(())
            } else {
                Err(format!("{stable} and {new}"))
            }
        })
        .await;
    }
    let load = world.load(100);
    let from = Instant::now();
    share_is(&load, "v2", 50.0).await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    assert!(load.between(from, Instant::now()).requests > 0);
}

#[tokio::test]
async fn without_a_router_it_can_be_scaled_to_nothing_and_back() {
    let world = World::new("ratio-to-zero").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(2, json!([])).strategy(json!({"stableService": "demo"}));
    let rollout = world.deploy(&app).await;
    for replicas in [0, 1] {
        let patch = json!({"spec": {"replicas": replicas}});
        world.patch("rollouts", "demo", &patch).await;
        eventually(SOON, &format!("there are {replicas} pods"), || async {
            let pods = world.pods_of(rollout.stable()).await;
            if pods.len() == replicas {
                Ok(())
            } else {
                Err(format!("{pods:?}"))
            }
        })
        .await;
        world.healthy().await;
    }
    world.serves("v1").await;
}

#[tokio::test]
async fn without_steps_an_update_takes_over_as_soon_as_it_can() {
    for (name, app) in [
        ("no-steps-router", App::canary(2, json!([]))),
        ("no-steps-ratio", App::pod_ratio(2, json!([]))),
    ] {
        let world = World::new(name).await;
        let _controller = world.controller().await;
        world.deploy(&app).await;
        let load = world.load(50);
        world.set_image("demo:v2").await;
        let rollout = world.healthy().await;
        world.only_pods_of(rollout.declared()).await;
        none_lost(load).await;
    }
}

#[tokio::test]
async fn a_timed_pause_goes_on_where_it_was_after_a_restart() {
    let world = World::new("pause-restart").await;
    let controller = world.controller().await;
    let steps = json!([{"setWeight": 50}, {"pause": {"duration": "8s"}}, {"pause": {}}]);
    world.deploy(&App::canary(1, steps)).await;
    world.set_image("demo:v2").await;
    let start = |rollout: &Rollout| {
        let start = rollout.at("/status/pauseConditions/0/startTime");
        start.as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let begun = start(&world.paused_at(1).await);
    controller.terminate().await;
    let _controller = world.controller().await;
    assert_eq!(start(&world.paused_at(1).await), begun);
    let ended = start(&world.paused_at(2).await);
    let lasted = ended.duration_since(begun).as_secs();
    assert!((8..=10).contains(&lasted), "{lasted} s");
}

#[tokio::test]
async fn pods_that_never_become_ready_are_given_up_at_the_deadline() {
    let world = World::new("never-ready").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}]))
        .spec(json!({"progressDeadlineSeconds": 4, "progressDeadlineAbort": true}));
    let first = world.deploy(&app).await;
    let weights = WeightWatch::start(&world);
    world.set_image("demo:v2-unready").await;
    let rollout = world.aborted().await;
    assert_eq!(
        rollout.abort_cause(),
        "no progress for 4 seconds: 0 of 1 pods are available"
    );
    assert_eq!(rollout.stable(), first.stable());
    world.only_pods_of(first.stable()).await;
    assert!(weights.weights().iter().all(|weight| *weight == 0));
}

#[tokio::test]
async fn without_an_abort_the_deadline_is_told_and_nothing_is_taken_back() {
    let world = World::new("deadline-told").await;
    let _controller = world.controller().await;
    let app =
        App::canary(2, json!([{"setWeight": 50}])).spec(json!({"progressDeadlineSeconds": 3}));
    world.deploy(&app).await;
    world.set_image("demo:v2-unready").await;
    let rollout = world
        .until(SOON, "the deadline is told", |rollout| {
            rollout.phase() == "Degraded"
        })
        .await;
    assert!(
        rollout.message().starts_with("ProgressDeadlineExceeded: ")
            && rollout.abort_cause().is_empty(),
        "{}",
        rollout.message()
    );
    assert_eq!(
        rollout.condition("Stalled").map(|[status, ..]| status),
        Some("True")
    );
}

#[tokio::test]
async fn pods_that_come_and_go_do_not_reset_the_deadline() {
    let world = World::new("flapping").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 100}]))
        .spec(json!({"progressDeadlineSeconds": 8, "progressDeadlineAbort": true}));
    world.deploy(&app.drain(0)).await;
    // The program is never ready by itself: one of its two pods is now and then, as this test says.
    world.set_image("demo:v2-unready").await;
    let new = world
        .until(SOON, "the new version is seen", |rollout| {
            rollout.declared() != rollout.stable()
        })
        .await;
    let pod = eventually(SOON, "both new pods run", || async {
        let pods = world.pods_of(new.declared()).await;
        let mut running = 0;
        for pod in &pods {
            let pod = world.get("pods", pod).await.unwrap_or_default();
            running += usize::from(pod["status"]["phase"] == "Running");
        }
        if running == 2 {
            Ok(pods[0].clone())
        } else {
            Err(format!("{running} of {pods:?} run"))
        }
    })
    .await;
    let begun = Instant::now();
    let rises = AtomicUsize::new(0);
    let flapping = async {
        loop {
            for (ready, available) in [("True", 1), ("False", 0)] {
                world.set_ready(&pod, ready).await;
                world
                    .until(SOON, "the pod is counted", |rollout| {
                        rollout.at("/status/availableReplicas") == 2 + available
                    })
                    .await;
            }
            rises.fetch_add(1, Ordering::Relaxed);
        }
    };
    let rollout = tokio::select! {
        () = flapping => unreachable!("it flaps for ever"),
        rollout = world.aborted() => rollout,
    };
    let lasted = begun.elapsed();
    assert_eq!(
        rollout.abort_cause().split(':').next(),
        Some("no progress for 8 seconds")
    );
    // A deadline that each rise sets anew is never reached while pods rise more often than it is long.
    let rises = rises.into_inner();
    assert!(rises >= 2, "{rises} rises in {lasted:?}");
}

#[tokio::test]
async fn pods_that_crash_again_and_again_are_given_up_at_the_deadline() {
    let world = World::new("canary-crash-loop").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}]))
        .spec(json!({"progressDeadlineSeconds": 4, "progressDeadlineAbort": true}));
    let first = world.deploy(&app).await;
    world.set_image("demo:v2-crash").await;
    let rollout = world.aborted().await;
    assert_eq!(rollout.stable(), first.stable());
    world.only_pods_of(first.stable()).await;
}

#[tokio::test]
async fn old_revisions_are_kept_up_to_the_limit() {
    let world = World::new("revision-history").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([])).spec(json!({"revisionHistoryLimit": 1}));
    world.deploy(&app).await;
    for version in ["v2", "v3"] {
        world.set_image(&format!("demo:{version}")).await;
        world.healthy().await;
        world.serves(version).await;
    }
    eventually(
        SOON,
        "one old ReplicaSet is left beside the stable one",
        || async {
            let sets = world.list("replicasets").await;
            let mut images: Vec<String> = sets
                .iter()
                .map(|set| {
                    let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
                    image.as_str().unwrap().to_owned()
                })
                .collect();
            images.sort();
            if images == ["demo:v2", "demo:v3"] {
                Ok(())
            } else {
                Err(format!("{images:?}"))
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canary_has_the_pods_that_its_step_says_and_the_weight_of_its_step() {
    let world = World::new("canary-scale").await;
    let _controller = world.controller().await;
    let steps = json!([
        {"setCanaryScale": {"replicas": 1}}, {"pause": {}},
        {"setWeight": 60}, {"pause": {}},
        {"setCanaryScale": {"matchTrafficWeight": true}}, {"pause": {}},
    ]);
    world.deploy(&App::canary(2, steps)).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;

    let rollout = world.paused_at(1).await;
    world.pinned("demo-canary", rollout.declared()).await;
    let scaled = world
        .kubectl(&["scale", "rollouts.tidegate.dev", "demo", "--replicas=3"])
        .await;
    assert!(scaled.ok, "{scaled:?}");
    eventually(SOON, "stable alone has grown", || async {
        let stable = world.pods_of(rollout.stable()).await.len();
        if stable == 3 {
            Ok(())
        } else {
            Err(stable.to_string())
        }
    })
    .await;
    for (step, weight, canary) in [(1, 0, 1), (3, 60, 1), (5, 60, 2)] {
        let rollout = world.paused_at(step).await;
        assert_eq!(
            world.pods_of(rollout.declared()).await.len(),
            canary,
            "at step {step}"
        );
        assert_eq!(rollout.weight(), weight, "at step {step}");
        assert_eq!(rollout.at("/status/HPAReplicas"), 3, "at step {step}");
        share_is(&load, "v2", f64::from(i32::try_from(weight).unwrap())).await;
        world.ask(&["promote", "demo"]).await;
    }
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    none_lost(load).await;
}
