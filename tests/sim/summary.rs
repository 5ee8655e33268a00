//! What a run comes to: its end state without what differs by nature, and how often the controller did what.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use tidegate::{
    api::names::is_hash_label,
    sim::store::{By, Change, Store},
};

const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

/// The version that a Service selects.
fn selects(service: Option<&Value>) -> Value {
    let selector = service.and_then(|service| service["spec"]["selector"].as_object());
    let hash = selector
        .into_iter()
        .flatten()
        .find(|(label, _)| is_hash_label(label));
    hash.map_or(Value::Null, |(_, hash)| hash.clone())
}

/// What the controller did to each object, in order: created, deleted, selectors, weights and sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) BTreeMap<String, Vec<String>>);

impl Counts {
    pub(super) fn count(&mut self, change: &Change) {
        if change.by != By::Controller || matches!(change.key.plural, "events" | "leases") {
            return;
        }
        let after = change.after();
        let shown = |object: Option<&Value>, pointer: [&str; 3]| {
            object.map_or(Value::Null, |object| {
                object[pointer[0]][pointer[1]][pointer[2]].clone()
            })
        };
        let mut done = Vec::new();
        if change.before.is_none() {
            done.push("created".to_owned());
        }
        if change.deleted {
            done.push("deleted".to_owned());
        } else {
            let before = change.before.as_deref();
            let replicas = |object: Option<&Value>| {
                object.map_or(Value::Null, |object| object["spec"]["replicas"].clone())
            };
            let weights = |object: Option<&Value>| {
                let backends =
                    object.and_then(|object| object.pointer("/spec/rules/0/backendRefs"));
                let backends = backends.and_then(Value::as_array);
                backends.map_or(Value::Null, |all| {
                    all.iter().map(|one| one["weight"].clone()).collect()
                })
            };
            let facts = [
                ("selects", selects(before), selects(after), "services"),
                (
                    "weight",
                    shown(before, ["metadata", "annotations", WEIGHT]),
                    shown(after, ["metadata", "annotations", WEIGHT]),
                    "ingresses",
                ),
                ("replicas", replicas(before), replicas(after), "replicasets"),
                ("weights", weights(before), weights(after), "httproutes"),
            ];
            for (what, before, after, plural) in facts {
                if plural == change.key.plural && before != after {
                    done.push(format!("{what} {after}"));
                }
            }
        }
        if !done.is_empty() {
            self.0
                .entry(change.key.to_string())
                .or_default()
                .extend(done);
        }
    }

    /// The lines in which two differ.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let keys = self.0.keys().chain(other.0.keys());
        let mut lines: Vec<String> = keys
            .filter(|key| self.0.get(*key) != other.0.get(*key))
            .map(|key| {
                format!(
                    "{key}: {:?} instead of {:?}",
                    other.0.get(key),
                    self.0.get(key)
                )
            })
            .collect();
        lines.sort();
        lines.dedup();
        lines
    }
}

/// The objects at the end, without what differs by nature: uids, versions, times, generated names.
pub(super) fn end_state(store: &Store) -> BTreeMap<String, Value> {
    store
        .all()
        .filter(|(key, _)| !matches!(key.plural, "events" | "leases" | "pods"))
        .map(|(key, object)| {
            let mut object = object.clone();
            if key.plural == "endpointslices" {
                let ready = object["endpoints"].as_array().map_or(0, |all| {
                    all.iter()
                        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
                        .count()
                });
                object["endpoints"] = json!(ready);
            }
            if key.plural != "rollouts"
                && let Some(metadata) = object["metadata"].as_object_mut()
            {
                metadata.remove("generation");
                object["status"]
                    .as_object_mut()
                    .map(|status| status.remove("observedGeneration"));
            }
            if let Some(ledger) = object["status"]
                .get_mut("ledger")
                .and_then(Value::as_array_mut)
            {
                // Of a version that nothing leads to the ledger says no more than if it had no entry, or that it was stable once.
                ledger.retain(|entry| {
                    entry["unroutedSince"].is_null() || entry["wasStable"] == json!(true)
                });
                for entry in ledger.iter_mut().filter_map(Value::as_object_mut) {
                    entry.remove("unroutedSince");
                }
                if ledger.is_empty() {
                    object["status"]["ledger"].take();
                }
            }
            mask(&mut object);
            (key.to_string(), object)
        })
        .collect()
}

/// Of an end state what everything comes down to: who serves, with how many pods, and what it is called.
///
/// How far an analysis of a version that was given up had come depends on times.
pub(super) fn essence(end: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    const OF_STATUS: [&str; 6] = [
        "phase",
        "stableRS",
        "currentPodHash",
        "abort",
        "currentStepIndex",
        "canary.weights",
    ];
    let told = |key: &str, object: &Value| match key.split('/').next() {
        Some("rollouts") => {
            let fields = OF_STATUS.map(|field| {
                let pointer = format!("/status/{}", field.replace('.', "/"));
                let mut value = object.pointer(&pointer).cloned().unwrap_or_default();
                if let Some(weights) = value.as_object_mut() {
                    weights.remove("changedAt");
                }
                (field.to_owned(), value)
            });
            Some(Value::Object(fields.into_iter().collect()))
        }
        Some("replicasets") => Some(object["spec"]["replicas"].clone()),
        Some("services") => Some(object["spec"]["selector"].clone()),
        Some("httproutes") => Some(object["spec"].clone()),
        Some("deployments") => Some(object["spec"]["replicas"].clone()),
        Some("ingresses") => Some(object["metadata"]["annotations"].clone()),
        Some("endpointslices") => Some(object["endpoints"].clone()),
        Some(_) | None => None,
    };
    end.iter()
        .filter_map(|(key, object)| Some((key.clone(), told(key, object)?)))
        .collect()
}

fn mask(value: &mut Value) {
    const MASKED: [&str; 6] = [
        "uid",
        "resourceVersion",
        "managedFields",
        "generation",
        // Times, too; absent when they are zero.
        "waitedSeconds",
        "totalManualPauseDurationSeconds",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !MASKED.contains(&name.as_str()));
            fields.values_mut().for_each(mask);
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => *value = json!("a time"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The places at which two end states differ.
pub(super) fn differences(
    expected: &BTreeMap<String, Value>,
    found: &BTreeMap<String, Value>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let keys: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let null = Value::Null;
        compare(
            expected.get(key).unwrap_or(&null),
            found.get(key).unwrap_or(&null),
            key,
            &mut lines,
        );
    }
    lines
}

fn compare(expected: &Value, found: &Value, path: &str, lines: &mut Vec<String>) {
    if expected == found {
        return;
    }
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<&String> =
                one.keys().chain(other.keys()).collect();
            for name in names {
                compare(
                    &expected[name],
                    &found[name],
                    &format!("{path}.{name}"),
                    lines,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(one, other, &format!("{path}[{index}]"), lines);
            }
        }
        _ => lines.push(format!("{path}: {found} instead of {expected}")),
    }
}
