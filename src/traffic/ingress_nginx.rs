//! Canary by a second Ingress with the annotations of ingress-nginx (Traefik 3.7 reads them, too).
//!
//! The user's Ingress is never changed. Not here: when a header route is live (`rollout::decide::header_routes`).

pub mod headers;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Desired, HeaderRoutes, Observed};
use crate::{
    api::{names::Kind, steps::SetHeaderRoute, template_hash, traffic_routing::NginxRouting},
    rollout::{
        decision::{Action, Target},
        snapshot::{IngressView, Snapshot},
    },
};

/// The older way to name an Ingress class.
const CLASS: &str = "kubernetes.io/ingress.class";
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// The router with what it needs of the spec.
#[derive(Clone, Copy, Debug)]
pub struct IngressNginx<'a> {
    /// `trafficRouting.nginx`.
    pub routing: &'a NginxRouting,
    /// `stableService`.
    pub stable_service: &'a str,
    /// `canaryService`.
    pub canary_service: &'a str,
}

/// The name of the Ingress made for a stable Ingress: as Argo Rollouts names it, cut to what a name may have.
pub fn canary_ingress_name(rollout: &str, stable_ingress: &str) -> String {
    const SUFFIX: &str = "-canary";
    let mut name = format!("{rollout}-{stable_ingress}");
    name.truncate(MAX_NAME - SUFFIX.len());
    name + SUFFIX
}

