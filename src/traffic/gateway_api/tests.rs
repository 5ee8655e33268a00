//! Tables: a route before, what is written, and the route after.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() is handed over as it is"
)]

mod header_rules;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{
        canary::CanaryStrategy, gateway_api::RouteKind, names::ApiNames,
        rollout_status::RolloutStatus,
    },
    rollout::{
        decision::Action,
        snapshot::{RolloutView, RouteView, Snapshot, Workload},
    },
    traffic::{Desired, Observed, Routers, Split},
};

const LABEL: &str = "tidegate.dev/managed-by-rollout";
const ANNOTATION: &str = "tidegate.dev/weights-at-rest";

/// The Rollout `demo` and its routes.
struct Scene {
    strategy: CanaryStrategy,
    snapshot: Snapshot,
}

impl Scene {
    fn new(routes: &[Value]) -> Self {
        let named: Vec<Value> = routes
            .iter()
            .map(|route| json!({"name": route["metadata"]["name"]}))
            .collect();
        Self::with(routes, &json!({"gatewayAPI": {"httpRoutes": named}}))
    }

    fn with(routes: &[Value], routing: &Value) -> Self {
        let strategy = json!({"stableService": "stable", "canaryService": "canary", "trafficRouting": routing});
        let spec = json!({"strategy": {"canary": strategy}});
        let mut spec = testbed::heard("Rollout", spec);
        let strategy = spec["strategy"]["canary"].take();
        let view = |route: &Value| RouteView {
            name: route["metadata"]["name"].as_str().unwrap().to_owned(),
            resource_version: "7".to_owned(),
            rules_written_by: route["x-written-by"].as_str().map(str::to_owned),
            object: route.clone(),
        };
        let snapshot = Snapshot {
            now: Timestamp::UNIX_EPOCH,
            watched_since: None,
            names: ApiNames::default(),
            workload: Workload::NotNamed,
            rollout: RolloutView {
                name: "demo".to_owned(),
                namespace: "shop".to_owned(),
                uid: "1".to_owned(),
                generation: 1,
                spec: Err("not looked at".to_owned()),
                object: Value::Null,
                status: RolloutStatus::default(),
                request: None,
                deleting: false,
            },
            replica_sets: Vec::new(),
            foreign_replica_sets: Vec::new(),
            foreign_analysis_runs: Vec::new(),
            foreign_experiments: Vec::new(),
            services: BTreeMap::new(),
            ingresses: BTreeMap::new(),
            routes: routes
                .iter()
                .map(view)
                .map(|view| ((RouteKind::HttpRoute, view.name.clone()), view))
                .collect(),
            unserved: BTreeSet::new(),
            templates: BTreeMap::new(),
            experiments: Vec::new(),
            pod_templates: BTreeMap::new(),
            analysis_runs: Vec::new(),
            pods: None,
            eviction_refused: None,
            refusal: None,
            compared: None,
        };
        Self {
            strategy: serde_json::from_value(strategy).unwrap(),
            snapshot,
        }
    }

    fn routers(&self) -> Routers<'_> {
        Routers::of(&self.strategy).unwrap()
    }

    fn observe(&self, rest_is_harmless: bool) -> Observed {
        self.routers()
            .observe(&self.snapshot, 100, rest_is_harmless)
    }

    fn render(&self, canary: i32) -> Result<Vec<Action>, String> {
        self.routers()
            .render(&self.snapshot, &Desired::split(Split { canary, max: 100 }))
    }
}

fn backend(name: &str, weight: i64) -> Value {
    json!({"name": name, "port": 80, "weight": weight})
}

fn route(rules: Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "shop", "generation": 3, "resourceVersion": "7"},
        "spec": {"rules": rules},
    })
}

fn plain(stable: i64, canary: i64) -> Value {
    route(json!([{"backendRefs": [backend("stable", stable), backend("canary", canary)]}]))
}

/// The route after the actions, which all have to be patches of it with its version as their precondition.
fn after(route: &Value, actions: &[Action]) -> Value {
    let mut after = route.clone();
    for action in actions {
        let Action::PatchRoute { target, patch, .. } = action else {
            panic!("not a patch of a route: {action:?}");
        };
        assert_eq!(target.resource_version, "7");
        let first = serde_json::to_value(&patch.0[0]).unwrap();
        assert_eq!(
            first,
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"})
        );
        json_patch::patch(&mut after, patch).unwrap();
    }
    after
}

fn shifted(before: &Value, canary: i32) -> Value {
    let scene = Scene::new(std::slice::from_ref(before));
    after(before, &scene.render(canary).unwrap())
}

