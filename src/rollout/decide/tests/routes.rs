//! A canary through a route whose user has declared weights for times of rest.

use serde_json::{Value, json};

use super::world::{Gateways, World, names, world};
use crate::{
    api::{gateway_api::RouteKind, request::Verb, rollout_status::Phase},
    rollout::snapshot::{RouteView, Snapshot},
};

const BACKENDS: &str = "/spec/rules/0/backendRefs";

fn key() -> (RouteKind, String) {
    (RouteKind::HttpRoute, "demo".to_owned())
}

/// The Gateway's controller has accepted the route as it is.
pub(super) fn accept(route: &mut Value) {
    let generation = route["metadata"]["generation"].clone();
    let condition =
        |type_: &str| json!({"type": type_, "status": "True", "observedGeneration": generation});
    let conditions = [condition("Accepted"), condition("ResolvedRefs")];
    route["status"] = json!({"parents": [{
        "parentRef": {"name": "gateway"},
        "controllerName": "proxy",
        "conditions": conditions,
    }]});
}

/// The weights of the rule that splits: rules of ours are before it.
fn weights(route: &Value) -> [i64; 2] {
    let rules = route["spec"]["rules"].as_array().unwrap().iter();
    let mut backends = rules.map(|rule| rule["backendRefs"].as_array().unwrap());
    let split = backends.find(|backends| backends.len() == 2).unwrap();
    [0, 1].map(|place| split[place]["weight"].as_i64().unwrap())
}

fn is_marked(route: &Value) -> bool {
    let annotations = route.pointer("/metadata/annotations");
    annotations.is_some_and(|all| all.get(&names().weights_at_rest).is_some())
}

/// What a route sends to a version that is not the stable one: nothing at rest, unless the canary Service leads there.
fn share(snapshot: &Snapshot, route: &Value) -> i32 {
    let pin = snapshot.services["demo-canary"]
        .selector
        .get(&names().pod_template_hash);
    let stable = &snapshot.rollout.status.stable_rs;
    let [stable_weight, canary_weight] = weights(route);
    if !is_marked(route) && pin.is_none_or(|pin| pin == stable || stable.is_empty()) {
        return 0;
    }
    let spec = snapshot.rollout.spec.as_ref().unwrap();
    let max = spec.strategy.declared().unwrap().max_weight();
    i32::try_from(i64::from(max) * canary_weight / (stable_weight + canary_weight)).unwrap()
}

/// What the route of a snapshot sends to a canary; 0 without one.
pub(super) fn live(snapshot: &Snapshot) -> i32 {
    let route = snapshot.routes.get(&key());
    route.map_or(0, |route| share(snapshot, &route.object))
}

/// What a patched route will send.
pub(super) fn written(snapshot: &Snapshot, name: &str, patch: &json_patch::Patch) -> i32 {
    let key = (RouteKind::HttpRoute, name.to_owned());
    let mut route = snapshot.routes[&key].object.clone();
    json_patch::patch(&mut route, patch).unwrap();
    share(snapshot, &route)
}

impl World {
    /// With a route that sends to both Services, at rest in these parts.
    pub(super) fn gateway(mut self, stable: i64, canary: i64) -> Self {
        self = self.services();
        let routing = json!({"gatewayAPI": {"httpRoutes": [{"name": "demo"}]}});
        self.canary("trafficRouting", routing);
        let backend = |name: &str, weight: i64| json!({"name": name, "port": 80, "weight": weight});
        let backends = [
            backend("demo-stable", stable),
            backend("demo-canary", canary),
        ];
        let mut object = json!({
            "metadata": {"name": "demo", "namespace": "default", "generation": 1, "resourceVersion": "1"},
            "spec": {"rules": [{"backendRefs": backends}]},
        });
        accept(&mut object);
        let view = RouteView {
            name: "demo".to_owned(),
            resource_version: "1".to_owned(),
            rules_written_by: Some("helm".to_owned()),
            object,
        };
        self.routes.insert(key(), view);
        self
    }

    fn route(&mut self) -> &mut RouteView {
        self.routes.get_mut(&key()).unwrap()
    }

    /// The weights that the route has, and whether it is marked.
    fn seen(&mut self) -> ([i64; 2], bool) {
        let route = &self.route().object;
        (weights(route), is_marked(route))
    }
}

/// A route that sends nothing to a canary at rest.
pub(super) fn at_weight_zero() -> World {
    world().gateway(1, 0)
}

