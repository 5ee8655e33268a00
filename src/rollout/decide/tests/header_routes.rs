//! Header routes: requests with certain headers go to the new version, while it has pods to answer them.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    routes::at_weight_zero,
    world::{World, names, world},
};
use crate::{
    api::{request::Verb, rollout_status::Phase},
    rollout::{
        decision::{Action, Decision},
        snapshot::{IngressView, Snapshot},
    },
};

const PREFIX: &str = "nginx.ingress.kubernetes.io";
const INGRESS: &str = "demo-demo-canary";

/// A step that sets a header route.
pub(super) fn header(name: &str, value: &Value) -> Value {
    json!({"setHeaderRoute": {"name": name, "match": [{"headerName": "x-user", "headerValue": value}]}})
}

/// A step that removes it.
pub(super) fn removed(name: &str) -> Value {
    json!({"setHeaderRoute": {"name": name}})
}

/// Header routes before any weight, beside it, one after the other, and none.
pub(super) fn steps() -> Value {
    json!([
        header("beta", &json!({"exact": "ann"})),
        {"pause": {"duration": 5}},
        {"setWeight": 25},
        {"analysis": {"templates": [{"templateName": "errors"}]}},
        removed("beta"),
        {"setWeight": 0},
        header("staff", &json!({"prefix": "team-"})),
        removed("staff"),
        {"setWeight": 60},
    ])
}

impl World {
    /// With these routes that the controller may create.
    pub(super) fn managed(mut self, names: &[&str]) -> Self {
        let routes: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        self.set(
            "/strategy/canary/trafficRouting/managedRoutes",
            json!(routes),
        );
        self
    }

    /// With an annotation of the canary Ingress for all times.
    pub(super) fn annotated(mut self, key: &str, value: &str) -> Self {
        let field = "/strategy/canary/trafficRouting/nginx/additionalIngressAnnotations";
        self.set(field, json!({ key: value }));
        self
    }

    /// The annotation of the canary Ingress.
    fn annotation(&self, key: &str) -> Option<&str> {
        annotation(self.ingresses.get(INGRESS), key)
    }

    /// The header and its value that reach the new version by the Ingress.
    fn picks(&self) -> Option<(&str, &str)> {
        let header = self.annotation("canary-by-header")?;
        let value = self
            .annotation("canary-by-header-value")
            .or(self.annotation("canary-by-header-pattern"))?;
        Some((header, value))
    }

    /// The names of header routes that the status tells.
    fn told(&self) -> Vec<&str> {
        let weights = self.status.canary.weights.as_ref();
        let routes = weights
            .into_iter()
            .flat_map(|weights| &weights.header_routes);
        routes.map(String::as_str).collect()
    }
}

fn annotation<'a>(ingress: Option<&'a IngressView>, key: &str) -> Option<&'a str> {
    let annotations = ingress?.object.pointer("/metadata/annotations")?;
    annotations.get(format!("{PREFIX}/{key}"))?.as_str()
}

/// Whether requests reach a version that is not the stable one by a header.
pub(super) fn picks(snapshot: &Snapshot) -> bool {
    let service = snapshot.services.get("demo-canary");
    let pin = service.and_then(|service| service.selector.get(&names().pod_template_hash));
    let stable = &snapshot.rollout.status.stable_rs;
    if pin.is_none_or(|pin| pin == stable || stable.is_empty()) {
        return false;
    }
    let by_ingress = annotation(snapshot.ingresses.get(INGRESS), "canary-by-header").is_some();
    let by_route = snapshot.routes.values().any(|route| {
        let rules = route.object["spec"]["rules"].as_array().unwrap().iter();
        let mut backends = rules.map(|rule| rule["backendRefs"].as_array().unwrap());
        backends.any(|backends| backends.len() == 1 && backends[0]["name"] == "demo-canary")
    });
    by_ingress || by_route
}

