//! What is about single pods, on real ones: where they are placed, what they carry, and how they are restarted.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{App, Rollout, SOON, World, eventually, none_lost, now};

async fn pod(world: &World, name: &str) -> Value {
    world.get("pods", name).await.expect(name)
}

/// Waits until all pods of a version have this label, or none of it.
async fn labelled(world: &World, hash: &str, role: Option<&str>) {
    let what = format!("pods of {hash} have role {role:?}");
    eventually(SOON, &what, || async {
        let names = world.pods_of(hash).await;
        for name in &names {
            let pod = pod(world, name).await;
            let found = pod.pointer("/metadata/labels/role").and_then(Value::as_str);
            if found != role {
                return Err(format!("{name} has {found:?}"));
            }
        }
        if names.is_empty() {
            Err("there are none".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test]
async fn pods_of_a_new_version_keep_away_from_stable_until_it_is_stable() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.antiAffinity",
        "spec.strategy.canary.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
        "spec.strategy.canary.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution.weight",
        "spec.strategy.blueGreen.antiAffinity",
        "spec.strategy.blueGreen.antiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
    ]);
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let canary = App::pod_ratio(1, json!([{"setWeight": 50}, {"pause": {}}]))
        .strategy(json!({"antiAffinity": {preferred: {"weight": 7}}}));
    let switch = App::blue_green(
        1,
        json!({"autoPromotionEnabled": false, "antiAffinity": {required: {}}}),
    );
    for (name, app, list) in [
        ("placement", canary, preferred),
        ("placement-switch", switch, required),
    ] {
        let world = World::new(name).await;
        let _controller = world.controller().await;
        let mut all = app.services();
        all.push(app.rollout());
        world.apply(&all).await;
        let first = world.healthy().await;
        world.set_image("demo:v2").await;
        let second = world
            .until(SOON, "v2 is tried", |rollout| {
                rollout.is_paused_for("CanaryPauseStep") || rollout.is_paused_for("BlueGreenPause")
            })
            .await;
        let anti = format!("/spec/affinity/podAntiAffinity/{list}");
        let names = world.pods_of(second.declared()).await;
        let pod = pod(&world, &names[0]).await;
        let rules = pod.pointer(&anti).expect("a rule").to_string();
        assert!(rules.contains(first.stable()), "{rules}");
        assert!(rules.contains("kubernetes.io/hostname"), "{rules}");
        world.ask(&["promote", "demo", "--full"]).await;
        let third = world.healthy().await;
        assert_eq!(third.stable(), second.declared());
        let set = format!("demo-{}", third.stable());
        eventually(SOON, "the rule is gone", || async {
            let set = world.get("replicasets", &set).await.unwrap();
            let template = &set["spec"]["template"];
            match template.pointer(&anti) {
                None => Ok(()),
                Some(rules) => Err(rules.to_string()),
            }
        })
        .await;
        assert_eq!(
            world.pods_of(third.stable()).await,
            names,
            "no pod was restarted"
        );
    }
}

#[tokio::test]
async fn pods_carry_what_their_version_is_and_are_not_restarted_when_it_changes() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.canaryMetadata",
        "spec.strategy.canary.canaryMetadata.labels",
        "spec.strategy.canary.canaryMetadata.annotations",
        "spec.strategy.canary.stableMetadata",
        "spec.strategy.canary.stableMetadata.labels",
        "spec.strategy.canary.stableMetadata.annotations",
    ]);
    let world = World::new("metadata").await;
    let _controller = world.controller().await;
    let metadata = json!({
        "canaryMetadata": {"labels": {"role": "canary"}, "annotations": {"note": "tried"}},
        "stableMetadata": {"labels": {"role": "stable"}, "annotations": {"note": "proven"}},
    });
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}])).strategy(metadata);
    let first = world.deploy(&app).await;
    labelled(&world, first.stable(), Some("stable")).await;
    world.set_image("demo:v2").await;
    let second = world.paused_at(1).await;
    labelled(&world, second.declared(), Some("canary")).await;
    labelled(&world, second.stable(), Some("stable")).await;
    let tried = world.pods_of(second.declared()).await;
    world.ask(&["promote", "demo", "--full"]).await;
    let third = world.healthy().await;
    labelled(&world, third.stable(), Some("stable")).await;
    let proven = world.pods_of(third.stable()).await;
    assert!(tried.iter().all(|pod| proven.contains(pod)), "{proven:?}");
    let pod = pod(&world, &tried[0]).await;
    assert_eq!(
        pod.pointer("/metadata/annotations/note"),
        Some(&json!("proven"))
    );
}

