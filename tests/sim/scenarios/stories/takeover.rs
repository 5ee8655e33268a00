//! Our controller comes to objects that Argo Rollouts' controller has made, and goes on where that one stopped.
//!
//! What it leaves is what `tests/cluster/takeover` leaves on a real server: names, hashes, annotations and status are its own.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::{
    api::names::Conventions,
    sim::{request::Subresource, world::Nature},
};

use super::{is_healthy, routed, serves, strategy, weight};
use crate::sim::{
    run::{Beat, Get, Scenario, Stage},
    scenarios::manifests,
};

/// Its hash of version 1, and of version 2: no relation to ours.
const V1: &str = "687d76d795";
const V2: &str = "6f5b8d4c9f";
const HASH: &str = "rollouts-pod-template-hash";
const SINCE: &str = "2026-01-01T00:00:00Z";

/// An update that waits for a person at its first weight: the person lets it go on.
pub(in crate::sim) fn paused() -> Scenario {
    let story = vec![
        Beat::Until("the takeover", |get| {
            is_taken_over(get) && get("rollouts/web")["status"]["message"] == "CanaryPauseStep"
        }),
        Beat::Pause(Duration::from_secs(2)),
        Beat::Do(promote),
        Beat::Until("the analysis at half of the traffic", |get| {
            get("rollouts/web")["status"]["canary"]["currentStepAnalysisRunStatus"]["status"]
                == "Running"
        }),
        Beat::Until("the second version", is_healthy),
    ];
    taken_over("takeover of a paused canary", leave_paused, story)
}

/// An update that was aborted: a person has it tried again.
pub(in crate::sim) fn aborted() -> Scenario {
    let story = vec![
        Beat::Until("the takeover", |get| {
            let rollout = get("rollouts/web");
            let message = rollout["status"]["message"].as_str().unwrap_or_default();
            is_taken_over(get) && message.starts_with("RolloutAborted")
        }),
        Beat::Pause(Duration::from_secs(2)),
        // As Argo Rollouts' plugin of kubectl does it.
        Beat::Do(|stage| {
            let patch = json!({"status": {"abort": false}});
            stage.patch_status("rollouts", "web", &patch);
        }),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Until("the pause", |get| {
            get("rollouts/web")["status"]["message"] == "CanaryPauseStep"
        }),
        Beat::Do(promote),
        Beat::Until("the second version", is_healthy),
    ];
    taken_over("takeover of an aborted canary", leave_aborted, story)
}

/// A switch that waits for a person, who lets it happen.
pub(in crate::sim) fn before_the_switch() -> Scenario {
    let story = vec![
        Beat::Until("the takeover", |get| {
            is_taken_over(get) && get("rollouts/web")["status"]["message"] == "BlueGreenPause"
        }),
        Beat::Pause(Duration::from_secs(2)),
        Beat::Do(promote),
        Beat::Until("the second version", is_healthy),
    ];
    taken_over("takeover before a switch", leave_before_the_switch, story)
}

/// What `leave` leaves serves, requests come in, and then our controller is there.
fn taken_over(name: &'static str, leave: fn(&Stage), story: Vec<Beat>) -> Scenario {
    let found = vec![
        Beat::Do(leave),
        Beat::Until("endpoints of the stable Service", serves),
        Beat::Until("the pods of the second version", |get| {
            let set = get(&format!("replicasets/web-{V2}"));
            let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0);
            set["spec"]["replicas"].as_i64() == Some(available)
        }),
        // A proxy may be a second behind.
        Beat::Pause(Duration::from_secs(2)),
        Beat::Do(Stage::open_traffic),
        Beat::Install,
    ];
    // The other one's selectors are nobody's mistake.
    let nobody_blamed = Beat::Until("nobody to be blamed", |get| {
        get("rollouts/web")["status"]["overwritten"].is_null()
    });
    let scenario = routed(name, Vec::new());
    Scenario {
        nature: Nature {
            api: Conventions::ArgoRollouts,
            ..scenario.nature
        },
        story: [found, story, vec![nobody_blamed]].concat(),
        ..scenario
    }
}

/// Our controller has written a status: the other one knows no revision in it.
fn is_taken_over(get: Get<'_>) -> bool {
    get("rollouts/web")["status"]["revision"].is_i64()
}

/// As Argo Rollouts' plugin of kubectl does it.
fn promote(stage: &Stage) {
    let patch = json!({"status": {"pauseConditions": null}});
    stage.patch_status("rollouts", "web", &patch);
}

fn canary() -> Value {
    let mut strategy = strategy();
    strategy["steps"][1] = json!({"pause": {}});
    json!({ "canary": strategy })
}

fn leave_paused(stage: &Stage) {
    let of = |hash: &str, service: &str, weight: i32| json!({"podTemplateHash": hash, "serviceName": service, "weight": weight});
    let status = json!({
        "HPAReplicas": 6, "availableReplicas": 6, "readyReplicas": 6, "replicas": 6, "updatedReplicas": 1,
        "canary": {"weights": {"canary": of(V2, "web-canary", 20), "stable": of(V1, "web-stable", 80)}},
        "conditions": waiting(),
        "controllerPause": true,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": SINCE}],
        "currentStepIndex": 1, "phase": "Paused", "message": "CanaryPauseStep",
    });
    leave(stage, &canary(), [5, 1], [V1, V2], &status);
    leave_canary_ingress(stage, 20);
}

