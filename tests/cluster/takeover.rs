//! Objects of Argo Rollouts, taken over where they stand: no pod is started or ended for it, and each goes on to its end.

mod left;

use serde_json::{Value, json};

use super::harness::{App, CANARY_INGRESS, SOON, World, eventually, none_lost, share_is};
use left::{Left, V1, V2, condition, status};

const CANARY: fn() -> App = || {
    App::canary(
        2,
        json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]),
    )
};

const fn left(hash: &'static str, revision: i64, replicas: i64) -> Left {
    Left {
        hash,
        revision,
        replicas,
    }
}

/// Both versions at half of the traffic, waiting for a person.
fn paused() -> Value {
    let weight = |hash: &str, service: &str| json!({"podTemplateHash": hash, "serviceName": service, "weight": 50});
    status(&json!({
        "HPAReplicas": 3, "availableReplicas": 3, "readyReplicas": 3, "replicas": 3, "updatedReplicas": 1,
        "canary": {"weights": {"canary": weight(V2, "demo-canary"), "stable": weight(V1, "demo-stable")}},
        "conditions": [
            condition("Available", "True", "AvailableReason"),
            condition("Healthy", "False", "RolloutHealthy"),
            condition("Completed", "False", "RolloutCompleted"),
            condition("Progressing", "Unknown", "RolloutPaused"),
            condition("Paused", "True", "RolloutPaused"),
        ],
        "controllerPause": true,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z"}],
        "currentPodHash": V2, "currentStepIndex": 1,
        "phase": "Paused", "message": "CanaryPauseStep",
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_at_rest_is_taken_over_and_then_updated() {
    let world = World::of_argo_rollouts("argo-rest").await;
    let status = status(&json!({"currentStepIndex": 3}));
    world
        .leave(&CANARY(), "demo:v1", &[left(V1, 1, 2)], [V1, V1], &status)
        .await;
    let pods = world.all_pods().await;
    let _controller = world.controller().await;
    world.taken_over().await;
    // Its EndpointSlices may be a moment behind what was left there.
    assert_eq!(world.healthy().await.stable(), V1);
    assert_eq!(world.all_pods().await, pods);

    world.serves("v1").await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    let rollout = world.paused_at(1).await;
    assert_eq!(
        (rollout.stable(), rollout.message()),
        (V1, "CanaryPauseStep")
    );
    // As the plugin of kubectl promotes.
    world
        .patch(
            "rollouts",
            "demo/status",
            &json!({"status": {"pauseConditions": null}}),
        )
        .await;
    world.healthy().await;
    share_is(&load, "v2", 100.0).await;
    none_lost(load).await;
    // As clients expect them.
    let stored = world.rollout().await;
    assert!(stored.at("/status/observedGeneration").is_string());
    let service = world.get("services", "demo-stable").await.unwrap();
    let marked =
        &service["metadata"]["annotations"]["argo-rollouts.argoproj.io/managed-by-rollouts"];
    assert_eq!(marked, "demo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_canary_is_taken_over_at_its_step_and_goes_on_when_promoted() {
    let world = World::of_argo_rollouts("argo-paused").await;
    let sets = [left(V1, 1, 2), left(V2, 2, 1)];
    world
        .leave(&CANARY(), "demo:v2", &sets, [V1, V2], &paused())
        .await;
    let pods = world.all_pods().await;
    world.answers().await;
    let load = world.load(100);
    let _controller = world.controller().await;
    let rollout = world.taken_over().await;
    assert_eq!(
        (
            rollout.phase(),
            rollout.message(),
            rollout.step(),
            rollout.weight()
        ),
        ("Paused", "CanaryPauseStep", 1, 50)
    );
    assert_eq!((rollout.declared(), rollout.stable()), (V2, V1));
    share_is(&load, "v2", 50.0).await;
    assert_eq!(world.all_pods().await, pods);
    let ingress = world.get("ingresses", CANARY_INGRESS).await.unwrap();
    let weight = &ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"];
    assert_eq!(weight, "50");

    world
        .patch(
            "rollouts",
            "demo/status",
            &json!({"status": {"pauseConditions": null}}),
        )
        .await;
    let rollout = world.healthy().await;
    assert_eq!(rollout.stable(), V2);
    share_is(&load, "v2", 100.0).await;
    none_lost(load).await;
    world.only_pods_of(V2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_update_stays_aborted_until_it_is_retried() {
    let world = World::of_argo_rollouts("argo-aborted").await;
    let aborted = status(&json!({
        "updatedReplicas": 0,
        "conditions": [
            condition("Available", "True", "AvailableReason"),
            condition("Progressing", "False", "RolloutAborted"),
        ],
        "abort": true, "abortedAt": "2026-01-01T00:00:00Z",
        "currentPodHash": V2, "currentStepIndex": 0,
        "phase": "Degraded", "message": "RolloutAborted: Rollout aborted update to revision 2",
    }));
    let sets = [left(V1, 1, 2), left(V2, 2, 0)];
    world
        .leave(&CANARY(), "demo:v2", &sets, [V1, V1], &aborted)
        .await;
    let pods = world.all_pods().await;
    let _controller = world.controller().await;
    let rollout = world.taken_over().await;
    assert_eq!(
        (rollout.phase(), rollout.message(), rollout.stable()),
        (
            "Degraded",
            "RolloutAborted: Rollout aborted update to revision 2",
            V1
        )
    );
    assert_eq!(world.all_pods().await, pods);
    // As the plugin of kubectl retries.
    world
        .patch(
            "rollouts",
            "demo/status",
            &json!({"status": {"abort": false}}),
        )
        .await;
    world.paused_at(1).await;
    world.ask(&["promote", "demo"]).await;
    assert_eq!(world.healthy().await.stable(), V2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_waits_is_taken_over_before_it() {
    let world = World::of_argo_rollouts("argo-switch").await;
    let app = App::blue_green(2, json!({"autoPromotionEnabled": false}));
    let waiting = status(&json!({
        "HPAReplicas": 2, "availableReplicas": 4, "readyReplicas": 4, "replicas": 4, "updatedReplicas": 2,
        "blueGreen": {"activeSelector": V1, "previewSelector": V2},
        "controllerPause": true,
        "pauseConditions": [{"reason": "BlueGreenPause", "startTime": "2026-01-01T00:00:00Z"}],
        "conditions": [
            condition("Available", "True", "AvailableReason"),
            condition("Progressing", "Unknown", "RolloutPaused"),
            condition("Paused", "True", "RolloutPaused"),
        ],
        "currentPodHash": V2, "currentStepHash": null,
        "phase": "Paused", "message": "BlueGreenPause",
    }));
    let sets = [left(V1, 1, 2), left(V2, 2, 2)];
    world
        .leave(&app, "demo:v2", &sets, [V1, V2], &waiting)
        .await;
    let pods = world.all_pods().await;
    world.serves("v1").await;
    let load = world.load(100);
    let _controller = world.controller().await;
    let rollout = world.taken_over().await;
    assert_eq!(
        (rollout.phase(), rollout.message()),
        ("Paused", "BlueGreenPause")
    );
    assert_eq!(world.all_pods().await, pods);
    world
        .patch(
            "rollouts",
            "demo/status",
            &json!({"status": {"pauseConditions": null}}),
        )
        .await;
    world.pinned("demo-stable", V2).await;
    assert_eq!(world.healthy().await.stable(), V2);
    share_is(&load, "v2", 100.0).await;
    none_lost(load).await;
}

#[tokio::test]
async fn its_lease_is_held_and_what_another_instance_serves_is_left_alone() {
    let world = World::of_argo_rollouts("argo-instance").await;
    let _controller = world.controller().await;
    // A controller is ready before it leads.
    eventually(SOON, "the lease of the group is held", || async {
        let lease = world.get("leases", "argo-rollouts-controller-lock").await;
        let lease = lease.unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"].as_str();
        holder
            .filter(|holder| !holder.is_empty())
            .map(drop)
            .ok_or_else(|| lease.to_string())
    })
    .await;
    let app = App::pod_ratio(1, json!([]));
    let mut other = app.rollout();
    other["apiVersion"] = json!("argoproj.io/v1alpha1");
    other["metadata"]["name"] = json!("other");
    other["metadata"]["labels"] =
        json!({"argo-rollouts.argoproj.io/controller-instance-id": "other"});
    let mut own = app.rollout();
    own["apiVersion"] = json!("argoproj.io/v1alpha1");
    // Accepted and kept, though no version of ours knows it.
    own["spec"]["strategy"]["canary"]["fieldOfANewerVersion"] = json!({"a": [1, 2]});
    world.apply(&[other, app.services()[0].clone(), own]).await;
    let rollout = world.healthy().await;
    assert_eq!(
        rollout.at("/spec/strategy/canary/fieldOfANewerVersion"),
        &json!({"a": [1, 2]})
    );
    let other = world.get("rollouts", "other").await.unwrap();
    assert!(other["status"].is_null(), "{other}");
}

/// Of a kind whose definition in this group has no status subresource: a phase that was written is a write that worked.
#[tokio::test]
async fn analyses_and_experiments_of_the_group_run_to_their_verdict() {
    let world = World::of_argo_rollouts("argo-analysis").await;
    let _controller = world.controller().await;
    let template = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "good"},
        "spec": {"metrics": [{
            "name": "one", "interval": "1s", "count": 2, "successCondition": "result[0] == 1",
            "provider": {"prometheus": {"query": "vector(1)"}},
        }]},
    });
    let step = json!({"templates": [{"templateName": "good"}]});
    let experiment = json!({
        "templates": [{"name": "beside", "specRef": "canary", "replicas": 1}],
        "analyses": [{"name": "good", "templateName": "good", "requiredForCompletion": true}],
        "scaleDownDelaySeconds": 1,
    });
    let app = App::canary(
        1,
        json!([{"experiment": experiment}, {"setWeight": 50}, {"analysis": step}]),
    );
    let mut manifests = app.manifests(world.namespace());
    manifests.last_mut().unwrap()["apiVersion"] = json!("argoproj.io/v1alpha1");
    manifests.push(template);
    world.apply(&manifests).await;
    world.healthy().await;
    world.set_image("demo:v2").await;
    world
        .until(SOON, "the update is under way", |rollout| {
            rollout.declared() != rollout.stable()
        })
        .await;
    world.healthy().await;

    let phases = |all: Vec<Value>| {
        let mut phases: Vec<_> = all
            .iter()
            .map(|one| one["status"]["phase"].as_str().unwrap_or("none").to_owned())
            .collect();
        phases.sort();
        phases
    };
    let runs = world.list("analysisruns").await;
    let labels: Vec<_> = runs
        .iter()
        .map(|run| run["metadata"]["labels"]["rollout-type"].clone())
        .collect();
    assert!(labels.contains(&json!("Step")), "{labels:?}");
    assert_eq!(phases(runs), ["Successful", "Successful"]);
    assert_eq!(phases(world.list("experiments").await), ["Successful"]);

    // As the plugin of kubectl has an Experiment run again. One of a release that is over would be terminated.
    let mut pods = app.rollout()["spec"]["template"].clone();
    pods["metadata"]["labels"] = json!({"app": "alone"});
    let version =
        json!({"name": "one", "selector": {"matchLabels": {"app": "alone"}}, "template": pods});
    let required = json!({"name": "good", "templateName": "good", "requiredForCompletion": true});
    let alone = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "alone"},
        "spec": {"templates": [version], "analyses": [required], "scaleDownDelaySeconds": 1},
    });
    world.apply(&[alone]).await;
    let ended = |before: Value| {
        let world = &world;
        eventually(SOON, "the Experiment has run", move || {
            let before = before.clone();
            async move {
                let now = world.get("experiments", "alone").await;
                let status = now.ok_or("it is gone")?["status"].take();
                let at = &status["availableAt"];
                if status["phase"] == "Successful" && at.is_string() && *at != before {
                    Ok(at.clone())
                } else {
                    Err(status.to_string())
                }
            }
        })
    };
    let first = ended(Value::Null).await;
    world
        .patch("experiments", "alone", &json!({"status": null}))
        .await;
    ended(first).await;
}
