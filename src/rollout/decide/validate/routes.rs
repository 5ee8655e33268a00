//! What the blocks of the Gateway API must fulfil: `gatewayAPI`, and the plugin's, which means the same.
//!
//! Not here: what a route itself must have (`crate::traffic::gateway_api`).

use super::{Errors, FieldError};
use crate::api::{
    gateway_api::{GatewayApiPlugin, GatewayApiRouting, PLUGIN, Plugins},
    traffic_routing::TrafficRouting,
};

const ROUTING: &str = "spec.strategy.canary.trafficRouting";
const NO_ROUTE: &str = "names no HTTPRoute; name those that route to stableService";

pub(super) fn check_routes(
    own: Option<&GatewayApiRouting>,
    plugins: Option<&Plugins>,
    errors: &mut Errors,
) {
    if let Some(own) = own {
        let at = |field: &str| format!("{ROUTING}.gatewayAPI.{field}");
        errors.unsupported(&at("grpcRoutes"), !own.grpc_routes.is_empty());
        errors.unsupported(&at("tcpRoutes"), !own.tcp_routes.is_empty());
        errors.unsupported(&at("tlsRoutes"), !own.tls_routes.is_empty());
        if own.http_routes.is_empty() {
            errors.add(at("httpRoutes"), NO_ROUTE);
        }
    }
    let Some(plugins) = plugins else { return };
    for name in plugins.others.keys() {
        errors.unsupported(&format!("{ROUTING}.plugins.{name}"), true);
    }
    match &plugins.gateway_api {
        Some(_) if own.is_some() => errors.add(
            format!("{ROUTING}.plugins.{PLUGIN}"),
            "means the same as gatewayAPI; set one of them",
        ),
        Some(plugin) => check_plugin(plugin, errors),
        None if plugins.others.is_empty() => {
            errors.add(format!("{ROUTING}.plugins"), "names no router; remove it");
        }
        None => {}
    }
}

fn check_plugin(plugin: &GatewayApiPlugin, errors: &mut Errors) {
    let at = |field: &str| format!("{ROUTING}.plugins.{PLUGIN}.{field}");
    for (field, set) in [
        ("grpcRoute", plugin.grpc_route.is_some()),
        ("grpcRoutes", !plugin.grpc_routes.is_empty()),
        ("tcpRoute", plugin.tcp_route.is_some()),
        ("tcpRoutes", !plugin.tcp_routes.is_empty()),
        ("tlsRoute", plugin.tls_route.is_some()),
        ("tlsRoutes", !plugin.tls_routes.is_empty()),
        ("httpRouteSelector", plugin.http_route_selector.is_some()),
        ("grpcRouteSelector", plugin.grpc_route_selector.is_some()),
        ("tcpRouteSelector", plugin.tcp_route_selector.is_some()),
        ("tlsRouteSelector", plugin.tls_route_selector.is_some()),
    ] {
        errors.unsupported(&at(field), set);
    }
    if plugin.config_map.is_some() {
        errors.add(
            at("configMap"),
            "has no use here: nothing is kept in a ConfigMap; remove it",
        );
    }
    for (field, set) in [
        ("disableInProgressLabel", plugin.disable_in_progress_label),
        ("inProgressLabelKey", plugin.in_progress_label_key.is_some()),
        (
            "inProgressLabelValue",
            plugin.in_progress_label_value.is_some(),
        ),
    ] {
        if set {
            errors.add(
                at(field),
                "cannot be chosen: a route in progress has the label managed-by-rollout; remove it",
            );
        }
    }
    if plugin.http_route.is_none() && plugin.http_routes.is_empty() {
        errors.add(at("httpRoutes"), NO_ROUTE);
    }
}

