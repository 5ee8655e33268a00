//! T18: a write to an object of the user changes only what is ours in it.

use serde_json::Value;

use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View, release::all_names, view::owner};

#[derive(Clone)]
pub(super) struct Fields;

impl Monitor for Fields {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        let (Some(before), Some(after)) = (&change.before, change.after()) else {
            return;
        };
        let shared = matches!(
            change.key.plural,
            "services" | "ingresses" | "httproutes" | "deployments"
        );
        let ours = owner(before, "Rollout").is_some()
            || owner(before, "Experiment").is_some()
            || is_left_canary(change.key.plural, before);
        if change.by != By::Controller || !shared || ours {
            return;
        }
        let (was, is) = (
            others(change.key.plural, before),
            others(change.key.plural, after),
        );
        told.check("T18", was == is, || {
            format!(
                "a field of the user is changed: {}",
                difference(&was, &is, String::new())
            )
        });
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}

/// Whether it is a canary Ingress of a Rollout that was deleted and has left it.
fn is_left_canary(plural: &str, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let marked = all_names()
        .iter()
        .any(|names| !metadata["labels"][&names.managed_by_rollout].is_null());
    plural == "ingresses"
        && marked
        && metadata["annotations"]["nginx.ingress.kubernetes.io/canary"] == "true"
}

/// The object without what is ours, or the server's.
fn others(plural: &str, object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["resourceVersion", "generation", "managedFields"] {
            metadata.remove(field);
        }
    }
    for names in all_names() {
        remove(
            &mut object,
            &["metadata", "labels"],
            &names.managed_by_rollout,
        );
        for key in [
            Some(&names.role),
            Some(&names.weights_at_rest),
            Some(&names.replicas_at_rest),
            names.managed_by.as_ref(),
        ]
        .into_iter()
        .flatten()
        {
            remove(&mut object, &["metadata", "annotations"], key);
        }
        if plural == "services" {
            remove(&mut object, &["spec", "selector"], &names.pod_template_hash);
        }
    }
    match plural {
        "deployments" => {
            remove(&mut object, &["spec"], "replicas");
        }
        "httproutes" => rules(&mut object),
        _ => {}
    }
    for field in ["labels", "annotations"] {
        let metadata = &mut object["metadata"];
        if metadata[field]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
            && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.remove(field);
        }
    }
    object
}

fn remove(object: &mut Value, path: &[&str], key: &str) {
    let mut place = object;
    for field in path {
        match place.get_mut(*field) {
            Some(next) => place = next,
            None => return,
        }
    }
    if let Some(fields) = place.as_object_mut() {
        fields.remove(key);
    }
}

/// Weights are ours where a rule splits between two Services; rules for headers that send to one alone may be ours.
fn rules(route: &mut Value) {
    let Some(rules) = route["spec"]["rules"].as_array_mut() else {
        return;
    };
    rules.retain(|rule| {
        let headers = rule["matches"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one["headers"].is_array()));
        let alone = rule["backendRefs"]
            .as_array()
            .is_some_and(|all| all.len() == 1);
        !(headers && alone)
    });
    for rule in rules {
        let backends = rule["backendRefs"].as_array_mut();
        for backend in backends.into_iter().flatten() {
            if let Some(backend) = backend.as_object_mut() {
                backend.remove("weight");
            }
        }
    }
}

fn difference(was: &Value, is: &Value, path: String) -> String {
    if let (Some(one), Some(other)) = (was.as_object(), is.as_object()) {
        let names = one.keys().chain(other.keys());
        for name in names {
            if was[name] != is[name] {
                return difference(&was[name], &is[name], format!("{path}.{name}"));
            }
        }
    }
    format!("{path} from {was} to {is}")
}
