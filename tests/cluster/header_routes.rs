//! Header routes through the real proxy, with every request counted: who gets which version, and when that ends.

use serde_json::{Value, json};
use testbed::{
    gateway_api::{GATEWAY, NAMESPACE},
    load::Load,
};

use super::harness::{App, CANARY_INGRESS, SOON, World, eventually, none_lost, share_is};

fn header(name: &str, value: &Value) -> Value {
    json!({"setHeaderRoute": {"name": name, "match": [{"headerName": "x-user", "headerValue": value}]}})
}

fn removed(name: &str) -> Value {
    json!({"setHeaderRoute": {"name": name}})
}

fn managed(routing: Value) -> Value {
    let mut routing = routing;
    routing["managedRoutes"] = json!([{"name": "beta"}, {"name": "staff"}]);
    json!({ "trafficRouting": routing })
}

fn by_ingress(replicas: u32, steps: Value) -> App {
    App::canary(replicas, steps).strategy(managed(json!({})))
}

fn by_route(replicas: u32, steps: Value) -> App {
    let routing = json!({"nginx": null, "gatewayAPI": {"httpRoutes": [{"name": "demo"}]}});
    App::canary(replicas, steps).strategy(managed(routing))
}

/// A route with a rule of its own for one path and header, and one that splits.
fn route(namespace: &str) -> Value {
    let backend = |service: &str, weight: u32| json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": weight});
    let path = |value: &str| json!({"type": "PathPrefix", "value": value});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "demo"},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": NAMESPACE}],
            "hostnames": [format!("{namespace}.test")],
            "rules": [
                {"matches": [{"path": path("/stable")}], "backendRefs": [backend("demo-stable", 1)]},
                {
                    "matches": [{"path": path("/")}],
                    "filters": [{
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"set": [{"name": "x-team", "value": "shop"}]},
                    }],
                    "backendRefs": [backend("demo-stable", 1), backend("demo-canary", 0)],
                },
            ],
        },
    })
}

impl World {
    async fn deploy_by_route(&self, app: &App) {
        let mut manifests = app.services();
        manifests.push(route(self.namespace()));
        manifests.push(app.rollout());
        self.apply(&manifests).await;
        self.healthy().await;
        self.serves("v1").await;
    }

    async fn rules(&self) -> Value {
        let route = self.get("httproutes", "demo").await.expect("the route");
        json!([
            route["spec"],
            route["metadata"]["labels"],
            route["metadata"]["annotations"]
        ])
    }
}

/// Everybody with the header gets `with`, and this part of everybody else gets `v2`.
async fn shares(picked: &Load, others: &Load, with: &str, part: f64) {
    share_is(picked, with, 100.0).await;
    share_is(others, "v2", part).await;
}

/// A release with header routes before, beside and after weights; every part by the requests that get there.
async fn header_routes_pick_who_gets_the_new_version(world: &World) {
    let picked = world.load_with(60, "x-user", "team-ann");
    let others = world.load_with(60, "x-user", "bob");

    world.set_image("demo:v2").await;
    let rollout = world.paused_at(1).await;
    assert_eq!(rollout.weight(), 0);
    shares(&picked, &others, "v2", 0.0).await;
    world.ask(&["promote", "demo"]).await;
    world.paused_at(3).await;
    shares(&picked, &others, "v2", 50.0).await;
    world.ask(&["promote", "demo"]).await;
    // The next route is another one, and has taken the place of the first.
    world.paused_at(6).await;
    shares(&others, &picked, "v2", 50.0).await;
    world.ask(&["abort", "demo"]).await;
    let rollout = world.aborted().await;
    shares(&picked, &others, "v1", 0.0).await;
    world.only_pods_of(rollout.stable()).await;
    shares(&picked, &others, "v1", 0.0).await;

    world.ask(&["retry", "demo"]).await;
    world.paused_at(1).await;
    shares(&picked, &others, "v2", 0.0).await;
    world.ask(&["promote", "demo", "--full"]).await;
    let rollout = world.healthy().await;
    shares(&picked, &others, "v2", 100.0).await;
    world.only_pods_of(rollout.declared()).await;
    none_lost(picked).await;
    none_lost(others).await;
}

