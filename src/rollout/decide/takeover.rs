//! Objects that Argo Rollouts has left: what its status means here, and which ReplicaSet is the declared version.
//!
//! Its hashes are not ours, so a version is told by its pod template: as the API server stores the declared one, without
//! creating anything, beside those of the ReplicaSets that are there. Not here: how that is asked (`rollout::recognise`).

use serde_json::Value;

use super::{replica_set, revisions};
use crate::{
    api::{
        conditions::{self, ConditionStatus, ConditionType},
        names::{ApiNames, Conventions},
        rollout::RolloutSpec,
        rollout_status::RolloutStatus,
        strategy::Declared,
    },
    rollout::{
        decision::{Action, Target},
        snapshot::Snapshot,
    },
};

/// Reads a status that Argo Rollouts wrote last: the update goes on where it stands.
pub(super) fn read(status: &mut RolloutStatus, names: &ApiNames, strategy: Declared<'_>) {
    // Its controller knows no revision in the status; ours writes it in every pass.
    let is_theirs = status.revision.is_none() && !status.stable_rs.is_empty();
    if names.conventions != Conventions::ArgoRollouts || !is_theirs {
        return;
    }
    // Another way of hashing is no other list of steps.
    status.current_step_hash = revisions::step_hash(strategy);
    let completed = conditions::find(&status.conditions, ConditionType::Completed).is_some();
    let healthy = conditions::holds(&status.conditions, ConditionType::Healthy);
    if !completed && healthy && status.current_pod_hash == status.stable_rs {
        // Before it had this condition, a healthy Rollout said the same.
        let now = conditions::find(&status.conditions, ConditionType::Healthy)
            .and_then(|healthy| healthy.last_transition_time)
            .unwrap_or_default();
        conditions::set(
            &mut status.conditions,
            ConditionType::Completed,
            ConditionStatus::True,
            "RolloutCompleted",
            "",
            status.observed_generation,
            now,
        );
    }
}

/// Asks which ReplicaSet has the declared pod template, where no hash tells it.
pub(super) fn recognise(snapshot: &Snapshot, spec: &RolloutSpec) -> Option<Action> {
    match snapshot.names.conventions {
        Conventions::Tidegate => return None,
        Conventions::ArgoRollouts => {}
    }
    // The workload that has the pod template may be out of sight.
    spec.template.as_ref()?;
    let hash = revisions::pod_template_hash(spec, &snapshot.rollout.status);
    let live = || snapshot.replica_sets.iter().filter(|set| !set.deleting);
    let known = live().any(|set| {
        set.pod_template_hash == hash || set.declared_hash.as_deref() == Some(hash.as_str())
    });
    let asked = snapshot.compared.as_deref() == Some(hash.as_str());
    if known || asked || snapshot.refusal.is_some() || live().next().is_none() {
        return None;
    }
    let mut candidates: Vec<_> = live().collect();
    // What serves is asked first: of equal templates it is the one to keep.
    candidates.sort_by_key(|set| (std::cmp::Reverse(set.revision), set.name.clone()));
    Some(Action::RecogniseReplicaSet {
        object: replica_set::unnamed(snapshot, spec),
        hash,
        candidates: candidates
            .into_iter()
            .map(|set| Target {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            })
            .collect(),
    })
}

/// Whether `stored`, a ReplicaSet, has the pod template of `defaulted`, one that the API server would store now. What a
/// controller puts into a template beside what was declared does not count.
pub fn same_template(defaulted: &Value, stored: &Value, names: &ApiNames) -> bool {
    let declared = |set: &Value| {
        let mut template = set.pointer("/spec/template").cloned().unwrap_or_default();
        remove(&mut template, "labels", &names.pod_template_hash);
        if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("creationTimestamp");
        }
        template
    };
    let expected = declared(defaulted);
    let mut found = declared(stored);
    let ephemeral = stored
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(&names.ephemeral_metadata))
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    for part in ["labels", "annotations"] {
        let keys = ephemeral
            .as_ref()
            .and_then(|metadata| metadata[part].as_object());
        for key in keys.into_iter().flatten().map(|(key, _)| key) {
            // A declared label of the same name was overlaid, and comes back from the declared template.
            let own = expected.pointer(&format!("/metadata/{part}"));
            match own.and_then(|own| own.get(key)) {
                Some(value) => found["metadata"][part][key.as_str()] = value.clone(),
                None => remove(&mut found, part, key),
            }
        }
    }
    remove_injected_anti_affinity(&mut found, names);
    without_empty(&expected) == without_empty(&found)
}

fn remove(template: &mut Value, part: &str, key: &str) {
    if let Some(all) = template
        .pointer_mut(&format!("/metadata/{part}"))
        .and_then(Value::as_object_mut)
    {
        all.remove(key);
    }
}

/// Terms that select by the hash label are a controller's.
fn remove_injected_anti_affinity(template: &mut Value, names: &ApiNames) {
    let Some(anti) = template.pointer_mut("/spec/affinity/podAntiAffinity") else {
        return;
    };
    for list in [
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    ] {
        if let Some(terms) = anti.get_mut(list).and_then(Value::as_array_mut) {
            let by_hash = format!("\"{}\"", names.pod_template_hash);
            terms.retain(|term| !term.to_string().contains(&by_hash));
        }
    }
}

/// Empty maps and lists say the same as none.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), without_empty(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(change: &Value) -> Value {
        let mut set = json!({
            "metadata": {"annotations": {}},
            "spec": {"template": {
                "metadata": {"labels": {"app": "demo"}},
                "spec": {"containers": [{"name": "main", "image": "demo:v1", "terminationMessagePath": "/dev/termination-log"}]},
            }},
        });
        json_patch::merge(&mut set, change);
        set
    }

    #[test]
    fn a_template_is_recognised_by_what_was_declared() {
        let names = ApiNames::argo_rollouts();
        let expected = set(&json!({}));
        let in_template = |template: Value| json!({"spec": {"template": template}});
        let injected = json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchExpressions": [
                {"key": "rollouts-pod-template-hash", "operator": "In", "values": ["abc"]}]}}]}}}});
        let ephemeral = json!({
            "metadata": {"annotations": {(names.ephemeral_metadata.clone()): r#"{"labels":{"role":"canary","app":"demo"}}"#}},
            "spec": {"template": {"metadata": {"labels": {"role": "canary", "app": "overlaid"}}}},
        });
        for (what, change, same) in [
            ("itself", json!({}), true),
            (
                "the label of its hash",
                in_template(
                    json!({"metadata": {"labels": {"rollouts-pod-template-hash": "abc"}, "creationTimestamp": null}}),
                ),
                true,
            ),
            ("metadata for a while", ephemeral, true),
            ("affinity of the controller", in_template(injected), true),
            (
                "an empty field",
                in_template(json!({"spec": {"volumes": []}})),
                true,
            ),
            (
                "another image",
                in_template(
                    json!({"spec": {"containers": [{"name": "main", "image": "demo:v2"}]}}),
                ),
                false,
            ),
            (
                "another label",
                in_template(json!({"metadata": {"labels": {"tier": "web"}}})),
                false,
            ),
        ] {
            assert_eq!(
                same_template(&expected, &set(&change), &names),
                same,
                "{what}"
            );
        }
    }
}
