//! A canary through the user's own HTTPRoute, with real requests: what it gets, and what is left of it in the route.

use serde_json::{Value, json};
use testbed::gateway_api::{GATEWAY, NAMESPACE};

use super::harness::{App, SOON, World, eventually, none_lost, share_is};

const LABEL: &str = "/metadata/labels/tidegate.dev~1managed-by-rollout";
const ANNOTATION: &str = "/metadata/annotations/tidegate.dev~1weights-at-rest";

fn backend(service: &str, weight: u32) -> Value {
    json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": weight})
}

/// The route `demo`: a rule of its own for one path, and one with a filter that splits, at rest in these parts.
fn route(namespace: &str, stable: u32, canary: u32) -> Value {
    let path = |value: &str| json!([{"path": {"type": "PathPrefix", "value": value}}]);
    let filter = json!({
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-team", "value": "shop"}]},
    });
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "demo"},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": NAMESPACE}],
            "hostnames": [format!("{namespace}.test")],
            "rules": [
                {"matches": path("/stable"), "backendRefs": [backend("demo-stable", 1)]},
                {
                    "matches": path("/"),
                    "filters": [filter],
                    "backendRefs": [backend("demo-canary", canary), backend("demo-stable", stable)],
                },
            ],
        },
    })
}

fn app(replicas: u32, steps: Value) -> App {
    let routing = json!({"nginx": null, "gatewayAPI": {"httpRoutes": [{"name": "demo"}]}});
    App::canary(replicas, steps).strategy(json!({"trafficRouting": routing}))
}

impl World {
    /// Applies the application with its route and waits until `v1` serves through the proxy.
    async fn deploy_routed(&self, app: &App, stable: u32, canary: u32) {
        let mut manifests = app.services();
        manifests.push(route(self.namespace(), stable, canary));
        manifests.push(app.rollout());
        self.apply(&manifests).await;
        self.healthy().await;
        self.serves("v1").await;
    }

    async fn route(&self) -> Value {
        self.get("httproutes", "demo").await.expect("the route")
    }

    /// Waits until the route is at rest: it has no mark.
    async fn rested(&self) -> Value {
        eventually(SOON, "the route has no mark", || async {
            let route = self.route().await;
            if route.pointer(LABEL).is_none() && route.pointer(ANNOTATION).is_none() {
                Ok(route)
            } else {
                Err(route["metadata"].to_string())
            }
        })
        .await
    }
}

/// What a user declares of a route.
fn declared(route: &Value) -> String {
    let metadata = &route["metadata"];
    json!([route["spec"], metadata["labels"], metadata["annotations"]]).to_string()
}

/// The weights of the rule that splits: canary, stable.
fn weights(route: &Value) -> [i64; 2] {
    [0, 1].map(|place| {
        let weight = &route["spec"]["rules"][1]["backendRefs"][place]["weight"];
        weight.as_i64().unwrap()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_through_a_route_gets_the_share_of_each_step_and_leaves_the_route_as_it_was()
{
    let world = World::new("route-good").await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
    world.deploy_routed(&app(3, steps), 1, 0).await;
    let before = world.route().await;
    let load = world.load(150);

    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 20.0).await;
    let marked = world.route().await;
    assert_eq!(marked.pointer(LABEL), Some(&json!("demo")), "{marked}");
    assert_eq!(weights(&marked), [20, 80]);
    world.ask(&["promote", "demo"]).await;
    world.paused_at(3).await;
    share_is(&load, "v2", 50.0).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    share_is(&load, "v2", 100.0).await;
    world.only_pods_of(rollout.declared()).await;

    assert_eq!(declared(&world.rested().await), declared(&before));
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_canary_leaves_the_route_as_it_was_even_if_that_splits_evenly() {
    let world = World::new("route-aborted").await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 40}, {"pause": {}}]);
    world.deploy_routed(&app(2, steps), 1, 1).await;
    let before = world.route().await;
    let load = world.load(150);

    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 40.0).await;
    world.ask(&["abort", "demo"]).await;
    let rollout = world.aborted().await;
    share_is(&load, "v1", 100.0).await;
    world.only_pods_of(rollout.stable()).await;

    assert_eq!(declared(&world.rested().await), declared(&before));
    share_is(&load, "v1", 100.0).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_somebody_else_writes_is_put_back_and_told() {
    let world = World::new("route-foreign").await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    world.deploy_routed(&app(2, steps), 100, 0).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;

    let mut rules = world.route().await["spec"]["rules"].clone();
    rules[1]["backendRefs"][0]["weight"] = json!(90);
    let patch = json!({"spec": {"rules": rules}});
    world.patch("httproutes", "demo", &patch).await;
    eventually(SOON, "the weights are back", || async {
        let route = world.route().await;
        if weights(&route) == [20, 80] {
            Ok(())
        } else {
            Err(format!("{:?}", weights(&route)))
        }
    })
    .await;
    let rollout = world
        .until(SOON, "it is told", |rollout| {
            rollout.told("TrafficOverwritten").is_some()
        })
        .await;
    let told = rollout.told("TrafficOverwritten").unwrap();
    assert!(
        told.starts_with("somebody changed the canary weight"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_of_a_deleted_rollout_is_put_back() {
    let world = World::new("route-deleted").await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    world.deploy_routed(&app(2, steps), 3, 1).await;
    let before = world.route().await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    let load = world.load(100);

    let deleted = world
        .kubectl(&["delete", "rollout", "demo", "--cascade=orphan"])
        .await;
    assert!(deleted.ok, "{deleted:?}");
    assert_eq!(declared(&world.rested().await), declared(&before));
    share_is(&load, "v1", 100.0).await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_no_gateway_accepts_stops_the_update_and_says_why() {
    let world = World::new("route-refused").await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    world.deploy_routed(&app(1, steps), 1, 0).await;
    let mut parents = world.route().await["spec"]["parentRefs"].clone();
    parents[0]["sectionName"] = json!("no-such-listener");
    let patch = json!({"spec": {"parentRefs": parents}});
    world.patch("httproutes", "demo", &patch).await;
    world.set_image("demo:v2").await;
    let rollout = world
        .until(SOON, "it waits for the route", |rollout| {
            let waits = rollout.at("/status/waitingFor").as_str();
            waits.is_some_and(|waits| waits.contains("HTTPRoute demo to be"))
        })
        .await;
    assert_eq!(rollout.weight(), 0);

    parents[0].as_object_mut().unwrap().remove("sectionName");
    let patch = json!({"spec": {"parentRefs": parents}});
    world.patch("httproutes", "demo", &patch).await;
    assert_eq!(world.paused_at(1).await.weight(), 20);
}