/// The same once the decision is carried out.
pub(super) fn will_pick(snapshot: &Snapshot, decision: &Decision) -> bool {
    let mut after = snapshot.clone();
    after.rollout.status = decision.status.clone();
    for action in &decision.actions {
        match action {
            Action::CreateIngress { name, object } => {
                let view = IngressView {
                    object: object.clone(),
                    ..IngressView::default()
                };
                after.ingresses.insert(name.clone(), view);
            }
            Action::PatchIngress { target, patch } => {
                let ingress = after.ingresses.get_mut(&target.name).unwrap();
                json_patch::merge(&mut ingress.object, patch);
            }
            Action::DeleteIngress { target } => {
                after.ingresses.remove(&target.name);
            }
            Action::PatchRoute {
                kind,
                target,
                patch,
            } => {
                let key = (*kind, target.name.clone());
                let route = after.routes.get_mut(&key).unwrap();
                json_patch::patch(&mut route.object, patch).unwrap();
            }
            Action::CreateReplicaSet { .. }
            | Action::PatchReplicaSet { .. }
            | Action::AdoptReplicaSet { .. }
            | Action::RecogniseReplicaSet { .. }
            | Action::PatchPods { .. }
            | Action::EvictPod { .. }
            | Action::ScaleWorkload { .. }
            | Action::RestoreWorkload { .. }
            | Action::CreateService { .. }
            | Action::DeleteService { .. }
            | Action::CreateExperiment { .. }
            | Action::TerminateExperiment { .. }
            | Action::DeleteExperiment { .. }
            | Action::ReadPodTemplate { .. }
            | Action::DeleteReplicaSet { .. }
            | Action::PinService { .. }
            | Action::CreateAnalysisRun { .. }
            | Action::TerminateAnalysisRun { .. }
            | Action::DeleteAnalysisRun { .. } => {}
        }
    }
    picks(&after)
}

fn paused(steps: &Value) -> World {
    world()
        .nginx()
        .managed(&["beta", "staff"])
        .steps(steps.clone())
        .deployed()
        .updated()
}

fn one_route() -> Value {
    json!([header("beta", &json!({"exact": "ann"})), {"pause": {}}])
}

#[test]
fn a_header_route_without_weight_gets_a_pod_and_the_requests_with_its_header() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.managedRoutes",
        "spec.strategy.canary.trafficRouting.managedRoutes[].name",
        "spec.strategy.canary.steps[].setHeaderRoute",
        "spec.strategy.canary.steps[].setHeaderRoute.name",
        "spec.strategy.canary.steps[].setHeaderRoute.match",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerName",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.exact",
    ]);
    let world = paused(&one_route());
    assert_eq!(world.picks(), Some(("x-user", "ann")), "{world}");
    assert_eq!((world.weight(), world.size("v2")), (0, 1), "{world}");
    assert_eq!(world.behind("demo-canary"), "v2");
    assert_eq!(world.status.current_step_index, Some(1));
    assert_eq!(world.told(), ["beta"]);
    let told = "Header routes updated from none to beta";
    assert!(
        world.notes.iter().any(|note| note.message == told),
        "{world}"
    );
}

#[test]
fn a_value_may_be_a_prefix_or_an_expression() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.prefix",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.regex",
    ]);
    for (value, pattern) in [
        (json!({"prefix": "team-"}), "^team-"),
        (json!({"regex": "^(a|b)"}), "^(a|b)"),
    ] {
        let world = paused(&json!([header("beta", &value), {"pause": {}}]));
        assert_eq!(world.annotation("canary-by-header-pattern"), Some(pattern));
        assert_eq!(world.annotation("canary-by-header-value"), None);
    }
}

#[test]
fn a_step_without_match_removes_the_route_and_it_goes_at_the_end_of_every_release() {
    let steps = json!([header("beta", &json!({"exact": "ann"})), {"pause": {}}, removed("beta"), {"pause": {}}]);
    let mut world = paused(&steps);
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!((world.picks(), world.told()), (None, vec![]), "{world}");
    assert_eq!(world.status.current_step_index, Some(3));
    for verb in [Verb::PromoteFull, Verb::Abort] {
        let mut world = paused(&one_route());
        world.ask("1", verb);
        world.play();
        assert_eq!(world.picks(), None, "{world}");
        assert_eq!(world.told(), Vec::<&str>::new(), "{world}");
    }
}

#[test]
fn argo_4486_a_header_route_goes_with_the_pods_and_comes_back_with_them() {
    let steps = json!([{"setWeight": 50}, header("beta", &json!({"exact": "ann"})), {"pause": {}}]);
    let route = at_weight_zero()
        .managed(&["beta"])
        .steps(steps.clone())
        .deployed()
        .updated();
    for world in [paused(&steps), route] {
        let mut world = world;
        assert!(picks(&world.snapshot()), "{world}");
        world.lose_pods("v2", 2, 60);
        world.reconcile_all();
        assert!(!picks(&world.snapshot()), "{world}");
        assert_eq!(world.told(), Vec::<&str>::new());
        world.play();
        assert!(picks(&world.snapshot()), "{world}");
        assert_eq!(
            (world.told(), world.weight()),
            (vec!["beta"], 50),
            "{world}"
        );
    }
}

