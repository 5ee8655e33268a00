//! The manifests that a simulation is made of: read from YAML, completed by what can be made up.
//!
//! Both API groups are read; the simulation plays in ours. Not here: whether the server would take them (`sim::server`).

use serde_json::{Value, json};

use super::SimulateError;
use crate::{
    api::{
        names::{ARGO_GROUP, ApiNames, Conventions, Kind},
        rollout::RolloutSpec,
        strategy::Declared,
    },
    sim::resources,
};

/// Objects that are of no use without a namespace get this one.
const NAMESPACE: &str = "default";

/// What the simulated requests cost is not known: nothing is scaled by it.
const AUTOSCALER: &str = "HorizontalPodAutoscaler";

/// What is applied before the simulation begins.
#[derive(Clone, Debug)]
pub struct Manifests {
    /// The Rollout.
    pub(super) rollout: Value,
    /// All other objects.
    pub(super) others: Vec<Value>,
    /// Whether the Rollout is one of Argo Rollouts.
    pub(super) from_argo: bool,
    /// What was made up or left out, in sentences.
    pub(super) notes: Vec<String>,
}

/// Text of one file and its name.
#[derive(Clone, Debug)]
pub struct File {
    /// As it was given.
    pub name: String,
    /// YAML: one or more documents.
    pub text: String,
}

/// Whether the simulated cluster, in which our own group is served, knows the kind.
fn is_modelled(api_version: &str, kind: &str) -> bool {
    resources::of_kind(Conventions::Tidegate, api_version, kind).is_some()
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl Manifests {
    /// Reads files.
    pub fn read(files: &[File]) -> Result<Self, SimulateError> {
        let mut objects = Vec::new();
        for file in files {
            let documents = serde_saphyr::from_multiple::<Value>(&file.text).map_err(|error| {
                SimulateError::Unreadable {
                    file: file.name.clone(),
                    why: error.to_string(),
                }
            })?;
            for document in documents {
                match document.get("items").and_then(Value::as_array) {
                    Some(items) if text(&document, "/kind").ends_with("List") => {
                        objects.extend(items.iter().cloned());
                    }
                    Some(_) | None if document.is_null() => {}
                    Some(_) | None => objects.push(document),
                }
            }
        }
        let mut notes = Vec::new();
        let (mut rollouts, mut others) = (Vec::new(), Vec::new());
        let mut from_argo = false;
        for mut object in objects {
            from_argo |= to_our_group(&mut object);
            let (api_version, kind) = (
                text(&object, "/apiVersion").to_owned(),
                text(&object, "/kind").to_owned(),
            );
            if kind.is_empty() || api_version.is_empty() {
                let why = "a document has no apiVersion or no kind".to_owned();
                let file = files.iter().map(|file| file.name.as_str());
                return Err(SimulateError::Unreadable {
                    file: file.collect::<Vec<_>>().join(", "),
                    why,
                });
            }
            if kind == Kind::Rollout.name() && api_version == ApiNames::default().api_version() {
                rollouts.push(object);
            } else if kind != AUTOSCALER && is_modelled(&api_version, &kind) {
                others.push(object);
            } else {
                let name = text(&object, "/metadata/name");
                notes.push(format!("{kind} {name} has no part in the simulation"));
            }
        }
        let count = rollouts.len();
        let Some(rollout) = rollouts.pop().filter(|_| count == 1) else {
            return Err(SimulateError::NotOneRollout(count));
        };
        let mut manifests = Self {
            rollout,
            others,
            from_argo,
            notes,
        };
        manifests.complete();
        Ok(manifests)
    }

    /// The Rollout's name.
    pub fn name(&self) -> &str {
        text(&self.rollout, "/metadata/name")
    }

    /// The namespace that everything is in.
    pub(super) fn namespace(&self) -> &str {
        match text(&self.rollout, "/metadata/namespace") {
            "" => NAMESPACE,
            namespace => namespace,
        }
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.others
            .iter()
            .any(|object| text(object, "/kind") == kind && text(object, "/metadata/name") == name)
    }

    /// Makes up Services and routes that the Rollout names and that are in no file: how they look follows from their part.
    fn complete(&mut self) {
        let spec = self.rollout.get("spec").cloned().unwrap_or_default();
        let Ok(spec) = serde_json::from_value::<RolloutSpec>(spec) else {
            // The server refuses it, with the reason.
            return;
        };
        let selector = self.rollout.pointer("/spec/selector/matchLabels").cloned();
        let selector = selector.unwrap_or_else(|| json!({"app": self.name()}));
        let Some(strategy) = spec.strategy.declared() else {
            return;
        };
        for (_, name) in strategy.services() {
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"type": "ClusterIP", "selector": selector, "ports": [{"port": 80}]},
            });
            self.make_up("Service", name, service);
        }
        let Declared::Canary(canary) = strategy else {
            return;
        };
        let (Some(routing), Some(stable), Some(new)) = (
            &canary.traffic_routing,
            &canary.stable_service,
            &canary.canary_service,
        ) else {
            return;
        };
        for name in routing
            .nginx
            .as_ref()
            .map(|nginx| nginx.ingresses())
            .unwrap_or_default()
        {
            let backend = json!({"service": {"name": stable, "port": {"number": 80}}});
            let ingress = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
                "spec": {"ingressClassName": "nginx", "rules": [{"http": {
                    "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}],
                }}]},
            });
            self.make_up("Ingress", name, ingress);
        }
        for target in routing.routes() {
            let backends = json!([
                {"name": stable, "port": 80, "weight": 1}, {"name": new, "port": 80, "weight": 0},
            ]);
            let route = json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": target.kind.name(),
                "metadata": {"name": target.name},
                "spec": {"rules": [{"backendRefs": backends}]},
            });
            self.make_up(target.kind.name(), target.name, route);
        }
    }

    fn make_up(&mut self, kind: &str, name: &str, object: Value) {
        if !self.has(kind, name) {
            self.others.push(object);
            self.notes.push(format!(
                "{kind} {name} is in no file; an ordinary one is assumed"
            ));
        }
    }
}

/// Whether it was of the other group.
fn to_our_group(object: &mut Value) -> bool {
    let version = text(object, "/apiVersion");
    let Some((ARGO_GROUP, version)) = version.split_once('/') else {
        return false;
    };
    let group = ApiNames::default().group;
    object["apiVersion"] = json!(format!("{group}/{version}"));
    true
}