fn leave_aborted(stage: &Stage) {
    let status = json!({
        "updatedReplicas": 0,
        "conditions": [
            condition("Available", "True", "AvailableReason"),
            condition("Progressing", "False", "RolloutAborted"),
        ],
        "abort": true, "abortedAt": SINCE, "currentStepIndex": 0,
        "phase": "Degraded", "message": "RolloutAborted: Rollout aborted update to revision 2",
    });
    leave(stage, &canary(), [5, 0], [V1, V1], &status);
    leave_canary_ingress(stage, 0);
}

fn leave_before_the_switch(stage: &Stage) {
    let strategy = json!({"blueGreen": {
        "activeService": "web-stable", "previewService": "web-canary", "autoPromotionEnabled": false,
        "scaleDownDelaySeconds": 10, "abortScaleDownDelaySeconds": 10,
    }});
    let status = json!({
        "availableReplicas": 10, "readyReplicas": 10, "replicas": 10,
        "blueGreen": {"activeSelector": V1, "previewSelector": V2},
        "controllerPause": true,
        "pauseConditions": [{"reason": "BlueGreenPause", "startTime": SINCE}],
        "conditions": waiting(),
        "currentStepHash": null, "phase": "Paused", "message": "BlueGreenPause",
    });
    leave(stage, &strategy, [5, 5], [V1, V2], &status);
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": reason,
        "lastTransitionTime": SINCE, "lastUpdateTime": SINCE,
    })
}

/// Conditions of an update that waits.
fn waiting() -> Value {
    json!([
        condition("Available", "True", "AvailableReason"),
        condition("Healthy", "False", "RolloutHealthy"),
        condition("Completed", "False", "RolloutCompleted"),
        condition("Progressing", "Unknown", "RolloutPaused"),
        condition("Paused", "True", "RolloutPaused"),
    ])
}

/// An update from version 1 to version 2 with so many pods of each; the Services select `pins`. `change` is what its status
/// says beside what is in every status of its making.
fn leave(stage: &Stage, strategy: &Value, pods: [i64; 2], pins: [&str; 2], change: &Value) {
    for (name, pin) in ["web-stable", "web-canary"].into_iter().zip(pins) {
        stage.create(manifests::service(name));
        let pinned = json!({
            "metadata": {"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "web"}},
            "spec": {"selector": {HASH: pin}},
        });
        stage.leave_in(&format!("services/{name}"), Subresource::None, &pinned);
    }
    stage.create(manifests::ingress("web-stable"));
    stage.create(of_argo_rollouts(manifests::template("errors")));
    let mut rollout = of_argo_rollouts(manifests::with_strategy(5, "web:2", strategy));
    rollout["metadata"]["annotations"] = json!({"rollout.argoproj.io/revision": "2"});
    stage.create(rollout.clone());
    let (versions, owner) = ([(V1, "web:1"), (V2, "web:2")], owner(stage));
    for (revision, ((hash, image), pods)) in (1..).zip(versions.into_iter().zip(pods)) {
        let mut template = rollout["spec"]["template"].clone();
        template["metadata"]["labels"][HASH] = json!(hash);
        // Its template goes through typed structs, which leave empty fields behind.
        template["spec"]["containers"][0]["resources"] = json!({});
        template["spec"]["containers"][0]["image"] = json!(image);
        let labels = template["metadata"]["labels"].clone();
        stage.leave(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": format!("web-{hash}"), "labels": labels,
                "annotations": {
                    "rollout.argoproj.io/revision": i64::to_string(&revision),
                    "rollout.argoproj.io/desired-replicas": "5",
                },
                "ownerReferences": owner,
            },
            "spec": {"replicas": pods, "selector": {"matchLabels": labels}, "template": template},
        }));
    }
    let mut status = json!({
        "HPAReplicas": 5, "availableReplicas": 5, "readyReplicas": 5, "replicas": 5, "updatedReplicas": 5,
        "blueGreen": {}, "canary": {},
        "currentPodHash": V2, "stableRS": V1, "currentStepHash": "5f47fbdb5b",
        "selector": "app=web", "observedGeneration": "1",
    });
    json_patch::merge(&mut status, change);
    let status = json!({ "status": status });
    stage.leave_in("rollouts/web", Subresource::Status, &status);
}

fn of_argo_rollouts(mut manifest: Value) -> Value {
    manifest["apiVersion"] = json!("argoproj.io/v1alpha1");
    manifest
}

fn owner(stage: &Stage) -> Value {
    json!([{
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web",
        "uid": stage.get("rollouts/web")["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

/// The second Ingress, which leads to the canary Service.
fn leave_canary_ingress(stage: &Stage, weight: i64) {
    let mut ingress = manifests::ingress("web-canary");
    ingress["metadata"] = json!({
        "name": "web-web-canary",
        "annotations": {
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": weight.to_string(),
        },
        "ownerReferences": owner(stage),
    });
    stage.leave(ingress);
}