fn at_half(stable: i64, canary: i64) -> World {
    world()
        .gateway(stable, canary)
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed()
        .updated()
}

#[test]
fn a_route_is_marked_while_in_progress_and_at_rest_as_declared_after_a_release_and_after_an_abort()
{
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.gatewayAPI",
        "spec.strategy.canary.trafficRouting.gatewayAPI.httpRoutes",
        "spec.strategy.canary.trafficRouting.gatewayAPI.httpRoutes[].name",
    ]);
    for (stable, canary) in [(100, 0), (1, 0), (1, 1), (0, 1), (30, 10)] {
        for verb in [Verb::PromoteFull, Verb::Abort] {
            let mut world = at_half(stable, canary);
            assert_eq!(world.seen(), ([50, 50], true), "{world}");
            world.ask("1", verb);
            world.play();
            assert_eq!(world.seen(), ([stable, canary], false), "{verb:?}\n{world}");
        }
    }
}

#[test]
fn the_canary_service_leads_to_the_new_version_when_what_was_declared_is_off_and_drained() {
    let mut world = world()
        .gateway(1, 1)
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed();
    world.declare("v2");
    world.play_until(|world| world.clone().seen() == ([100, 0], true));
    let off = world.now;
    assert_eq!(world.behind("demo-canary"), "v1");
    world.play_until(|world| world.behind("demo-canary") == "v2");
    assert!(world.now.duration_since(off).as_secs() >= 5, "{world}");
}

#[test]
fn a_weight_that_no_gateway_has_confirmed_completes_no_step() {
    let mut world = world()
        .gateway(1, 0)
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed();
    world.gateways = Gateways::Silent;
    world = world.updated();
    assert_eq!(world.status.current_step_index, Some(0));
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("HTTPRoute demo to be accepted for gateway by proxy at generation 2")
    );
    accept(&mut world.route().object);
    world.play();
    assert_eq!(world.status.current_step_index, Some(1), "{world}");
}

#[test]
fn an_abort_is_written_though_no_gateway_answers_but_no_pod_goes_before_one_does() {
    let mut world = at_half(1, 0);
    world.gateways = Gateways::Silent;
    world.ask("1", Verb::Abort);
    world.play();
    assert_eq!(world.seen(), ([100, 0], true));
    assert_eq!(
        (world.behind("demo-canary").as_str(), world.size("v2")),
        ("v2", 2)
    );
    world.gateways = Gateways::Answer;
    accept(&mut world.route().object);
    world.play();
    assert_eq!(world.seen(), ([1, 0], false));
    assert_eq!(
        (world.behind("demo-canary").as_str(), world.size("v2")),
        ("v1", 0)
    );
}

#[test]
fn a_refused_route_stops_the_update_before_any_pod_of_it_gets_weight() {
    let mut world = world()
        .gateway(1, 0)
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed();
    world.route().object["status"] = json!({"parents": []});
    world.declare("v2");
    world.reconcile_all();
    assert_eq!(world.seen(), ([1, 0], false));
    let waits = world.status.waiting_for.clone().unwrap();
    assert!(
        waits.contains("nobody has reported in its status.parents"),
        "{waits}"
    );
}

#[test]
fn a_weight_that_somebody_else_writes_is_put_back_and_he_is_named() {
    let mut world = at_half(1, 0);
    let route = world.route();
    route.object.pointer_mut(BACKENDS).unwrap()[1]["weight"] = json!(900);
    route.object["metadata"]["generation"] = json!(9);
    accept(&mut route.object);
    route.rules_written_by = Some("argocd".to_owned());
    route.resource_version = "foreign".to_owned();
    world.play();
    assert_eq!(world.seen(), ([50, 50], true));
    let told = "argocd changed the canary weight";
    let mut notes = world.notes.iter();
    assert!(notes.any(|note| note.message.starts_with(told)), "{world}");
}

#[test]
fn a_route_at_rest_stays_as_declared_when_its_user_changes_it() {
    let mut world = at_half(1, 0);
    world.ask("1", Verb::PromoteFull);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy));
    let route = world.route();
    route.object.pointer_mut(BACKENDS).unwrap()[1]["weight"] = json!(7);
    route.resource_version = "theirs".to_owned();
    world.play();
    assert_eq!(world.seen(), ([1, 7], false));
}