/// Nothing else happens then: it has to be looked at again by itself.
#[test]
fn a_header_route_comes_back_when_proxies_know_of_the_pods() {
    let mut world = paused(&one_route());
    world.lose_pods("v2", 2, 60);
    world.reconcile_all();
    let emptied = world.now + SignedDuration::from_secs(60);
    world.services.get_mut("demo-canary").unwrap().emptied = Some(emptied);
    world.play_until(|world| picks(&world.snapshot()));
    assert_eq!(world.now.duration_since(emptied).as_secs(), 5, "{world}");
}

#[test]
fn an_abort_takes_header_routes_away_at_once_and_pods_go_after_them() {
    let mut world = paused(&one_route());
    world.ask("1", Verb::Abort);
    world.reconcile();
    assert_eq!(world.picks(), None, "{world}");
    let gone = world.now;
    assert_eq!(world.behind("demo-canary"), "v2", "{world}");
    world.play_until(|world| world.behind("demo-canary") == "v1");
    assert!(world.now.duration_since(gone).as_secs() >= 5, "{world}");
    world.play();
    assert_eq!(
        (world.size("v2"), world.status.phase),
        (0, Some(Phase::Degraded))
    );
}

#[test]
fn a_route_that_somebody_takes_out_comes_back_and_he_is_named() {
    let mut world = paused(&one_route());
    let ingress = world.ingresses.get_mut(INGRESS).unwrap();
    let annotations = ingress.object["metadata"]["annotations"]
        .as_object_mut()
        .unwrap();
    annotations.retain(|key, _| !key.contains("canary-by-header"));
    ingress.annotations_written_by = Some("argocd".to_owned());
    ingress.resource_version = "theirs".to_owned();
    world.play();
    assert_eq!(world.picks(), Some(("x-user", "ann")), "{world}");
    let told = "argocd changed the header routes";
    assert!(
        world
            .notes
            .iter()
            .any(|note| note.message.starts_with(told)),
        "{world}"
    );
}

#[test]
fn rules_that_are_declared_for_all_times_go_while_a_version_that_was_given_up_is_behind_them() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.nginx.additionalIngressAnnotations",
    ]);
    let mut world = world()
        .nginx()
        .annotated("canary-by-header", "x-canary")
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed()
        .updated();
    assert_eq!(
        world.annotation("canary-by-header"),
        Some("x-canary"),
        "{world}"
    );
    assert_eq!(world.told(), ["additionalIngressAnnotations"]);
    world.ask("1", Verb::Abort);
    world.reconcile();
    assert_eq!(world.annotation("canary-by-header"), None, "{world}");
    world.play();
    assert_eq!(world.behind("demo-canary"), "v1");
    assert_eq!(
        world.annotation("canary-by-header"),
        Some("x-canary"),
        "{world}"
    );
}

#[test]
fn annotations_of_the_canary_ingress_are_what_is_declared() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.nginx",
        "spec.strategy.canary.trafficRouting.nginx.annotationPrefix",
        "spec.strategy.canary.trafficRouting.nginx.stableIngress",
        "spec.strategy.canary.trafficRouting.nginx.additionalIngressAnnotations",
        "spec.strategy.canary.trafficRouting.nginx.canaryIngressAnnotations",
        "spec.strategy.canary.trafficRouting.maxTrafficWeight",
    ]);
    let routing = json!({"maxTrafficWeight": 1000, "nginx": {
        "stableIngress": "demo",
        "annotationPrefix": "custom.example.org",
        "additionalIngressAnnotations": {"load-balance": "ewma"},
        "canaryIngressAnnotations": {"example.org/team": "shop"},
    }});
    let mut world = world().nginx().with("trafficRouting", routing);
    world.set(
        "/strategy/canary/steps",
        json!([{"setWeight": 50}, {"pause": {}}]),
    );
    let world = world.deployed().updated();
    let annotations = &world.ingresses[INGRESS].object["metadata"]["annotations"];
    let mut annotations = annotations.as_object().unwrap().clone();
    annotations.retain(|key, _| !key.starts_with("tidegate"));
    let expected = json!({
        "custom.example.org/canary": "true",
        "custom.example.org/canary-weight": "50",
        "custom.example.org/canary-weight-total": "1000",
        "custom.example.org/load-balance": "ewma",
        "example.org/team": "shop",
    });
    assert_eq!(Value::from(annotations), expected, "{world}");
}

