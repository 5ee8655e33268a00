//! What is told, to whom, how often; and that nothing is asked or written at rest.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use testbed::fault_proxy::{FaultProxy, FaultProxyOptions};

use super::harness::{App, SOON, World, eventually, now};

const QUIET: Duration = Duration::from_secs(45);

#[tokio::test]
async fn at_rest_nothing_is_asked_and_nothing_is_written() {
    let world = World::new("at-rest").await;
    let controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    settled(&world).await;
    let since = now();
    let events = world.list("events").await.len();
    let reconciles = reconciles(&controller.read("/metrics").await.unwrap());
    // The quiet is what is measured.
    tokio::time::sleep(QUIET).await;
    let asked: Vec<_> = world
        .asked()
        .into_iter()
        .filter(|asked| asked.at > since && asked.resource != "leases" && asked.verb != "watch")
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
    assert_eq!(world.list("events").await.len(), events);
    let now = self::reconciles(&controller.read("/metrics").await.unwrap());
    assert_eq!(now, reconciles, "nothing changed, so nothing is looked at");
}

/// Waits until no write has come for three seconds.
async fn settled(world: &World) {
    eventually(SOON, "the controller has done everything", || async {
        let last = world
            .writes()
            .last()
            .map(|write| write.at)
            .unwrap_or_default();
        let quiet = now().duration_since(last).as_secs();
        if quiet >= 3 {
            Ok(())
        } else {
            Err(format!("{quiet} s"))
        }
    })
    .await;
}

fn reconciles(metrics: &str) -> Vec<String> {
    let lines = metrics.lines();
    let own = lines.filter(|line| line.starts_with("tidegate_reconcile_seconds_count"));
    own.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_release_is_told_once_and_in_order() {
    let world = World::new("events").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    let before = world.list("events").await.len();
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    settled(&world).await;

    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for told in world.told().await {
        *counts.entry(told).or_default() += 1;
    }
    let events = world.list("events").await;
    assert!(events.len() > before);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let repeated: Vec<_> = events
        .iter()
        .filter(|event| event["regarding"]["kind"] == "Rollout" && !event["series"].is_null())
        .collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    let told = |reason: &str, words: &str| {
        counts
            .keys()
            .any(|(told, note)| told == reason && note.contains(words))
    };
    for (reason, words) in [
        ("RolloutUpdated", "revision 2"),
        ("NewReplicaSetCreated", "revision 2"),
        ("CreatingCanaryIngress", "Ingress"),
        ("SwitchService", "demo-canary"),
        ("RolloutStepCompleted", "step 1/2 completed (setWeight: 50)"),
        ("RolloutPaused", "CanaryPauseStep"),
        ("RequestAccepted", "promote by admin"),
        ("RolloutResumed", ""),
        ("RolloutCompleted", "revision 2"),
        ("SwitchService", "demo-stable"),
        ("RolloutHealthy", "revision 2"),
        ("ScalingReplicaSet", "down"),
    ] {
        assert!(told(reason, words), "{reason} {words:?} in {counts:#?}");
    }
}

#[tokio::test]
async fn a_release_needs_few_writes() {
    let world = World::new("writes").await;
    let _controller = world.controller().await;
    let app = App::canary(
        4,
        json!([{"setWeight": 25}, {"setWeight": 50}, {"setWeight": 75}]),
    );
    world.deploy(&app).await;
    settled(&world).await;
    let before = world.writes().len();
    world.set_image("demo:v2").await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    settled(&world).await;
    let asked = world.asked();
    let forbidden: Vec<_> = asked.iter().filter(|asked| asked.code == 403).collect();
    assert!(
        forbidden.is_empty(),
        "the chart's rules do not do: {forbidden:?}"
    );
    let mut by_resource: BTreeMap<String, usize> = BTreeMap::new();
    for write in world.writes().into_iter().skip(before) {
        *by_resource.entry(write.resource).or_default() += 1;
    }
    let of = |resource: &str| by_resource.get(resource).copied().unwrap_or(0);
    // One ReplicaSet made, three times grown, and the old one sent to 0; four weights and the 0 at the end, and the
    // Ingress made; two pins for the canary Service and one for stable's.
    assert!(
        of("replicasets") <= 5 && of("ingresses") <= 6 && of("services") <= 3,
        "{by_resource:?}"
    );
    assert!(of("rollouts/status") <= 20, "{by_resource:?}");
}

#[tokio::test]
async fn metrics_are_about_the_rollouts_that_are_there() {
    let world = World::new("metrics").await;
    let controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    let has = async |line: &str| {
        let text = controller.read("/metrics").await.unwrap();
        text.lines().any(|found| found == line)
    };
    for line in [
        r#"tidegate_rollout_weight{namespace="metrics",name="demo"} 50"#,
        r#"tidegate_rollout_replicas{namespace="metrics",name="demo",state="desired"} 2"#,
        r#"tidegate_rollout_info{namespace="metrics",name="demo",strategy="canary",phase="Paused"} 1"#,
        "tidegate_leader 1",
    ] {
        eventually(SOON, line, || async {
            if has(line).await {
                Ok(())
            } else {
                Err(controller.read("/metrics").await.unwrap())
            }
        })
        .await;
    }
    world.delete("rollouts", "demo").await;
    eventually(SOON, "its series end", || async {
        let text = controller.read("/metrics").await.unwrap();
        if text.contains(r#"name="demo""#) {
            Err(text)
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test]
async fn it_is_alive_but_not_ready_while_the_api_server_does_not_answer() {
    let world = World::new("not-ready").await;
    let proxy = FaultProxy::start(FaultProxyOptions::before(world.testbed()).unwrap())
        .await
        .unwrap();
    proxy.fail_all(true);
    let mut controller = world.begin_controller(&[], Some(&proxy.url())).await;
    let (alive, ready) = eventually(SOON, "it answers", || async {
        let alive = controller.read("/healthz").await;
        let ready = controller.read("/readyz").await;
        match (alive, ready) {
            (Ok(alive), Ok(ready)) => Ok((alive, ready)),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(alive.contains(" 200 "), "{alive}");
    assert!(
        ready.contains(" 503 ") && ready.contains("caches: "),
        "{ready}"
    );
    proxy.heal();
    controller.ready().await;
}