fn steps(first: &Value) -> Value {
    json!([
        header("beta", first),
        {"pause": {}},
        {"setWeight": 50},
        {"pause": {}},
        removed("beta"),
        header("staff", &json!({"exact": "bob"})),
        {"pause": {}},
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_routes_by_ingress_pick_who_gets_the_new_version() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.managedRoutes",
        "spec.strategy.canary.steps[].setHeaderRoute",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.exact",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.prefix",
    ]);
    let world = World::new("header-ingress").await;
    let _controller = world.controller().await;
    world
        .deploy(&by_ingress(2, steps(&json!({"prefix": "team-"}))))
        .await;
    header_routes_pick_who_gets_the_new_version(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_routes_by_httproute_pick_who_gets_the_new_version_and_leave_it_as_it_was() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.managedRoutes",
        "spec.strategy.canary.steps[].setHeaderRoute",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.exact",
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue.regex",
    ]);
    let world = World::new("header-route").await;
    let _controller = world.controller().await;
    let app = by_route(2, steps(&json!({"regex": "^team-.*"})));
    world.deploy_by_route(&app).await;
    let before = world.rules().await;
    header_routes_pick_who_gets_the_new_version(&world).await;
    eventually(SOON, "the route is as it was", || async {
        let after = world.rules().await;
        if after == before {
            Ok(())
        } else {
            Err(after.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_of_ours_that_somebody_deletes_comes_back_and_the_others_are_as_declared() {
    let world = World::new("header-rule-deleted").await;
    let _controller = world.controller().await;
    let steps = json!([header("beta", &json!({"exact": "ann"})), {"pause": {}}]);
    world.deploy_by_route(&by_route(1, steps)).await;
    let declared = world.rules().await[0]["rules"].clone();
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    let live = world.rules().await[0]["rules"].clone();
    assert_eq!([&live[0], &live[2]], [&declared[0], &declared[1]]);
    assert_eq!(live[1]["name"], "beta");
    let load = world.load_with(60, "x-user", "ann");
    share_is(&load, "v2", 100.0).await;

    let patch = json!({"spec": {"rules": declared}});
    world.patch("httproutes", "demo", &patch).await;
    eventually(SOON, "the rule is back", || async {
        let now = world.rules().await[0]["rules"].clone();
        if now == live {
            Ok(())
        } else {
            Err(now.to_string())
        }
    })
    .await;
    share_is(&load, "v2", 100.0).await;
    world
        .until(SOON, "it is told", |rollout| {
            let told = rollout.told("TrafficOverwritten");
            told.is_some_and(|told| told.contains("changed the header routes"))
        })
        .await;
    none_lost(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_4486_header_routes_go_with_the_pods_and_come_back_with_them() {
    let world = World::new("header-pods").await;
    let _controller = world.controller().await;
    let steps = json!([header("beta", &json!({"exact": "ann"})), {"pause": {}}]);
    world.deploy(&by_ingress(2, steps)).await;
    world.set_image("demo:v2-slow4").await;
    let rollout = world.paused_at(1).await;
    let load = world.load_with(60, "x-user", "ann");
    share_is(&load, "v2", 100.0).await;
    let pods = world.pods_of(rollout.declared()).await;
    world.delete("pods", &pods[0]).await;
    let picks = || async {
        let ingress = world.get("ingresses", CANARY_INGRESS).await.unwrap();
        let key = "nginx.ingress.kubernetes.io/canary-by-header-value";
        ingress["metadata"]["annotations"][key] == "ann"
    };
    let is = |wanted: bool, what: &'static str| {
        eventually(SOON, what, move || async move {
            if picks().await == wanted {
                Ok(())
            } else {
                Err(String::new())
            }
        })
    };
    is(false, "the header route is gone").await;
    is(true, "the header route is back").await;
    share_is(&load, "v2", 100.0).await;
    // Between the end of its only pod and the write nobody can answer; that must be no second.
    let summary = load.stop().await;
    assert!(summary.lost < 60, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_4751_the_canary_ingress_goes_with_the_router() {
    let world = World::new("router-removed").await;
    let _controller = world.controller().await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    assert!(world.get("ingresses", CANARY_INGRESS).await.is_some());
    let load = world.load(60);
    let patch = json!({"spec": {"strategy": {"canary": {
        "trafficRouting": null, "scaleDownDelaySeconds": null, "abortScaleDownDelaySeconds": null,
    }}}});
    world.patch("rollouts", "demo", &patch).await;
    eventually(SOON, "the canary Ingress is gone", || async {
        match world.get("ingresses", CANARY_INGRESS).await {
            None => Ok(()),
            Some(ingress) => Err(ingress.to_string()),
        }
    })
    .await;
    assert!(world.get("ingresses", "demo").await.is_some());
    none_lost(load).await;
}