impl IngressNginx<'_> {
    pub(super) fn observe(&self, snapshot: &Snapshot, rest_is_harmless: bool) -> Observed {
        let mut observed = Observed {
            lowest: i32::MAX,
            ..Observed::default()
        };
        for stable in self.routing.ingresses() {
            if !snapshot.ingresses.contains_key(stable) {
                observed.missing.push(format!("Ingress {stable}"));
            }
            let name = canary_ingress_name(&snapshot.rollout.name, stable);
            let ingress = snapshot.ingresses.get(&name);
            let weight = ingress.map_or(0, |ingress| self.live_weight(ingress));
            observed.lowest = observed.lowest.min(weight);
            observed.highest = observed.highest.max(weight);
            let harmless = self.declares_rules() && rest_is_harmless;
            let by_header = ingress.is_some_and(|ingress| self.picks(ingress)) && !harmless;
            observed.by_header |= by_header;
            if weight > 0 || by_header {
                observed.routes.push(format!("ingress/{name}"));
            }
            if let Some(by) = ingress.and_then(|ingress| ingress.annotations_written_by.clone()) {
                observed.written_by = Some(by);
            }
        }
        observed.lowest = observed.lowest.min(observed.highest);
        observed
    }

    /// Whether the user declared rules by header or cookie for all times.
    pub(super) fn declares_rules(&self) -> bool {
        let rule = self.rule();
        let routing = self.routing;
        let mut additional = routing.additional_ingress_annotations.keys();
        additional.any(|key| key.starts_with(headers::RULE))
            || routing
                .canary_ingress_annotations
                .keys()
                .any(|key| key.starts_with(&rule))
    }

    /// What keys of annotations that pick requests begin with.
    fn rule(&self) -> String {
        format!("{}/{}", self.routing.prefix(), headers::RULE)
    }

    fn annotation<'i>(&self, ingress: &'i IngressView, name: &str) -> Option<&'i str> {
        let annotations = ingress.object.pointer("/metadata/annotations")?;
        annotations
            .get(format!("{}/{name}", self.routing.prefix()))?
            .as_str()
    }

    /// Whether requests are picked by a header or a cookie.
    fn picks(&self, ingress: &IngressView) -> bool {
        let rule = self.rule();
        let annotations = ingress.object.pointer("/metadata/annotations");
        let mut keys = annotations
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys);
        self.annotation(ingress, "canary") == Some("true") && keys.any(|key| key.starts_with(&rule))
    }

    /// The header route that is live.
    fn live_route(&self, ingress: &IngressView) -> BTreeMap<&'static str, String> {
        let live = headers::KEYS.into_iter().filter_map(|key| {
            let value = self.annotation(ingress, key)?;
            Some((key, value.to_owned()))
        });
        live.collect()
    }

    pub(super) fn header_routes_are(
        &self,
        snapshot: &Snapshot,
        routes: &[&SetHeaderRoute],
    ) -> bool {
        if self.declares_rules() {
            // `validate` has refused to have both.
            return routes.is_empty();
        }
        let wanted = match routes.first().map(|route| headers::annotations(route)) {
            None => BTreeMap::new(),
            Some(Ok(wanted)) => wanted,
            Some(Err(_)) => return false,
        };
        self.routing.ingresses().iter().all(|stable| {
            let name = canary_ingress_name(&snapshot.rollout.name, stable);
            let ingress = snapshot.ingresses.get(&name);
            ingress.map_or(BTreeMap::new(), |live| self.live_route(live)) == wanted
        })
    }

    /// The weight as the proxy reads it.
    fn live_weight(&self, ingress: &IngressView) -> i32 {
        if self.annotation(ingress, "canary") != Some("true") {
            return 0;
        }
        self.annotation(ingress, "canary-weight")
            .and_then(|weight| weight.parse().ok())
            .unwrap_or(0)
            .max(0)
    }

    pub(super) fn render(
        &self,
        snapshot: &Snapshot,
        wanted: &Desired<'_>,
    ) -> Result<Vec<Action>, String> {
        let mut actions = Vec::new();
        for stable_name in self.routing.ingresses() {
            // A missing stable Ingress is told as a missing reference; a canary Ingress that exists must still be brought down.
            let stable = snapshot.ingresses.get(stable_name);
            let name = canary_ingress_name(&snapshot.rollout.name, stable_name);
            let live = snapshot.ingresses.get(&name);
            let annotations = self.annotations(wanted, live)?;
            let desired =
                match stable.map(|stable| self.desired(snapshot, stable, &name, &annotations)) {
                    Some(Ok(desired)) => Some(desired),
                    // Whatever is wrong with the stable Ingress, weight and header routes can always be taken back.
                    Some(Err(why)) => {
                        let weight = live.map_or(0, |live| self.live_weight(live));
                        let none = wanted.header_routes == HeaderRoutes::Exactly(Vec::new());
                        let picks = live.is_some_and(|live| self.picks(live));
                        if wanted.split.canary >= weight && !(none && picks) {
                            return Err(why);
                        }
                        None
                    }
                    None => None,
                };
            match (live, desired) {
                (Some(live), desired) => {
                    let ours = match &live.controller_uid {
                        Some(uid) => *uid == snapshot.rollout.uid,
                        // Left by a deletion that orphans.
                        None => is_orphan(live, snapshot),
                    };
                    if !ours {
                        return Err(format!(
                            "Ingress {name} exists and does not belong to this Rollout; delete or rename it"
                        ));
                    }
                    let desired = desired.unwrap_or_else(|| self.weight_only(&annotations, live));
                    let prefix = format!("{}/canary", self.routing.prefix());
                    let mut patch = difference(&live.object, &desired, &prefix);
                    if live.controller_uid.is_none()
                        && let Some(owners) = desired.pointer("/metadata/ownerReferences")
                    {
                        let adopting = patch.get_or_insert_with(|| json!({}));
                        adopting["metadata"]["ownerReferences"] = owners.clone();
                    }
                    if let Some(patch) = patch {
                        actions.push(Action::PatchIngress {
                            target: Target {
                                name,
                                uid: String::new(),
                                resource_version: live.resource_version.clone(),
                            },
                            patch,
                        });
                    }
                }
                (None, Some(object)) => actions.push(Action::CreateIngress { name, object }),
                (None, None) => {}
            }
        }
        Ok(actions)
    }

    /// All annotations that are ours, with the header route that is to be live.
    fn annotations(
        &self,
        wanted: &Desired<'_>,
        live: Option<&IngressView>,
    ) -> Result<BTreeMap<String, String>, String> {
        let (prefix, rule) = (self.routing.prefix(), self.rule());
        let mut annotations: BTreeMap<String, String> = self
            .routing
            .additional_ingress_annotations
            .iter()
            .map(|(key, value)| (format!("{prefix}/{key}"), value.clone()))
            .chain(self.routing.canary_ingress_annotations.clone())
            .filter(|(key, _)| wanted.declared_rules || !key.starts_with(&rule))
            .collect();
        let route = match &wanted.header_routes {
            HeaderRoutes::Exactly(routes) => match &routes[..] {
                [] => BTreeMap::new(),
                [route] => headers::annotations(route)?,
                [first, second, ..] => {
                    return Err(format!(
                        "ingress-nginx knows one header route at a time; remove {} before {} begins",
                        first.name, second.name
                    ));
                }
            },
            HeaderRoutes::Keep if self.declares_rules() => BTreeMap::new(),
            HeaderRoutes::Keep => live.map_or(BTreeMap::new(), |live| self.live_route(live)),
        };
        annotations.extend(
            route
                .into_iter()
                .map(|(key, value)| (format!("{prefix}/{key}"), value)),
        );
        let split = wanted.split;
        annotations.insert(format!("{prefix}/canary"), "true".to_owned());
        annotations.insert(format!("{prefix}/canary-weight"), split.canary.to_string());
        if split.max != 100 {
            annotations.insert(
                format!("{prefix}/canary-weight-total"),
                split.max.to_string(),
            );
        }
        Ok(annotations)
    }

    /// The weight and the rules that pick requests, of an Ingress that is else left as it is.
    fn weight_only(&self, annotations: &BTreeMap<String, String>, live: &IngressView) -> Value {
        let rule = self.rule();
        let weight = format!("{}/canary-weight", self.routing.prefix());
        let mut written: Map<String, Value> = annotations
            .iter()
            .filter(|(key, _)| **key == weight || key.starts_with(&rule))
            .map(|(key, value)| (key.clone(), value.as_str().into()))
            .collect();
        let live = live.object.pointer("/metadata/annotations");
        for key in live
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
        {
            if key.starts_with(&rule) && !annotations.contains_key(key) {
                written.insert(key.clone(), Value::Null);
            }
        }
        json!({"metadata": {"annotations": written}})
    }

    fn desired(
        &self,
        snapshot: &Snapshot,
        stable: &IngressView,
        name: &str,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Value, String> {
        let rules = self.rules(stable);
        if rules.is_empty() {
            return Err(format!(
                "Ingress {} has no rule with a path to Service {}; trafficRouting.nginx needs one",
                stable.name, self.stable_service
            ));
        }
        let mut spec = Map::new();
        for field in ["ingressClassName", "tls"] {
            if let Some(value) = stable.object.pointer(&format!("/spec/{field}")) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
        spec.insert("rules".to_owned(), rules.into());
        let mut annotations = annotations.clone();
        if let Some(class) = stable
            .object
            .pointer("/metadata/annotations")
            .and_then(|all| all.get(CLASS))
            .and_then(Value::as_str)
        {
            annotations.insert(CLASS.to_owned(), class.to_owned());
        }
        annotations.insert(snapshot.names.role.clone(), "canary".to_owned());
        Ok(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": name,
                "namespace": snapshot.rollout.namespace,
                "labels": { (snapshot.names.managed_by_rollout.clone()): snapshot.rollout.name },
                "annotations": annotations,
                "ownerReferences": [{
                    "apiVersion": snapshot.names.api_version(),
                    "kind": Kind::Rollout.name(),
                    "name": snapshot.rollout.name,
                    "uid": snapshot.rollout.uid,
                    "controller": true,
                    "blockOwnerDeletion": false,
                }],
            },
            "spec": spec,
        }))
    }

    /// Only the paths to the stable Service, with the canary Service behind them.
    fn rules(&self, stable: &IngressView) -> Vec<Value> {
        let rules = stable
            .object
            .pointer("/spec/rules")
            .and_then(Value::as_array);
        rules
            .into_iter()
            .flatten()
            .filter_map(|rule| {
                let paths: Vec<Value> = rule
                    .pointer("/http/paths")?
                    .as_array()?
                    .iter()
                    .filter(|path| {
                        path.pointer("/backend/service/name")
                            .and_then(Value::as_str)
                            == Some(self.stable_service)
                    })
                    .cloned()
                    .map(|mut path| {
                        if let Some(name) = path.pointer_mut("/backend/service/name") {
                            *name = self.canary_service.into();
                        }
                        path
                    })
                    .collect();
                if paths.is_empty() {
                    return None;
                }
                let mut rule = rule.clone();
                *rule.pointer_mut("/http/paths")? = paths.into();
                Some(rule)
            })
            .collect()
    }
}