fn rested(before: &Value) -> Value {
    let scene = Scene::new(std::slice::from_ref(before));
    after(before, &scene.routers().rest(&scene.snapshot, 100).unwrap())
}

fn weights(route: &Value) -> Vec<Option<i64>> {
    let rules = route["spec"]["rules"].as_array().unwrap();
    let backends = rules
        .iter()
        .flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    backends.map(|backend| backend["weight"].as_i64()).collect()
}

fn marks(route: &Value) -> (bool, bool) {
    let has = |field: &str, key: &str| route["metadata"][field].get(key).is_some();
    (has("labels", LABEL), has("annotations", ANNOTATION))
}

#[test]
fn only_the_two_weights_of_rules_with_both_services_are_written() {
    let other_namespace = json!({"name": "canary", "namespace": "else", "weight": 1});
    let other_kind =
        json!({"name": "canary", "kind": "ServiceImport", "group": "multicluster.x-k8s.io"});
    let before = route(json!([
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}],
            "backendRefs": [backend("canary", 0), backend("other", 3), backend("stable", 100)],
            "timeouts": {"request": "10s"},
        },
        {"backendRefs": [backend("stable", 5)]},
        {"backendRefs": [backend("canary", 5)]},
        {"backendRefs": [backend("stable", 5), other_namespace]},
        {"backendRefs": [backend("stable", 5), other_kind]},
        {"backendRefs": [
            {"name": "stable", "group": "", "kind": "Service", "namespace": "shop", "weight": 1},
            backend("canary", 0),
        ]},
    ]));
    let mut expected = before.clone();
    let rules = &mut expected["spec"]["rules"];
    rules[0]["backendRefs"][0]["weight"] = json!(20);
    rules[0]["backendRefs"][2]["weight"] = json!(80);
    rules[5]["backendRefs"][0]["weight"] = json!(80);
    rules[5]["backendRefs"][1]["weight"] = json!(20);
    let got = shifted(&before, 20);
    assert_eq!(got["spec"], expected["spec"]);
    assert_eq!(marks(&got), (true, true));
}

#[test]
fn after_any_number_of_shifts_the_route_is_byte_for_byte_what_was_declared() {
    let labelled = |mut route: Value| {
        route["metadata"]["labels"] = json!({"team": "shop"});
        route["metadata"]["annotations"] = json!({"note": "by hand"});
        route
    };
    let no_weights = route(json!([{"backendRefs": [{"name": "stable"}, {"name": "canary"}]}]));
    for declared in [
        plain(100, 0),
        plain(1, 0),
        plain(1, 1),
        plain(0, 100),
        no_weights,
        labelled(plain(1, 1)),
        route(json!([
            {"backendRefs": [backend("stable", 9), backend("canary", 1)]},
            {"backendRefs": [backend("canary", 2), backend("stable", 3)]},
        ])),
    ] {
        let mut now = declared.clone();
        for weight in [0, 20, 100, 50, 0] {
            now = shifted(&now, weight);
        }
        assert_eq!(rested(&now).to_string(), declared.to_string());
    }
}

#[test]
fn a_route_that_has_the_split_is_left_alone() {
    for (before, canary) in [
        (plain(100, 0), 0),
        (plain(1, 0), 0),
        (plain(80, 20), 20),
        (plain(4, 1), 20),
    ] {
        assert_eq!(Scene::new(&[before]).render(canary), Ok(Vec::new()));
    }
    // No weight at all answers errors to everybody: that is no split.
    assert_eq!(weights(&shifted(&plain(0, 0), 0)), [Some(100), Some(0)]);
}

#[test]
fn a_route_at_rest_is_not_touched() {
    let declared = plain(1, 1);
    assert_eq!(rested(&declared), declared);
}

#[test]
fn a_mark_without_weights_goes_at_rest() {
    let mut before = plain(1, 1);
    before["metadata"]["labels"] = json!({LABEL: "demo"});
    assert_eq!(marks(&rested(&before)), (false, false));
}

#[test]
fn a_lost_label_comes_back_while_in_progress() {
    let mut before = shifted(&plain(1, 0), 20);
    before["metadata"].as_object_mut().unwrap().remove("labels");
    assert_eq!(marks(&shifted(&before, 20)), (true, true));
}

