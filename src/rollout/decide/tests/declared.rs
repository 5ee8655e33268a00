//! Fields that are handed on as they are declared.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::rollout::decision::Action;

#[test]
fn a_replica_set_has_the_selector_and_the_ready_time_of_its_rollout() {
    let _covers = testbed::covers(&[
        "spec.minReadySeconds",
        "spec.selector.matchExpressions",
        "spec.selector.matchExpressions[].key",
        "spec.selector.matchExpressions[].operator",
        "spec.selector.matchExpressions[].values",
    ]);
    let expressions = json!([{"key": "app", "operator": "In", "values": ["demo", "other"]}]);
    let selector = json!({"matchLabels": {"app": "demo"}, "matchExpressions": expressions});
    let world = world()
        .with_spec("minReadySeconds", json!(7))
        .with_spec("selector", selector)
        .deployed();
    let mut created = world.actions.iter().filter_map(|action| {
        if let Action::CreateReplicaSet { object, .. } = action {
            Some(&object["spec"])
        } else {
            None
        }
    });
    let spec = created.next().unwrap();
    assert_eq!(spec["minReadySeconds"], 7);
    assert_eq!(spec["selector"]["matchExpressions"], expressions);
}

#[test]
fn every_ingress_that_is_named_gets_a_canary() {
    let _covers = testbed::covers(&["spec.strategy.canary.trafficRouting.nginx.stableIngresses"]);
    let mut world = world().nginx();
    let mut second = world.ingresses["demo"].clone();
    second.name = "second".to_owned();
    world.ingresses.insert("second".to_owned(), second);
    let routing = json!({"nginx": {"stableIngresses": ["demo", "second"]}});
    let world = world
        .with("trafficRouting", routing)
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed()
        .updated();
    let weight = "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight";
    for name in ["demo-demo-canary", "demo-second-canary"] {
        let ingress = &world.ingresses[name].object;
        assert_eq!(ingress.pointer(weight), Some(&json!("50")), "{world}");
    }
}

#[test]
fn a_template_of_the_cluster_is_looked_for_in_the_cluster() {
    let _covers =
        testbed::covers(&["spec.strategy.canary.steps[].analysis.templates[].clusterScope"]);
    let template = json!([{"templateName": "errors", "clusterScope": true}]);
    let mut world = world().nginx().deployed();
    world.canary("steps", json!([{"analysis": {"templates": template}}]));
    world.declare("v2");
    world.play_until(|_| false);
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("ClusterAnalysisTemplate errors to exist")
    );
    assert_eq!(
        world.condition("ReferenceMissing").map(|told| told.0),
        Some("True".to_owned())
    );
}

/// The label and the annotation `role` in the template of a version.
fn roles(world: &World, version: &str) -> [Value; 2] {
    let metadata = &world.set_of(version).unwrap().shown["metadata"];
    ["labels", "annotations"].map(|field| metadata[field]["role"].clone())
}

fn role(name: &str) -> Value {
    json!({"labels": {"role": name}, "annotations": {"role": name}})
}

#[test]
fn pods_of_a_canary_have_the_labels_and_annotations_of_their_role() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.canaryMetadata",
        "spec.strategy.canary.canaryMetadata.labels",
        "spec.strategy.canary.canaryMetadata.annotations",
        "spec.strategy.canary.stableMetadata",
        "spec.strategy.canary.stableMetadata.labels",
        "spec.strategy.canary.stableMetadata.annotations",
    ]);
    let world = world()
        .with("canaryMetadata", role("canary"))
        .with("stableMetadata", role("stable"))
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed()
        .updated();
    assert_eq!(roles(&world, "v1"), [json!("stable"), json!("stable")]);
    assert_eq!(roles(&world, "v2"), [json!("canary"), json!("canary")]);
}

/// `v2` in the preview of a blue-green release with these fields.
fn previewed(fields: &Value) -> World {
    let mut strategy = json!({
        "activeService": "demo-stable", "previewService": "demo-canary", "autoPromotionEnabled": false,
    });
    json_patch::merge(&mut strategy, fields);
    let mut world = world().services();
    world.set("/strategy", json!({ "blueGreen": strategy }));
    world.deployed().updated()
}

#[test]
fn pods_of_a_switch_have_the_labels_and_annotations_of_their_role() {
    let _covers = testbed::covers(&[
        "spec.strategy.blueGreen.activeMetadata",
        "spec.strategy.blueGreen.activeMetadata.labels",
        "spec.strategy.blueGreen.activeMetadata.annotations",
        "spec.strategy.blueGreen.previewMetadata",
        "spec.strategy.blueGreen.previewMetadata.labels",
        "spec.strategy.blueGreen.previewMetadata.annotations",
    ]);
    let roles_declared =
        json!({"activeMetadata": role("active"), "previewMetadata": role("preview")});
    let world = previewed(&roles_declared);
    assert_eq!(roles(&world, "v1"), [json!("active"), json!("active")]);
    assert_eq!(roles(&world, "v2"), [json!("preview"), json!("preview")]);
}

#[test]
fn a_preview_keeps_away_from_what_serves() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.antiAffinity"]);
    let rule = json!({"antiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}});
    let world = previewed(&rule);
    let template = &world.set_of("v2").unwrap().shown;
    let rules = &template["spec"]["affinity"]["podAntiAffinity"];
    let rules = &rules["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(rules.as_array().map(Vec::len), Some(1), "{template}");
}

#[test]
fn a_restart_of_what_serves_takes_as_many_pods_as_may_be_away() {
    let _covers = testbed::covers(&["spec.restartAt", "spec.strategy.blueGreen.maxUnavailable"]);
    let mut world = world().services();
    let strategy = json!({"blueGreen": {"activeService": "demo-stable", "maxUnavailable": 2}});
    world.set("/strategy", strategy);
    let mut world = world.deployed();
    world.now += jiff::SignedDuration::from_mins(1);
    world.settle();
    let now = world.now.to_string();
    world.set("/restartAt", json!(now));
    world.reconcile();
    let mut evicted = 0;
    for action in &world.actions {
        evicted += i32::from(matches!(action, Action::EvictPod { .. }));
    }
    assert_eq!(evicted, 2, "{world}");
}