/// An Ingress that nobody controls and that carries this Rollout's mark.
fn is_orphan(ingress: &IngressView, snapshot: &Snapshot) -> bool {
    let labels = ingress.object.pointer("/metadata/labels");
    let marked = labels.and_then(|labels| labels.get(&snapshot.names.managed_by_rollout)?.as_str());
    marked == Some(&snapshot.rollout.name)
}

/// A merge patch from `live` to `desired`, over annotations, labels and spec; `None` when there is nothing to change.
/// Annotations of `live` that begin with `own` and are not desired go: they are routing rules. A `desired` without a
/// spec changes the weight only, and lets everything else be.
fn difference(live: &Value, desired: &Value, own: &str) -> Option<Value> {
    let mut patch = Map::new();
    let mut metadata = Map::new();
    for field in ["annotations", "labels"] {
        let mut changed: Map<String, Value> = desired
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(key, value)| {
                live.pointer(&format!("/metadata/{field}"))
                    .and_then(|all| all.get(*key))
                    != Some(value)
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if field == "annotations" && desired.get("spec").is_some() {
            let all = live.pointer("/metadata/annotations");
            let stale = all
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter(|(key, _)| key.starts_with(own))
                .filter(|(key, _)| desired["metadata"]["annotations"].get(*key).is_none());
            changed.extend(stale.map(|(key, _)| (key.clone(), Value::Null)));
        }
        if !changed.is_empty() {
            metadata.insert(field.to_owned(), changed.into());
        }
    }
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), metadata.into());
    }
    if let Some(spec) = desired.get("spec")
        && live.get("spec").map(template_hash::hash) != Some(template_hash::hash(spec))
    {
        patch.insert("spec".to_owned(), spec.clone());
    }
    (!patch.is_empty()).then(|| patch.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_before_the_suffix() {
        let name = canary_ingress_name(&"r".repeat(200), &"i".repeat(200));
        assert_eq!((name.len(), name.ends_with("i-canary")), (MAX_NAME, true));
    }

    #[test]
    fn only_what_differs_is_patched() {
        let live = json!({"metadata": {"annotations": {"a": "1", "b": "2", "n/canary-x": "3"}}, "spec": {"rules": [1]}});
        let rest = json!({"metadata": {"annotations": {"n/canary-x": null}}});
        for (what, desired, expected) in [
            (
                "nothing",
                json!({"metadata": {"annotations": {"a": "1", "n/canary-x": "3"}}, "spec": {"rules": [1]}}),
                None,
            ),
            (
                "an annotation",
                json!({"metadata": {"annotations": {"a": "5", "n/canary-x": "3"}}, "spec": {"rules": [1]}}),
                Some(json!({"metadata": {"annotations": {"a": "5"}}})),
            ),
            (
                "the spec",
                json!({"metadata": {"annotations": {"n/canary-x": "3"}}, "spec": {"rules": [2]}}),
                Some(json!({"spec": {"rules": [2]}})),
            ),
            (
                "a rule of another kind",
                json!({"metadata": {"annotations": {"a": "1"}}, "spec": {"rules": [1]}}),
                Some(rest),
            ),
            (
                "the weight only",
                json!({"metadata": {"annotations": {"a": "0"}}}),
                Some(json!({"metadata": {"annotations": {"a": "0"}}})),
            ),
        ] {
            assert_eq!(difference(&live, &desired, "n/canary"), expected, "{what}");
        }
    }
}