#[test]
fn rules_that_move_in_mid_canary_keep_their_weights_at_rest() {
    let rule = |path: &str, stable, canary| {
        let matches = json!([{"path": {"type": "PathPrefix", "value": path}}]);
        json!({"matches": matches, "backendRefs": [backend("stable", stable), backend("canary", canary)]})
    };
    let mut now = shifted(&route(json!([rule("/a", 3, 2), rule("/b", 9, 1)])), 20);
    let rules = now["spec"]["rules"].as_array_mut().unwrap();
    rules.insert(0, rule("/new", 7, 0));
    now = shifted(&now, 50);
    let rested = rested(&now);
    assert_eq!(weights(&rested), [7, 0, 3, 2, 9, 1].map(Some));
}

#[test]
fn only_named_sections_are_changed() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.gatewayAPI.httpRoutes[].sectionName",
    ]);
    let named = |name: &str| json!({"name": name, "backendRefs": [backend("stable", 1), backend("canary", 0)]});
    let before = route(json!([named("a"), named("b")]));
    let routing = |section: &str| json!({"gatewayAPI": {"httpRoutes": [{"name": "web", "sectionName": section}]}});
    let scene = Scene::with(std::slice::from_ref(&before), &routing("b"));
    let got = after(&before, &scene.render(20).unwrap());
    assert_eq!(weights(&got), [1, 0, 80, 20].map(Some));
    let unknown = Scene::with(std::slice::from_ref(&before), &routing("c"));
    let refused = unknown.render(20).unwrap_err();
    assert!(
        refused.contains("HTTPRoute web has no rule called c"),
        "{refused}"
    );
}

#[test]
fn what_cannot_be_split_is_refused_but_weight_is_always_taken_back() {
    let others = |stable, canary| {
        route(
            json!([{"backendRefs": [backend("stable", stable), backend("canary", canary), backend("other", 1)]}]),
        )
    };
    let twice = |weight| {
        route(
            json!([{"backendRefs": [backend("stable", 100), backend("canary", weight), backend("canary", weight)]}]),
        )
    };
    for (before, says) in [
        (
            route(json!([{"backendRefs": [backend("stable", 1)]}])),
            "HTTPRoute web has no rule whose backendRefs name both Service stable and Service canary; add canary with weight 0 beside stable",
        ),
        (
            others(9, 0),
            "let the weights of stable and canary add up to 100: they are 9",
        ),
        (twice(0), "spec.rules[0].backendRefs names a Service twice"),
    ] {
        let refused = Scene::new(&[before]).render(20).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
    assert_eq!(weights(&shifted(&twice(50), 0)), [100, 0, 0].map(Some));
    assert_eq!(weights(&shifted(&others(5, 5), 0)), [100, 0, 1].map(Some));
    // Other backends keep their share where the sum stays.
    assert_eq!(
        weights(&shifted(&others(100, 0), 20)),
        [80, 20, 1].map(Some)
    );
}

#[test]
fn the_plugins_block_is_rendered_as_ours() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.plugins",
        "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI",
        "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.httpRoute",
    ]);
    let before = plain(1, 0);
    let block =
        json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web", "namespace": "shop"}}});
    let scene = Scene::with(std::slice::from_ref(&before), &block);
    let got = after(&before, &scene.render(20).unwrap());
    assert_eq!(got, shifted(&before, 20));
}

#[test]
fn weights_are_observed_over_all_rules_and_routes() {
    let two = route(json!([
        {"backendRefs": [backend("stable", 80), backend("canary", 20)]},
        {"backendRefs": [backend("stable", 2), backend("canary", 1)]},
    ]));
    let observed = Scene::new(&[two]).observe(false);
    assert_eq!((observed.lowest, observed.highest), (20, 34));
    assert_eq!(observed.routes, ["httproute/web"]);

    let mut other = plain(95, 5);
    other["metadata"]["name"] = json!("api");
    let observed = Scene::new(&[plain(80, 20), other]).observe(false);
    assert_eq!((observed.lowest, observed.highest), (5, 20));
}

#[test]
fn declared_weights_count_as_rest_only_while_they_are_harmless() {
    let at_rest = Scene::new(&[plain(1, 1)]);
    let seen = |observed: Observed| (observed.lowest, observed.highest, observed.resting);
    assert_eq!(seen(at_rest.observe(true)), (0, 0, 50));
    assert_eq!(seen(at_rest.observe(false)), (50, 50, 0));
    let in_progress = Scene::new(&[shifted(&plain(1, 1), 20)]);
    assert_eq!(seen(in_progress.observe(true)), (20, 20, 0));
}

#[test]
fn a_writer_is_named_only_for_a_route_in_progress() {
    let by = |mut route: Value| {
        route["x-written-by"] = json!("argocd");
        Scene::new(&[route]).observe(true).written_by
    };
    assert_eq!(by(plain(1, 1)), None);
    assert_eq!(by(shifted(&plain(1, 1), 20)), Some("argocd".to_owned()));
}

