//! Each rule is broken once by a writer that calls itself the controller, and must be told.

use std::time::Duration;

use serde_json::{Value, json};

use tidegate::sim::{
    resources, server,
    store::{Author, By, Key},
    world::{Entry, Nature},
};

use crate::sim::{
    entropy,
    scenarios::manifests,
    world::{Run, Shared},
};

const HASH: &str = "tidegate.dev/pod-template-hash";
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

fn put(shared: &Shared, by: By, key: (&'static str, &str), change: impl FnOnce(&mut Value)) {
    let mut world = shared.lock();
    let key = Key::new(key.0, "default", key.1);
    let mut object = world.store.get(&key).cloned().expect("an object");
    change(&mut object);
    let author = Author {
        by,
        manager: "test".to_owned(),
    };
    world.commit(&author, &key, object);
}

fn create(shared: &Shared, manifest: Value) {
    let kind = manifest["kind"].as_str().expect("a kind").to_owned();
    let version = manifest["apiVersion"]
        .as_str()
        .expect("a version")
        .to_owned();
    let resource = resources::of_kind(&version, &kind).expect("a kind that is modelled");
    let mut world = shared.lock();
    server::create(
        &mut world.world,
        &Author::cluster(),
        resource,
        "default",
        manifest,
    )
    .expect("created");
}

fn set(hash: &str, available: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": hash, "labels": {HASH: hash}},
        "spec": {"replicas": 4}, "status": {"availableReplicas": available},
    })
}

/// Stable `one` and canary `two` with a quarter of the traffic, in the middle of a pause.
fn mid_canary() -> Shared {
    let nature = Nature {
        grace: Duration::ZERO,
        bring_back: Duration::from_secs(3),
        entry: Entry::Ingress("web".to_owned()),
        ..Nature::default()
    };
    let shared = Run::begin(1, "2026-01-02T03:04:05Z".parse().expect("a time"), nature);
    let steps =
        json!([{"setWeight": 25}, {"pause": {"duration": 60}}, {"setWeight": 50}, {"pause": {}}]);
    let canary =
        json!({"stableService": "web-stable", "canaryService": "web-canary", "steps": steps});
    let mut rollout = manifests::rollout(4, "web:2", &canary);
    rollout["status"] = json!({
        "stableRS": "one", "currentPodHash": "two", "currentStepIndex": 1,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-02T03:04:05Z"}],
    });
    create(&shared, rollout);
    create(&shared, set("one", 4));
    create(&shared, set("two", 4));
    for (name, hash) in [("web-stable", "one"), ("web-canary", "two")] {
        let mut service = manifests::service(name);
        service["spec"]["selector"][HASH] = json!(hash);
        create(&shared, service);
    }
    create(&shared, manifests::ingress("web-stable"));
    let mut canary = manifests::ingress("web-canary");
    canary["metadata"] = json!({"name": "web-canary", "annotations": {
        "nginx.ingress.kubernetes.io/canary": "true", WEIGHT: "25",
    }});
    create(&shared, canary);
    assert_eq!(shared.lock().complaints, Vec::<String>::new());
    shared
}

fn weight(shared: &Shared, weight: &str) {
    put(
        shared,
        By::Controller,
        ("ingresses", "web-canary"),
        |ingress| {
            ingress["metadata"]["annotations"][WEIGHT] = json!(weight);
        },
    );
}

fn size(shared: &Shared, name: &str, replicas: i64) {
    put(shared, By::Controller, ("replicasets", name), |set| {
        set["spec"]["replicas"] = json!(replicas);
    });
}

fn available(shared: &Shared, name: &str, pods: i64) {
    put(shared, By::Cluster, ("replicasets", name), |set| {
        set["status"]["availableReplicas"] = json!(pods);
    });
}

fn pin(shared: &Shared, service: &str, hash: &Value) {
    put(shared, By::Controller, ("services", service), |service| {
        service["spec"]["selector"][HASH] = hash.clone();
    });
}

fn status(shared: &Shared, field: &str, value: &Value) {
    put(shared, By::Controller, ("rollouts", "web"), |rollout| {
        rollout["status"][field] = value.clone();
    });
}