#[test]
fn argo_s218_9_paths_to_other_services_are_not_copied() {
    // The Ingress of this world has a path to another Service in the same rule.
    let world = paused(&json!([{"setWeight": 50}, {"pause": {}}]));
    let rules = &world.ingresses[INGRESS].object["spec"]["rules"];
    let paths = rules[0]["http"]["paths"].as_array().unwrap();
    let services: Vec<&Value> = paths
        .iter()
        .map(|path| &path["backend"]["service"]["name"])
        .collect();
    assert_eq!(
        (rules.as_array().unwrap().len(), services),
        (1, vec![&json!("demo-canary")])
    );
}

#[test]
fn argo_4751_the_canary_ingress_goes_with_the_router() {
    let mut world = paused(&json!([{"setWeight": 50}, {"pause": {}}]));
    assert!(world.ingresses.contains_key(INGRESS));
    world.canary("trafficRouting", Value::Null);
    world.play();
    assert!(!world.ingresses.contains_key(INGRESS), "{world}");
    assert!(world.ingresses.contains_key("demo"));
}

#[test]
fn argo_s218_5_a_greater_whole_is_right_on_both_sides_of_a_route() {
    let _covers = testbed::covers(&["spec.strategy.canary.trafficRouting.maxTrafficWeight"]);
    let mut world = at_weight_zero().steps(json!([{"setWeight": 50}, {"pause": {}}]));
    world.set(
        "/strategy/canary/trafficRouting/maxTrafficWeight",
        json!(1000),
    );
    let world = world.deployed().updated();
    let route = world.routes.values().next().unwrap();
    let backends = &route.object["spec"]["rules"][0]["backendRefs"];
    assert_eq!(
        [&backends[0]["weight"], &backends[1]["weight"]],
        [950, 50],
        "{world}"
    );
    let weights = world.status.canary.weights.unwrap();
    assert_eq!((weights.canary.weight, weights.stable.weight), (50, 950));
}

#[test]
fn what_cannot_work_is_said_before_anything_starts() {
    let _covers = testbed::covers(&["spec.strategy.canary.trafficRouting.managedRoutes[].name"]);
    let beta = || header("beta", &json!({"exact": "ann"}));
    let twice = json!([{"headerName": "a", "headerValue": {"exact": "b"}}, {"headerName": "A", "headerValue": {"exact": "b"}}]);
    let steps = "spec.strategy.canary.steps";
    for (declared, expected) in [
        (
            json!([header("other", &json!({"exact": "a"}))]),
            format!("{steps}[0].setHeaderRoute.name: other must be one of"),
        ),
        (
            json!([beta(), header("staff", &json!({"exact": "a"}))]),
            format!("{steps}[1].setHeaderRoute: beta and staff would be in effect together"),
        ),
        (
            json!([{"setHeaderRoute": {"name": "beta", "match": twice}}]),
            format!("{steps}[0].setHeaderRoute.match[1].headerName: A is there twice"),
        ),
        (
            json!([header("beta", &json!({}))]),
            format!("{steps}[0].setHeaderRoute.match[0].headerValue: set exactly one"),
        ),
        (
            json!([header("beta", &json!({"regex": "a b"}))]),
            format!("{steps}[0].setHeaderRoute.match: the value has ' '"),
        ),
        (
            json!([{"setCanaryScale": {"replicas": 0}}, beta()]),
            format!(
                "{steps}[1]: the header route beta is in effect while setCanaryScale leaves no pod"
            ),
        ),
    ] {
        let mut world = world().nginx().managed(&["beta", "staff"]).deployed();
        world.canary("steps", declared.clone());
        world.declare("v2");
        world.play();
        let (_, _, message) = world.condition("InvalidSpec").unwrap();
        assert!(message.contains(&expected), "{message}");
        assert_eq!(world.size("v2"), 0, "{world}");
    }
    let mut declared = world()
        .nginx()
        .managed(&["beta"])
        .annotated("canary-by-cookie", "c")
        .deployed();
    declared.canary("steps", json!([beta()]));
    declared.declare("v2");
    declared.play();
    let (_, _, message) = declared.condition("InvalidSpec").unwrap();
    assert!(
        message.contains("additionalIngressAnnotations[canary-by-cookie]: is what setHeaderRoute"),
        "{message}"
    );
    let without = world().steps(json!([beta()]));
    let mut without = without;
    without.play();
    let (_, _, message) = without.condition("InvalidSpec").unwrap();
    assert!(
        message.contains("works only with trafficRouting"),
        "{message}"
    );
}
