//! Rules for header routes: where they stand, what they copy, and that nothing is left of them.

use serde_json::{Value, json};

use super::{Scene, after, backend, marks, plain, route};
use crate::{
    api::steps::SetHeaderRoute,
    traffic::{Desired, HeaderRoutes, Split},
};

fn wanted(name: &str, matches: Value) -> SetHeaderRoute {
    serde_json::from_value(json!({"name": name, "match": matches})).unwrap()
}

fn one(name: &str, header: &str, value: Value) -> SetHeaderRoute {
    wanted(name, json!([{"headerName": header, "headerValue": value}]))
}

fn beta() -> SetHeaderRoute {
    one("beta", "x-user", json!({"exact": "ann"}))
}

/// The Rollout `demo` whose steps set these routes, all of them in effect together.
fn scene(route: &Value, routes: &[SetHeaderRoute]) -> Scene {
    let names: Vec<Value> = routes
        .iter()
        .map(|route| json!({"name": route.name}))
        .collect();
    let routing = json!({"gatewayAPI": {"httpRoutes": [{"name": "web"}]}, "managedRoutes": names});
    let mut scene = Scene::with(std::slice::from_ref(route), &routing);
    let steps: Vec<Value> = routes
        .iter()
        .map(|route| json!({"setHeaderRoute": route}))
        .collect();
    scene.strategy.steps = serde_json::from_value(json!(steps)).unwrap();
    scene
}

/// The route with this weight and these header routes, or why not.
fn set(route: &Value, canary: i32, routes: &[SetHeaderRoute]) -> Result<Value, String> {
    let scene = scene(route, routes);
    let desired = Desired {
        header_routes: HeaderRoutes::Exactly(routes.iter().collect()),
        ..Desired::split(Split { canary, max: 100 })
    };
    let actions = scene.routers().render(&scene.snapshot, &desired)?;
    let after = after(route, &actions);
    let scene = self::scene(&after, routes);
    let again = scene.routers().render(&scene.snapshot, &desired)?;
    assert!(again.is_empty(), "{again:?}");
    let all: Vec<&SetHeaderRoute> = routes.iter().collect();
    assert!(scene.routers().header_routes_are(&scene.snapshot, &all));
    assert_eq!(scene.observe(false).by_header, !routes.is_empty());
    Ok(after)
}

fn rules(route: &Value) -> &[Value] {
    route["spec"]["rules"].as_array().unwrap()
}

fn path(value: &str) -> Value {
    json!({"type": "PathPrefix", "value": value})
}

#[test]
fn a_rule_stands_before_the_one_it_is_copied_from_and_asks_for_the_headers_besides() {
    let filters = json!([{"type": "URLRewrite", "urlRewrite": {"hostname": "inside"}}]);
    let before = route(json!([
        {"backendRefs": [backend("other", 1)], "matches": [{"path": path("/other")}]},
        {
            "matches": [{"path": path("/"), "method": "GET", "headers": [{"name": "tenant", "value": "1"}]}, {"path": path("/b")}],
            "filters": filters,
            "backendRefs": [backend("stable", 100), backend("canary", 0)],
            "timeouts": {"request": "10s"},
        },
    ]));
    let both = wanted(
        "both",
        json!([
            {"headerName": "x-user", "headerValue": {"prefix": "a.b"}},
            {"headerName": "x-team", "headerValue": {"regex": "x|y"}},
        ]),
    );
    let got = set(&before, 0, &[beta(), both]).unwrap();
    let [first, second, third, fourth] = rules(&got) else {
        panic!("{got}");
    };
    assert_eq!([first, fourth], [&rules(&before)[0], &rules(&before)[1]]);
    let header =
        |name: &str, type_: &str, value: &str| json!({"name": name, "type": type_, "value": value});
    let tenant = json!({"name": "tenant", "value": "1"});
    let user = header("x-user", "Exact", "ann");
    assert_eq!(
        *second,
        json!({
            "name": "beta",
            "matches": [
                {"path": path("/"), "method": "GET", "headers": [tenant, user]},
                {"path": path("/b"), "headers": [user]},
            ],
            "filters": filters,
            "backendRefs": [backend("canary", 1)],
            "timeouts": {"request": "10s"},
        })
    );
    assert_eq!(third["name"], "both");
    assert_eq!(
        third["matches"][1]["headers"],
        json!([
            header("x-user", "RegularExpression", r"^a\.b.*"),
            header("x-team", "RegularExpression", "x|y"),
        ])
    );
    assert_eq!(marks(&got), (true, true));
}

#[test]
fn every_rule_that_splits_gets_its_own_and_weights_go_to_the_right_ones() {
    let split = |at: &str| json!({"matches": [{"path": path(at)}], "backendRefs": [backend("stable", 1), backend("canary", 0)]});
    let before = route(json!([split("/a"), split("/b")]));
    let got = set(&before, 20, &[beta()]).unwrap();
    let names: Vec<&Value> = rules(&got).iter().map(|rule| &rule["name"]).collect();
    assert_eq!(
        names,
        [
            &json!("beta"),
            &Value::Null,
            &json!("beta-rule-2"),
            &Value::Null
        ]
    );
    let weights = |rule: usize| rules(&got)[rule]["backendRefs"][1]["weight"].clone();
    assert_eq!([weights(1), weights(3)], [json!(20), json!(20)]);
    let scene = scene(&got, &[beta()]);
    let observed = scene.observe(false);
    assert_eq!((observed.lowest, observed.highest), (20, 20));
    assert_eq!(observed.routes, ["httproute/web"]);
}

