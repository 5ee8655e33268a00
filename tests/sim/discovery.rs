//! Which resources of a group there are: those of the table, and none of other groups, as if their CRDs were not installed.

use http::Method;
use serde_json::{Value, json};

use tidegate::{api::names::Conventions, sim::resources};

/// The answer, if the request asks for the resources of a group.
pub(super) fn answer(api: Conventions, method: &Method, path: &str) -> Option<(u16, String)> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (&Method::GET, ["apis", group, version]) = (method, segments.as_slice()) else {
        return None;
    };
    let resources: Vec<Value> = resources::of_group(api, group, version)
        .map(|resource| {
            json!({
                "name": resource.plural, "singularName": "", "kind": resource.kind, "namespaced": resource.namespaced,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            })
        })
        .collect();
    if resources.is_empty() {
        return Some((404, "404 page not found\n".to_owned()));
    }
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"), "resources": resources,
    });
    Some((200, list.to_string()))
}