/// The rules that are told to be broken by `act`, in order of name.
fn broken_by(act: impl AsyncFnOnce(&Shared) + Send + 'static) -> Vec<String> {
    entropy::seeded(1, move || async move {
        let shared = mid_canary();
        act(&shared).await;
        let mut rules: Vec<String> = shared
            .lock()
            .complaints
            .iter()
            .filter_map(|line| Some(line.split_once(": ")?.1.split_once(':')?.0.to_owned()))
            .collect();
        rules.sort();
        rules.dedup();
        rules
    })
}

#[test]
fn a_version_without_pods_must_not_be_selected() {
    let broken = broken_by(async |shared| {
        weight(shared, "0");
        tokio::time::sleep(Duration::from_secs(10)).await;
        create(shared, set("three", 0));
        pin(shared, "web-canary", &json!("three"));
    });
    assert_eq!(broken, ["T1"]);
}

#[test]
fn a_weight_must_be_carried_and_within_its_step() {
    let broken = broken_by(async |shared| {
        available(shared, "two", 1);
        weight(shared, "50");
    });
    assert_eq!(broken, ["T10", "T2"]);
}

#[test]
fn the_weight_of_the_next_step_is_allowed_when_the_pause_is_over() {
    let broken = broken_by(async |shared| {
        tokio::time::sleep(Duration::from_secs(61)).await;
        weight(shared, "50");
    });
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn pods_with_traffic_must_stay() {
    let broken = broken_by(async |shared| size(shared, "two", 0));
    assert_eq!(broken, ["T3", "T4", "T5"]);
}

#[test]
fn pods_must_stay_for_a_while_after_their_traffic() {
    let broken = broken_by(async |shared| {
        weight(shared, "0");
        tokio::time::sleep(Duration::from_secs(4)).await;
        size(shared, "two", 0);
    });
    assert_eq!(broken, ["T5"]);
}

#[test]
fn a_weight_must_be_a_part_of_the_whole() {
    let broken = broken_by(async |shared| weight(shared, "101"));
    assert_eq!(broken, ["T6"]);
}

#[test]
fn a_service_must_lead_to_one_version() {
    let broken = broken_by(async |shared| {
        put(
            shared,
            By::Controller,
            ("services", "web-stable"),
            |service| {
                service["spec"]["selector"] = json!({"app": "web"});
            },
        );
    });
    assert_eq!(broken, ["T7"]);
}

#[test]
fn the_canary_service_must_not_be_led_elsewhere_with_a_weight() {
    let broken = broken_by(async |shared| pin(shared, "web-canary", &json!("one")));
    assert_eq!(broken, ["T5", "T8"]);
}

#[test]
fn what_is_given_up_must_lose_its_traffic() {
    let broken = broken_by(async |shared| {
        status(shared, "abort", &json!(true));
        tokio::time::sleep(Duration::from_secs(4)).await;
        status(shared, "message", &json!("still here"));
    });
    assert_eq!(broken, ["T12"]);
}

#[test]
fn stable_must_not_move_in_mid_canary() {
    let broken = broken_by(async |shared| status(shared, "stableRS", &json!("two")));
    assert_eq!(broken, ["T14"]);
}

/// From a canary without weight to a release that is to be switched after an analysis.
async fn before_the_switch(shared: &Shared) {
    weight(shared, "0");
    put(shared, By::Person, ("rollouts", "web"), |rollout| {
        rollout["spec"]["strategy"] = json!({"blueGreen": {
            "activeService": "web-stable", "previewService": "web-canary",
            "prePromotionAnalysis": {"templates": [{"templateName": "errors"}]},
        }});
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
}

#[test]
fn nothing_must_go_live_without_its_proof() {
    let broken = broken_by(async |shared| {
        before_the_switch(shared).await;
        pin(shared, "web-stable", &json!("two"));
    });
    assert_eq!(broken, ["T15"]);
}

#[test]
fn what_is_given_up_must_be_switched_back() {
    let broken = broken_by(async |shared| {
        before_the_switch(shared).await;
        put(shared, By::Person, ("services", "web-stable"), |service| {
            service["spec"]["selector"][HASH] = json!("two");
        });
        status(shared, "abort", &json!(true));
        tokio::time::sleep(Duration::from_secs(4)).await;
        status(shared, "message", &json!("still here"));
    });
    assert_eq!(broken, ["T12"]);
}