#[tokio::test]
async fn preview_and_active_pods_carry_what_they_are() {
    let _covers = testbed::covers(&[
        "spec.strategy.blueGreen.previewMetadata",
        "spec.strategy.blueGreen.previewMetadata.labels",
        "spec.strategy.blueGreen.activeMetadata",
        "spec.strategy.blueGreen.activeMetadata.labels",
    ]);
    let world = World::new("metadata-switch").await;
    let _controller = world.controller().await;
    let app = App::blue_green(
        1,
        json!({
            "autoPromotionEnabled": false,
            "scaleDownDelaySeconds": 600,
            "previewMetadata": {"labels": {"role": "preview"}},
            "activeMetadata": {"labels": {"role": "active"}},
        }),
    );
    let first = world.deploy(&app).await;
    labelled(&world, first.stable(), Some("active")).await;
    world.set_image("demo:v2").await;
    let second = world.paused_before_the_switch().await;
    labelled(&world, second.declared(), Some("preview")).await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    labelled(&world, second.declared(), Some("active")).await;
    labelled(&world, first.stable(), None).await;
}

async fn restarted(world: &World, at: &str) -> Rollout {
    world
        .until(
            Duration::from_mins(2),
            "all pods are restarted",
            |rollout| rollout.at("/status/restartedAt").as_str().map(normal) == Some(normal(at)),
        )
        .await
}

fn normal(time: &str) -> jiff::Timestamp {
    time.parse().unwrap()
}

/// A time after the creation of everything that is there: creation times are in whole seconds.
fn after_all_pods() -> String {
    let next = jiff::Timestamp::from_second(now().as_second() + 1).unwrap();
    next.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_1583_a_single_pod_is_restarted_without_a_lost_request() {
    let _covers = testbed::covers(&["spec.restartAt"]);
    let world = World::new("restart-single").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"pause": {}}]));
    let rollout = world.deploy(&app).await;
    let before = world.pods_of(rollout.stable()).await;
    let load = world.load(100);
    let at = after_all_pods();
    world
        .patch("rollouts", "demo", &json!({"spec": {"restartAt": at}}))
        .await;
    restarted(&world, &at).await;
    let rollout = world.healthy().await;
    eventually(SOON, "one pod, and another one", || async {
        let after = world.pods_of(rollout.stable()).await;
        if after.len() == 1 && !after.contains(&before[0]) {
            Ok(())
        } else {
            Err(format!("{after:?}"))
        }
    })
    .await;
    none_lost(load).await;
}

#[tokio::test]
async fn a_restart_waits_for_a_budget_and_goes_on_in_mid_canary() {
    let _covers = testbed::covers(&["spec.restartAt", "spec.strategy.canary.maxUnavailable"]);
    let world = World::new("restart-budget").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(3, json!([{"setWeight": 34}, {"pause": {}}]));
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "demo"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "demo"}}},
    });
    world.apply(&[budget, app.rollout()]).await;
    world.healthy().await;
    world.set_image("demo:v2").await;
    let update = world.paused_at(1).await;
    let pods = |update: Rollout| {
        let world = &world;
        async move {
            let mut all = world.pods_of(update.stable()).await;
            all.extend(world.pods_of(update.declared()).await);
            all
        }
    };
    let before = pods(update.clone()).await;
    let at = after_all_pods();
    world
        .patch("rollouts", "demo", &json!({"spec": {"restartAt": at}}))
        .await;
    world
        .until(SOON, "the refusal is told", |rollout| {
            let waiting = rollout.at("/status/waitingFor").as_str();
            waiting.is_some_and(|waiting| waiting.contains("disruption budget"))
        })
        .await;
    world.kubectl(&["delete", "pdb", "demo"]).await;
    let rollout = restarted(&world, &at).await;
    assert_eq!(rollout.step(), 1);
    let after = pods(rollout).await;
    assert!(
        before.iter().all(|pod| !after.contains(pod)),
        "{before:?} {after:?}"
    );
}
