//! Fields that are handed on as they are declared.

use serde_json::json;

use super::world::world;
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