#[test]
fn a_route_that_does_not_exist_is_missing_and_confirms_nothing() {
    let block = json!({"gatewayAPI": {"httpRoutes": [{"name": "web"}]}});
    let mut scene = Scene::with(&[], &block);
    let observed = scene.observe(true);
    assert_eq!(observed.missing, ["HTTPRoute web"]);
    assert_eq!(observed.unconfirmed.unwrap(), "HTTPRoute web to exist");
    scene.snapshot.unserved.insert(RouteKind::HttpRoute);
    let missing = scene.observe(true).missing.remove(0);
    assert!(missing.contains("install the Gateway API's"), "{missing}");
}

#[test]
fn a_route_in_the_hands_of_another_rollout_is_waited_for() {
    let mut taken = shifted(&plain(1, 0), 20);
    let text = taken["metadata"]["annotations"][ANNOTATION]
        .as_str()
        .unwrap();
    let text = text.replace("\"demo\"", "\"other\"");
    taken["metadata"]["annotations"][ANNOTATION] = json!(text);
    let scene = Scene::new(std::slice::from_ref(&taken));
    let refused = scene.observe(false).refused.unwrap();
    assert_eq!(refused, "Rollout other to be done with HTTPRoute web");
    assert_eq!(scene.render(50), Ok(Vec::new()));
    assert_eq!(rested(&taken), taken);
}

fn parent(controller: &str, conditions: &[(&str, &str, i64)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status, generation)| {
            json!({"type": type_, "status": status, "observedGeneration": generation, "reason": "Because", "message": "of this"})
        })
        .collect();
    json!({"parentRef": {"name": "gw"}, "controllerName": controller, "conditions": conditions})
}

/// Generation 3 of the route with these parents: what is waited for, and what is refused.
fn heard(parents: Value) -> (Option<String>, Option<String>) {
    let mut route = plain(1, 0);
    route["status"] = json!({"parents": parents});
    let observed = Scene::new(&[route]).observe(true);
    (observed.unconfirmed, observed.refused)
}

#[test]
fn a_weight_is_live_when_every_reporting_gateway_has_accepted_its_generation() {
    let good = |generation| {
        [
            ("Accepted", "True", generation),
            ("ResolvedRefs", "True", generation),
        ]
    };
    assert_eq!(heard(json!([parent("a", &good(3))])), (None, None));
    assert_eq!(
        heard(json!([parent("a", &good(3)), parent("b", &good(4))])),
        (None, None)
    );

    let late = Some("HTTPRoute web to be accepted for gw by b at generation 3".to_owned());
    for second in [
        parent("b", &good(2)),
        parent("b", &[]),
        parent("b", &[("ResolvedRefs", "True", 3)]),
    ] {
        assert_eq!(
            heard(json!([parent("a", &good(3)), second])),
            (late.clone(), None)
        );
    }
    let late = Some("HTTPRoute web to be resolved for gw by b at generation 3".to_owned());
    assert_eq!(heard(json!([parent("b", &good(3)[..1])])), (late, None));
}

#[test]
fn a_refusal_stops_and_says_why() {
    let nobody = Some(
        "HTTPRoute web to be accepted by a Gateway: nobody has reported in its status.parents"
            .to_owned(),
    );
    assert_eq!(heard(json!([])), (nobody.clone(), nobody));

    let refused = |type_: &str| {
        Some(format!(
            "HTTPRoute web to be right for gw: a says {type_}=False (Because) of this"
        ))
    };
    let parent = |accepted, resolved| {
        parent(
            "a",
            &[("Accepted", accepted, 3), ("ResolvedRefs", resolved, 3)],
        )
    };
    assert_eq!(
        heard(json!([parent("False", "True")])),
        (refused("Accepted"), refused("Accepted"))
    );
    // The weights are live all the same.
    assert_eq!(
        heard(json!([parent("True", "False")])),
        (None, refused("ResolvedRefs"))
    );
}

#[test]
fn ingress_and_routes_get_the_same_split_in_one_pass() {
    let block = json!({
        "nginx": {"stableIngress": "web"},
        "gatewayAPI": {"httpRoutes": [{"name": "web"}]},
    });
    let scene = Scene::with(&[shifted(&plain(1, 0), 20)], &block);
    let observed = scene.observe(false);
    // There is no canary Ingress yet.
    assert_eq!((observed.lowest, observed.highest), (0, 20));
    assert_eq!(observed.missing, ["Ingress web"]);
}