/// A Rollout changes only what is in its own namespace: who may write it may not reach into another one through it.
pub(super) fn in_other_namespaces(routing: &TrafficRouting, own: &str) -> Vec<FieldError> {
    let named = routing.route_namespaces().into_iter();
    named
        .filter(|(_, namespace)| *namespace != own)
        .map(|(path, namespace)| FieldError {
            path: format!("{ROUTING}.{path}"),
            message: format!(
                "is {namespace}; a route has to be in the Rollout's own namespace, {own}: put a route for these Services there"
            ),
        })
        .collect()
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "json!() is handed over as it is"
)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn canary(routing: Value) -> crate::api::canary::CanaryStrategy {
        let canary = json!({"stableService": "s", "canaryService": "c", "trafficRouting": routing});
        let spec = json!({"strategy": {"canary": canary}});
        let mut spec = testbed::heard("Rollout", spec);
        serde_json::from_value(spec["strategy"]["canary"].take()).unwrap()
    }

    /// Paths under `trafficRouting` that are wrong.
    fn wrong(routing: Value) -> Vec<String> {
        let canary = canary(routing);
        let routing = canary.traffic_routing.as_ref().unwrap();
        let mut errors = Errors(Vec::new());
        super::super::check_routing(&canary, routing, &mut errors);
        errors.0.extend(in_other_namespaces(routing, "shop"));
        let paths = errors.0.into_iter().map(|error| error.path);
        let prefix = format!("{ROUTING}.");
        paths.map(|path| path.replace(&prefix, "")).collect()
    }

    #[test]
    fn other_routes_and_what_has_no_use_are_refused_by_name() {
        let mut refusals = testbed::refusals();
        let route = json!([{"name": "a"}]);
        let own = ["grpcRoutes", "tcpRoutes", "tlsRoutes"];
        for field in own {
            let block = json!({"gatewayAPI": {"httpRoutes": route, field: route}});
            refused(
                &block,
                &format!("{ROUTING}.gatewayAPI.{field}"),
                &mut refusals,
            );
        }
        for (field, value) in [
            ("grpcRoute", json!("b")),
            ("tcpRoute", json!("b")),
            ("tlsRoute", json!("b")),
            ("grpcRoutes", route.clone()),
            ("tcpRoutes", route.clone()),
            ("tlsRoutes", route.clone()),
            ("httpRouteSelector", json!({})),
            ("grpcRouteSelector", json!({})),
            ("tcpRouteSelector", json!({})),
            ("tlsRouteSelector", json!({})),
            ("configMap", json!("b")),
            ("disableInProgressLabel", json!(true)),
            ("inProgressLabelKey", json!("b")),
            ("inProgressLabelValue", json!("b")),
        ] {
            let block = json!({"plugins": {PLUGIN: {"httpRoute": "a", field: value}}});
            refused(
                &block,
                &format!("{ROUTING}.plugins.{PLUGIN}.{field}"),
                &mut refusals,
            );
        }
    }

    /// The one error of this block, which is about this field.
    fn refused(block: &Value, path: &str, refusals: &mut testbed::covers::Refusals) {
        let canary = canary(block.clone());
        let routing = canary.traffic_routing.as_ref().unwrap();
        let mut errors = Errors(Vec::new());
        super::super::check_routing(&canary, routing, &mut errors);
        let [error] = &errors.0[..] else {
            panic!("{block}: {:?}", errors.0);
        };
        assert_eq!(error.path, path);
        refusals.add(path, &error.message);
    }

    #[test]
    fn what_works_is_accepted_and_everything_else_is_refused_by_name() {
        let _covers = testbed::covers(&[
            "spec.strategy.canary.trafficRouting.gatewayAPI.httpRoutes[].namespace",
            "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.namespace",
            "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.httpRoutes[].name",
        ]);
        let plugin = |block: Value| json!({"plugins": {PLUGIN: block}});
        let refused = |field: &str| vec![format!("plugins.{PLUGIN}.{field}")];
        let own = |block: Value| json!({"gatewayAPI": block});
        let route = json!([{"name": "a"}]);
        for (routing, expected) in [
            (own(json!({"httpRoutes": route})), vec![]),
            (
                own(
                    json!({"httpRoutes": [{"name": "a", "namespace": "shop", "sectionName": "x"}]}),
                ),
                vec![],
            ),
            (
                own(json!({"httpRoutes": [{"name": "a", "namespace": "other"}]})),
                vec!["gatewayAPI.httpRoutes[0].namespace".to_owned()],
            ),
            (own(json!({})), vec!["gatewayAPI.httpRoutes".to_owned()]),
            (
                own(
                    json!({"httpRoutes": route, "grpcRoutes": route, "tcpRoutes": route, "tlsRoutes": route}),
                ),
                ["grpcRoutes", "tcpRoutes", "tlsRoutes"]
                    .map(|field| format!("gatewayAPI.{field}"))
                    .to_vec(),
            ),
            (
                json!({"nginx": {"stableIngress": "i"}, "gatewayAPI": {"httpRoutes": route}}),
                vec![],
            ),
            (json!({}), vec![ROUTING.to_owned()]),
            (
                plugin(json!({"httpRoute": "a", "namespace": "shop"})),
                vec![],
            ),
            (
                plugin(json!({"httpRoutes": [{"name": "a", "useHeaderRoutes": true}]})),
                vec![],
            ),
            (
                plugin(json!({"httpRoute": "a", "namespace": "other"})),
                refused("namespace"),
            ),
            (plugin(json!({})), refused("httpRoutes")),
            (
                plugin(json!({"httpRoute": "a", "tcpRoute": "b"})),
                refused("tcpRoute"),
            ),
            (
                plugin(json!({"httpRoute": "a", "configMap": "b"})),
                refused("configMap"),
            ),
            (
                plugin(json!({"httpRoute": "a", "disableInProgressLabel": true})),
                refused("disableInProgressLabel"),
            ),
            (
                json!({"plugins": {"other/router": {}}}),
                vec!["plugins.other/router".to_owned()],
            ),
            (json!({"plugins": {}}), vec!["plugins".to_owned()]),
            (
                json!({"gatewayAPI": {"httpRoutes": route}, "plugins": {PLUGIN: {"httpRoute": "a"}}}),
                vec![format!("plugins.{PLUGIN}")],
            ),
        ] {
            assert_eq!(wrong(routing.clone()), expected, "{routing}");
        }
    }
}
