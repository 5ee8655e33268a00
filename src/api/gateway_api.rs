//! Routes of the Gateway API, as declared: our own block, and that of Argo's plugin, read as the same thing.
//!
//! Not here: what is written to a route (`traffic::gateway_api`).

use std::collections::BTreeMap;

use kube::core::{ApiResource, GroupVersionKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{pod_template::FreeForm, traffic_routing::TrafficRouting};

/// The group of all routes.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// The version that is read and written.
pub const VERSION: &str = "v1";
/// The name of Argo's plugin.
pub const PLUGIN: &str = "argoproj-labs/gatewayAPI";

/// A kind of object that a cluster may not have, and that traffic is split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    HttpRoute,
}

impl RouteKind {
    /// All kinds.
    pub const ALL: [Self; 1] = [Self::HttpRoute];

    /// The kind as written in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpRoute => "HTTPRoute",
        }
    }

    /// The plural resource name in URLs and RBAC rules.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::HttpRoute => "httproutes",
        }
    }

    /// The words by which a Rollout that may ask for this kind is told.
    pub const fn mentioned_as(self) -> [&'static str; 2] {
        match self {
            Self::HttpRoute => ["httpRoutes", "httpRoute"],
        }
    }

    /// The resource, for dynamic clients.
    pub fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(GROUP, VERSION, self.name()),
            self.plural(),
        )
    }
}

/// Routes of the Gateway API whose weights are managed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApiRouting {
    /// HTTPRoutes: every rule that sends to both Services gets the weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub http_routes: Vec<RouteRef>,
    /// GRPCRoutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub grpc_routes: Vec<RouteRef>,
    /// TCPRoutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tcp_routes: Vec<RouteRef>,
    /// TLSRoutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tls_routes: Vec<RouteRef>,
}

/// Names a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace: that of the Rollout, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of one of its rules, where only that one is to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// Routers that Argo Rollouts has as plugins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Plugins {
    /// Argo's Gateway API plugin: means the same as `gatewayAPI`.
    #[serde(
        default,
        rename = "argoproj-labs/gatewayAPI",
        skip_serializing_if = "Option::is_none"
    )]
    pub gateway_api: Option<GatewayApiPlugin>,
    /// All others.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: BTreeMap<String, FreeForm>,
}

/// The configuration of Argo's Gateway API plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApiPlugin {
    /// The name of an HTTPRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<String>,
    /// Several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub http_routes: Vec<PluginRoute>,
    /// The namespace of the routes: that of the Rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of a GRPCRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_route: Option<String>,
    /// Several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub grpc_routes: Vec<PluginRoute>,
    /// The name of a TCPRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_route: Option<String>,
    /// Several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tcp_routes: Vec<PluginRoute>,
    /// The name of a TLSRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_route: Option<String>,
    /// Several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tls_routes: Vec<PluginRoute>,
    /// Routes by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route_selector: Option<FreeForm>,
    /// Routes by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_route_selector: Option<FreeForm>,
    /// Routes by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_route_selector: Option<FreeForm>,
    /// Routes by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_route_selector: Option<FreeForm>,
    /// Where the plugin keeps its notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<String>,
    /// Whether routes are not marked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_in_progress_label: bool,
    /// The key of the mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress_label_key: Option<String>,
    /// The value of the mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress_label_value: Option<String>,
}

/// Names a route in the plugin's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginRoute {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether header routes are added to it. It has no meaning without `setHeaderRoute` steps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_header_routes: bool,
}

/// A route to be managed, from either block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget<'a> {
    /// Its kind.
    pub kind: RouteKind,
    /// Its name.
    pub name: &'a str,
    /// The names of the rules that are to be changed; none means all.
    pub sections: Vec<&'a str>,
    /// Whether header routes are added to it.
    pub header_routes: bool,
}