#[test]
fn whatever_was_set_the_route_comes_to_rest_byte_for_byte() {
    for before in [
        plain(100, 0),
        plain(1, 1),
        route(json!([{"backendRefs": [{"name": "stable"}, {"name": "canary"}]}])),
        route(
            json!([{"backendRefs": [backend("x", 1)]}, {"name": "mine", "backendRefs": [backend("canary", 0), backend("stable", 1)]}]),
        ),
    ] {
        let staff = one("staff", "x-team", json!({"prefix": "a"}));
        let mut now = before.clone();
        for routes in [
            vec![beta()],
            vec![beta(), staff.clone()],
            vec![staff.clone()],
            vec![],
            vec![staff, beta()],
        ] {
            now = set(&now, 30, &routes).unwrap();
        }
        let scene = scene(&now, &[beta()]);
        let rested = scene.routers().rest(&scene.snapshot, 100).unwrap();
        assert_eq!(after(&now, &rested), before);
    }
}

#[test]
fn a_rule_of_ours_is_known_without_its_name_and_without_the_mark() {
    let live = set(&plain(1, 0), 0, &[beta()]).unwrap();
    let mut unnamed = live.clone();
    unnamed["spec"]["rules"][0]
        .as_object_mut()
        .unwrap()
        .remove("name");
    assert_eq!(set(&unnamed, 0, &[beta()]).unwrap(), unnamed);
    assert_eq!(rules(&set(&unnamed, 0, &[]).unwrap()).len(), 1);
    let mut unmarked = live.clone();
    unmarked["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    let scene = scene(&unmarked, &[beta()]);
    let rested = scene.routers().rest(&scene.snapshot, 100).unwrap();
    assert_eq!(rules(&after(&unmarked, &rested)), rules(&plain(1, 0)));
}

#[test]
fn a_rule_that_was_changed_or_taken_out_is_made_again() {
    let live = set(&plain(1, 0), 50, &[beta()]).unwrap();
    let mut changed = live.clone();
    changed["spec"]["rules"][0]["backendRefs"][0]["name"] = json!("elsewhere");
    let mut taken_out = live.clone();
    taken_out["spec"]["rules"].as_array_mut().unwrap().remove(0);
    let mut moved = live.clone();
    moved["spec"]["rules"].as_array_mut().unwrap().swap(0, 1);
    for now in [changed, taken_out, moved] {
        let scene = scene(&now, &[beta()]);
        assert!(
            !scene
                .routers()
                .header_routes_are(&scene.snapshot, &[&beta()])
        );
        assert_eq!(set(&now, 50, &[beta()]).unwrap()["spec"], live["spec"]);
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let split = |fields: Value| {
        let mut rule = json!({"backendRefs": [backend("stable", 1), backend("canary", 0)]});
        json_patch::merge(&mut rule, &fields);
        rule
    };
    let many: Vec<Value> = (0..9).map(|_| split(json!({}))).collect();
    let taken = split(json!({"matches": [{"headers": [{"name": "X-User", "value": "bob"}]}]}));
    for (before, why) in [
        (
            route(json!(many)),
            "18 rules and 18 matches, and may have 16 and 128",
        ),
        (
            route(json!([split(json!({"name": "beta"}))])),
            "spec.rules[0] is called beta; rename it",
        ),
        (
            route(json!([taken])),
            "spec.rules[0].matches asks for the header x-user already",
        ),
    ] {
        let scene = scene(&before, &[beta()]);
        // Nothing is set yet: it is said before the first step.
        let error = scene.render(0).unwrap_err();
        assert!(
            error.starts_with("HTTPRoute web: ") && error.contains(why),
            "{error}"
        );
    }
}

#[test]
fn a_route_of_the_plugin_gets_header_routes_where_it_is_told_to() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.httpRoutes[].useHeaderRoutes",
    ]);
    let mut other = plain(1, 0);
    other["metadata"]["name"] = json!("api");
    let routes = [plain(1, 0), other];
    let block = json!([{"name": "web", "useHeaderRoutes": true}, {"name": "api"}]);
    let routing = json!({
        "plugins": {"argoproj-labs/gatewayAPI": {"httpRoutes": block}},
        "managedRoutes": [{"name": "beta"}],
    });
    let mut scene = Scene::with(&routes, &routing);
    scene.strategy.steps = serde_json::from_value(json!([{"setHeaderRoute": beta()}])).unwrap();
    let beta = beta();
    let desired = Desired {
        header_routes: HeaderRoutes::Exactly(vec![&beta]),
        ..Desired::split(Split {
            canary: 0,
            max: 100,
        })
    };
    let actions = scene.routers().render(&scene.snapshot, &desired).unwrap();
    assert_eq!(actions.len(), 1);
    assert_eq!(rules(&after(&routes[0], &actions)).len(), 2);
}
