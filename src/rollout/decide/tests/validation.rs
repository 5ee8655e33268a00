//! Specs that are refused, each by the name of its field.

use serde_json::{Value, json};

use super::world::world;
use crate::{
    api::{rollout::RolloutSpec, rollout_status::Phase},
    rollout::decide::validate,
};

/// The first error of a spec in which this was set.
fn error_of(pointer: &str, value: Value) -> String {
    let mut world = world().nginx().steps(json!([{"setWeight": 10}]));
    let mut at = &mut world.spec;
    for key in pointer.split('/').filter(|key| !key.is_empty()) {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    *at = value;
    let spec: RolloutSpec = serde_json::from_value(world.spec).unwrap();
    let errors = validate(&spec).expect_err(pointer);
    errors[0].to_string()
}

#[test]
fn what_does_not_work_yet_is_refused_by_name() {
    let mut refusals = testbed::refusals();
    for (pointer, value) in [
        (
            "strategy/canary/pingPong",
            json!({"pingService": "a", "pongService": "b"}),
        ),
        ("strategy/canary/trafficRouting/istio", json!({})),
        ("strategy/canary/trafficRouting/alb", json!({})),
        ("strategy/canary/trafficRouting/smi", json!({})),
        ("strategy/canary/trafficRouting/ambassador", json!({})),
        ("strategy/canary/trafficRouting/traefik", json!({})),
        ("strategy/canary/trafficRouting/apisix", json!({})),
        ("strategy/canary/trafficRouting/appMesh", json!({})),
    ] {
        let path = format!("spec.{}", pointer.replace('/', "."));
        let error = error_of(pointer, value);
        assert_eq!(error, format!("{path}: is not supported yet; remove it"));
        refusals.add(&path, "is not supported yet; remove it");
    }
    for member in ["setMirrorRoute", "plugin"] {
        assert_eq!(
            error_of("strategy/canary/steps", json!([{ (member): {} }])),
            format!("spec.strategy.canary.steps[0].{member}: is not supported yet; remove it")
        );
        let path = format!("spec.strategy.canary.steps[].{member}");
        refusals.add(&path, "is not supported yet; remove it");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    for (pointer, value, error) in [
        (
            "strategy",
            json!({}),
            "spec.strategy: set exactly one of canary and blueGreen; none is set",
        ),
        (
            "strategy/blueGreen",
            json!({"activeService": "a"}),
            "spec.strategy: set exactly one of canary and blueGreen; both are set",
        ),
        (
            "strategy",
            json!({"blueGreen": {"activeService": ""}}),
            "spec.strategy.blueGreen.activeService: is required",
        ),
        (
            "strategy",
            json!({"blueGreen": {"activeService": "a", "previewService": "a"}}),
            "spec.strategy.blueGreen.previewService: must be another Service than activeService: each selects one version",
        ),
        (
            "strategy",
            json!({"blueGreen": {"activeService": "a", "scaleDownDelayRevisionLimit": 11}}),
            "spec.strategy.blueGreen.scaleDownDelayRevisionLimit: must not be more than spec.revisionHistoryLimit, which is 10",
        ),
        (
            "strategy",
            json!({"blueGreen": {"activeService": "a", "previewReplicaCount": -1}}),
            "spec.strategy.blueGreen.previewReplicaCount: must not be negative",
        ),
        (
            "strategy",
            json!({"blueGreen": {"activeService": "a", "postPromotionAnalysis": {"templates": []}}}),
            "spec.strategy.blueGreen.postPromotionAnalysis.templates: names no template; an empty analysis would prove nothing",
        ),
        ("template", Value::Null, "spec.template: is required"),
        ("selector", Value::Null, "spec.selector: is required"),
        (
            "selector",
            json!({}),
            "spec.selector: is empty and would select every pod; set matchLabels",
        ),
        (
            "template/metadata/labels",
            json!({"app": "x"}),
            "spec.template.metadata.labels: must have app: demo, as spec.selector says",
        ),
        (
            "progressDeadlineSeconds",
            json!(0),
            "spec.progressDeadlineSeconds: must be greater than spec.minReadySeconds",
        ),
        (
            "strategy/canary/canaryService",
            json!("demo-stable"),
            "spec.strategy.canary.canaryService: must be another Service than stableService: each selects one version",
        ),
        (
            "strategy/canary/stableService",
            Value::Null,
            "spec.strategy.canary.stableService: is required with trafficRouting",
        ),
        (
            "strategy/canary/canaryService",
            Value::Null,
            "spec.strategy.canary.canaryService: is required with trafficRouting",
        ),
        (
            "strategy/canary/trafficRouting",
            json!({}),
            "spec.strategy.canary.trafficRouting: names no router; set nginx or gatewayAPI, or remove trafficRouting",
        ),
        (
            "strategy/canary/trafficRouting/nginx",
            json!({}),
            "spec.strategy.canary.trafficRouting.nginx: set stableIngress or stableIngresses to the Ingress that routes to stableService",
        ),
        (
            "strategy/canary/trafficRouting/nginx/stableIngresses",
            json!(["x"]),
            "spec.strategy.canary.trafficRouting.nginx: set stableIngress or stableIngresses, not both",
        ),
        (
            "strategy/canary/trafficRouting/maxTrafficWeight",
            json!(50),
            "spec.strategy.canary.trafficRouting.maxTrafficWeight: must be at least 100: ingress-nginx reads less as 100",
        ),
        (
            "strategy/canary/maxSurge",
            json!("120%"),
            "spec.strategy.canary.maxSurge: must be a number of pods or a percentage from 0% to 100%",
        ),
        (
            "strategy/canary/maxUnavailable",
            json!(-1),
            "spec.strategy.canary.maxUnavailable: must be a number of pods or a percentage from 0% to 100%",
        ),
        (
            "strategy/canary/steps/0/setWeight",
            json!(101),
            "spec.strategy.canary.steps[0].setWeight: must be 0 to 100; it is 101",
        ),
        (
            "strategy/canary/steps/0",
            json!({}),
            "spec.strategy.canary.steps[0]: a step has exactly one member; it has none",
        ),
        (
            "strategy/canary/steps/0/pause",
            json!({}),
            "spec.strategy.canary.steps[0]: a step has exactly one member; it has setWeight, pause",
        ),
        (
            "strategy/canary/steps/0",
            json!({"analysis": {}}),
            "spec.strategy.canary.steps[0].analysis.templates: names no template; an empty analysis would prove nothing",
        ),
        (
            "strategy/canary/analysis",
            json!({"templates": []}),
            "spec.strategy.canary.analysis.templates: names no template; an empty analysis would prove nothing",
        ),
        (
            "strategy/canary/analysis",
            json!({"templates": [{"templateName": "a"}], "startingStep": 1}),
            "spec.strategy.canary.analysis.startingStep: must be the index of a step; there are 1",
        ),
    ] {
        assert_eq!(error_of(pointer, value), error, "{pointer}");
    }
    let error = error_of(
        "strategy/canary/steps/0",
        json!({"pause": {"duration": "soon"}}),
    );
    assert!(
        error.starts_with("spec.strategy.canary.steps[0].pause.duration: "),
        "{error}"
    );
}

#[test]
fn delays_need_a_router() {
    for field in [
        "scaleDownDelaySeconds",
        "abortScaleDownDelaySeconds",
        "scaleDownDelayRevisionLimit",
    ] {
        let world = world().with(field, json!(1));
        let spec: RolloutSpec = serde_json::from_value(world.spec).unwrap();
        let errors = validate(&spec).unwrap_err();
        assert_eq!(errors[0].path, format!("spec.strategy.canary.{field}"));
    }
}

#[test]
fn an_invalid_spec_deploys_nothing_and_is_told_once() {
    let mut world = world().with("dynamicStableScale", json!(true));
    world.play();
    assert!(world.sets.is_empty());
    assert_eq!(world.status.phase, Some(Phase::Degraded));
    let told = "spec.strategy.canary.dynamicStableScale: works only with trafficRouting; remove it or add a router";
    assert_eq!(
        world.status.waiting_for,
        Some(format!("the spec to be corrected: {told}"))
    );
    assert_eq!(
        world
            .reasons()
            .iter()
            .filter(|reason| **reason == "RolloutDegraded")
            .count(),
        1
    );
}

#[test]
fn a_spec_that_cannot_be_read_touches_nothing() {
    let mut world = world().deployed();
    world.spec["replicas"] = json!("four");
    world.read_spec();
    let decision = world.decide();
    assert_eq!(decision.actions, []);
    assert_eq!(decision.status.phase, Some(Phase::Degraded));
    assert!(
        decision
            .status
            .waiting_for
            .unwrap()
            .starts_with("the spec to be corrected: ")
    );
    let both = decision
        .status
        .conditions
        .iter()
        .filter(|c| c.type_ == "Reconciling" || c.type_ == "Stalled");
    assert_eq!(both.count(), 1);
    assert_eq!(decision.notes.len(), 1);
}

#[test]
fn services_that_cannot_serve_are_refused() {
    for (what, change, message) in [
        (
            "external",
            json!({"type": "ExternalName"}),
            "Service demo-stable is of type ExternalName and selects no pods; use a Service with a selector",
        ),
        (
            "shared",
            json!({"user": "other"}),
            "Service demo-stable is also used by Rollout other; each Rollout needs its own Services",
        ),
        (
            "no selector",
            json!({"selector": {}}),
            "Service demo-stable has no selector; give it one that selects the Rollout's pods",
        ),
        (
            "other selector",
            json!({"selector": {"app": "x"}}),
            "Service demo-stable selects app: x, which the pods of spec.template do not have",
        ),
    ] {
        let mut world = world().nginx();
        let service = world.services.get_mut("demo-stable").unwrap();
        if let Some(type_) = change["type"].as_str() {
            type_.clone_into(&mut service.type_);
        }
        service.also_used_by = change["user"].as_str().map(str::to_owned);
        if let Some(selector) = change.get("selector") {
            service.selector = serde_json::from_value(selector.clone()).unwrap();
        }
        world.play();
        let told = format!("InvalidSpec: spec.strategy.canary.stableService: {message}");
        assert_eq!(
            (world.status.message.as_str(), world.sets.len()),
            (told.as_str(), 0),
            "{what}"
        );
    }
}
