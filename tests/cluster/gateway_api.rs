//! A canary through the user's own HTTPRoute, with real requests: what it gets, and what is left of it in the route.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::gateway_api::{GATEWAY, NAMESPACE, definitions};

use super::{
    harness::{App, SOON, World, eventually, none_lost, own_testbed, share_is},
    missing::{Vanishing, everything_but_the_way_back_stops},
};

const LABEL: &str = "/metadata/labels/tidegate.dev~1managed-by-rollout";
const ANNOTATION: &str = "/metadata/annotations/tidegate.dev~1weights-at-rest";

fn backend(service: &str, weight: u32) -> Value {
    json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": weight})
}

/// The route `demo`: a rule of its own for one path, and one with a filter that splits, at rest in these parts.
fn route(namespace: &str, stable: u32, canary: u32) -> Value {
    route_for("demo", &format!("{namespace}.test"), stable, canary)
}

fn route_for(name: &str, host: &str, stable: u32, canary: u32) -> Value {
    let path = |value: &str| json!([{"path": {"type": "PathPrefix", "value": value}}]);
    let filter = json!({
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-team", "value": "shop"}]},
    });
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": NAMESPACE}],
            "hostnames": [host],
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
    routed(
        replicas,
        steps,
        json!({"gatewayAPI": {"httpRoutes": [{"name": "demo"}]}}),
    )
}

fn routed(replicas: u32, steps: Value, mut routing: Value) -> App {
    routing["nginx"] = Value::Null;
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
        self.route_called("demo").await
    }

    async fn route_called(&self, name: &str) -> Value {
        self.get("httproutes", name).await.expect("the route")
    }

    /// Waits until the route is at rest: it has no mark.
    async fn rested(&self) -> Value {
        self.rested_called("demo").await
    }

    async fn rested_called(&self, name: &str) -> Value {
        eventually(SOON, "the route has no mark", || async {
            let route = self.route_called(name).await;
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
        .kubectl(&[
            "delete",
            "rollouts.tidegate.dev",
            "demo",
            "--cascade=orphan",
        ])
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

#[tokio::test]
async fn a_route_that_vanishes_stops_everything_but_the_way_back() {
    let namespace = "route-vanishes";
    let world = World::new(namespace).await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 80}]);
    world.deploy_routed(&app(2, steps), 1, 0).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    let vanishing = Vanishing {
        plural: "httproutes",
        name: "demo",
        shown: "HTTPRoute demo",
        object: route(namespace, 1, 0),
        scaled: 1,
    };
    everything_but_the_way_back_stops(&world, vanishing).await;
}

/// The shares of both routes, by either way to declare them.
async fn two_routes_get_the_same_share(namespace: &str, routing: Value) {
    let world = World::new(namespace).await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 30}, {"pause": {}}]);
    let second = route_for("second", &format!("second.{namespace}.test"), 1, 1);
    world.apply(&[second]).await;
    world.deploy_routed(&routed(2, steps, routing), 1, 0).await;
    let before = [world.route().await, world.route_called("second").await];
    let load = world.load(150);

    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 30.0).await;
    for name in ["demo", "second"] {
        let live = world.route_called(name).await;
        assert_eq!(weights(&live), [30, 70], "{name}");
        assert_eq!(live.pointer(LABEL), Some(&json!("demo")), "{name}");
    }
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    let after = [world.rested().await, world.rested_called("second").await];
    assert_eq!(
        after.each_ref().map(declared),
        before.each_ref().map(declared)
    );
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_routes_of_one_rollout_get_the_same_share_and_are_left_as_they_were() {
    let both = json!({"gatewayAPI": {"httpRoutes": [{"name": "demo"}, {"name": "second"}]}});
    two_routes_get_the_same_share("route-two", both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_block_of_argos_plugin_means_the_same() {
    let block = json!({"plugins": {"argoproj-labs/gatewayAPI": {
        "namespace": "route-plugin", "httpRoutes": [{"name": "demo"}, {"name": "second"}],
    }}});
    two_routes_get_the_same_share("route-plugin", block).await;
}

/// Accepts every generation of the route, as a Gateway's controller does, for ever.
async fn play_the_gateway(world: &World) {
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        ticks.tick().await;
        let Some(route) = world.get("httproutes", "demo").await else {
            continue;
        };
        let generation = &route["metadata"]["generation"];
        if &route["status"]["parents"][0]["conditions"][0]["observedGeneration"] == generation {
            continue;
        }
        let now = super::harness::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let condition = |type_: &str| {
            json!({
                "type": type_, "status": "True", "reason": type_, "message": "",
                "observedGeneration": generation, "lastTransitionTime": now,
            })
        };
        let parents = json!([{
            "parentRef": route["spec"]["parentRefs"][0],
            "controllerName": "example.org/gateway",
            "conditions": [condition("Accepted"), condition("ResolvedRefs")],
        }]);
        let status = json!({"status": {"parents": parents}});
        world.patch("httproutes", "demo/status", &status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_that_are_installed_while_the_controller_runs_are_used() {
    let testbed = own_testbed("late-routes", |own| own).await;
    let world = World::on(testbed, "late-routes").await;
    let _controller = world.controller().await;
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut manifests = app(2, steps).services();
    manifests.push(app(2, json!([{"setWeight": 50}, {"pause": {}}])).rollout());
    world.apply(&manifests).await;
    world
        .until(SOON, "the definitions are asked for", |rollout| {
            let missing = rollout.told("ReferenceMissing");
            missing.is_some_and(|missing| missing.contains("install the Gateway API's"))
        })
        .await;

    let folder = definitions().await.unwrap();
    let args = ["apply", "--server-side", "-f", folder.to_str().unwrap()];
    let applied = world.kubectl(&args).await;
    assert!(applied.ok, "{applied:?}");
    world
        .until(SOON, "the route is asked for", |rollout| {
            rollout.at("/status/waitingFor") == "HTTPRoute demo to exist"
        })
        .await;
    world.apply(&[route("late-routes", 1, 0)]).await;
    let release = async {
        world.healthy().await;
        world.set_image("demo:v2").await;
        world.paused_at(1).await;
        assert_eq!(weights(&world.route().await), [50, 50]);
        world.ask(&["promote", "demo"]).await;
        world.healthy().await;
        world.rested().await
    };
    let rested = tokio::select! {
        () = play_the_gateway(&world) => unreachable!("it plays for ever"),
        rested = release => rested,
    };
    assert_eq!(weights(&rested), [0, 1]);
}