impl TrafficRouting {
    /// All routes of the Gateway API that are named, each once.
    pub fn routes(&self) -> Vec<RouteTarget<'_>> {
        let kind = RouteKind::HttpRoute;
        let own = self.gateway_api.iter().flat_map(|own| &own.http_routes);
        let own = own.map(|route| (&route.name, route.section_name.as_deref(), true));
        let plugin = self
            .plugins
            .as_ref()
            .and_then(|all| all.gateway_api.as_ref());
        let plugin = plugin.into_iter().flat_map(|plugin| {
            let several = plugin.http_routes.iter();
            let several = several.map(|route| (&route.name, None, route.use_header_routes));
            let one = plugin.http_route.iter().map(|name| (name, None, true));
            one.chain(several)
        });
        let mut targets: Vec<RouteTarget<'_>> = Vec::new();
        for (name, section, header_routes) in own.chain(plugin) {
            let mut known = targets.iter_mut().find(|target| target.name == name);
            if let Some(target) = &mut known {
                target.header_routes |= header_routes;
            }
            match (known, section) {
                (Some(target), Some(section)) if !target.sections.is_empty() => {
                    target.sections.push(section);
                }
                // Once all of its rules are meant, no more can be.
                (Some(target), _) => target.sections.clear(),
                (None, section) => targets.push(RouteTarget {
                    kind,
                    name,
                    sections: section.into_iter().collect(),
                    header_routes,
                }),
            }
        }
        targets
    }

    /// The namespaces in which routes are named, with the paths of the fields under `trafficRouting`.
    pub fn route_namespaces(&self) -> Vec<(String, &str)> {
        let own = self.gateway_api.iter().flat_map(|own| {
            own.http_routes
                .iter()
                .enumerate()
                .filter_map(|(index, route)| {
                    let path = format!("gatewayAPI.httpRoutes[{index}].namespace");
                    Some((path, route.namespace.as_deref()?))
                })
        });
        let plugin = self
            .plugins
            .as_ref()
            .and_then(|all| all.gateway_api.as_ref());
        let plugin = plugin.and_then(|plugin| plugin.namespace.as_deref());
        let path = format!("plugins.{PLUGIN}.namespace");
        own.chain(plugin.map(|namespace| (path, namespace)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn routing(block: Value) -> TrafficRouting {
        serde_json::from_value(block).unwrap()
    }

    fn named(block: Value) -> Vec<(String, Vec<String>)> {
        let routing = routing(block);
        let own = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        let targets = routing.routes().into_iter();
        targets
            .map(|target| (target.name.to_owned(), own(target.sections)))
            .collect()
    }

    #[test]
    fn the_plugins_block_names_the_same_routes_as_ours() {
        let route = |name: &str| (name.to_owned(), Vec::new());
        for (block, expected) in [
            (
                json!({"gatewayAPI": {"httpRoutes": [{"name": "a"}, {"name": "b"}]}}),
                vec![route("a"), route("b")],
            ),
            (
                json!({"plugins": {PLUGIN: {"httpRoute": "a", "namespace": "shop"}}}),
                vec![route("a")],
            ),
            (
                json!({"plugins": {PLUGIN: {"httpRoutes": [{"name": "a", "useHeaderRoutes": true}, {"name": "b"}]}}}),
                vec![route("a"), route("b")],
            ),
            (
                json!({"plugins": {PLUGIN: {"httpRoute": "a", "httpRoutes": [{"name": "a"}]}}}),
                vec![route("a")],
            ),
            (
                json!({"plugins": {"other/router": {"httpRoute": "a"}}}),
                vec![],
            ),
            (json!({"nginx": {"stableIngress": "a"}}), vec![]),
        ] {
            assert_eq!(named(block.clone()), expected, "{block}");
        }
    }

    #[test]
    fn sections_of_one_route_are_one_target() {
        let routes = |routes: Value| named(json!({"gatewayAPI": {"httpRoutes": routes}}));
        let section = |name: &str| json!({"name": "a", "sectionName": name});
        let all = vec![("a".to_owned(), Vec::new())];
        let two = vec![("a".to_owned(), vec!["x".to_owned(), "y".to_owned()])];
        assert_eq!(routes(json!([section("x"), section("y")])), two);
        assert_eq!(routes(json!([section("x"), {"name": "a"}])), all);
        assert_eq!(routes(json!([{"name": "a"}, section("x")])), all);
    }

    #[test]
    fn an_unknown_plugin_is_kept_to_be_refused_by_name() {
        let routing = routing(json!({"plugins": {"other/router": {"x": 1}}}));
        let others = routing.plugins.unwrap().others;
        assert_eq!(others.into_keys().collect::<Vec<_>>(), ["other/router"]);
    }
}
