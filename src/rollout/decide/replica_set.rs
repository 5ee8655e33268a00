//! The ReplicaSet of the new version: its name, its content, and its revision number.
//!
//! The pod template is not checked here: the API server does that when the ReplicaSet is created.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    anti_affinity, ephemeral_metadata,
    pass::{Mode, Pass},
    rollback_window,
};
use crate::{
    api::{
        conditions::{self, ConditionType},
        merge_patch,
        names::{ApiNames, Kind},
        rollout::RolloutSpec,
    },
    rollout::{
        decision::{Action, Target},
        snapshot::{RefusalKind, ReplicaSetView, Snapshot},
    },
};

/// Bytes of a pod template that is kept as it was declared: half of what all annotations of an object may have.
const LONGEST_TEMPLATE: usize = 131_072;

/// Creates the ReplicaSet of the declared pod template, or renews the revision number of one that is used again.
pub(super) fn ensure_new(pass: &mut Pass<'_>) {
    if let Some(new) = pass.revisions.new {
        let revision = pass.status.revision.unwrap_or(new.revision);
        if new.revision != revision && !rollback_window::keeps_number(pass) {
            let annotation = (
                pass.snapshot.names.revision.clone(),
                Some(revision.to_string()),
            );
            patch(pass, new, None, vec![annotation]);
        }
        anti_affinity::keep(pass, new);
        return;
    }
    let name = name(&pass.snapshot.rollout.name, &pass.revisions.new_hash);
    if pass.snapshot.foreign_replica_sets.contains(&name)
        || pass
            .snapshot
            .replica_sets
            .iter()
            .any(|set| set.name == name && set.deleting)
    {
        pass.wait(
            format!("the name {name} to be free: another ReplicaSet has it"),
            None,
        );
        return;
    }
    if let Some(refusal) = &pass.snapshot.refusal {
        // The same template would be refused again; quota may come back, and is asked for again by the shell's backoff.
        match refusal.kind {
            RefusalKind::Invalid => return,
            RefusalKind::Forbidden => {
                let why = format!(
                    "the API server to allow ReplicaSet {name}: {}",
                    refusal.message
                );
                pass.wait(why, None);
            }
        }
    }
    if pass.mode() == Mode::Aborted || pass.spec.template.is_none() {
        return;
    }
    // A first deploy is a forward move; a stable version that somebody deleted comes back also while something is missing.
    let first_deploy = pass.mode() == Mode::Stable && !was_completed(pass);
    if pass.hold.is_some() && (pass.mode() != Mode::Stable || first_deploy) {
        return;
    }
    let replicas =
        if pass.mode() == Mode::Stable && pass.revisions.old.iter().all(|old| old.replicas == 0) {
            pass.replicas()
        } else if pass.router.is_none() && pass.strategy.canary().is_some() {
            // Without a router both versions share the room for pods.
            0
        } else {
            super::pending::bounded(pass, None, super::scale::wanted_new(pass))
        };
    let object = render(pass, &name, replicas);
    pass.actions.push(Action::CreateReplicaSet { name, object });
}

/// Takes over what an orphaning deletion has left, before anything is decided on it: the pods that serve are never
/// taken for nobody's.
pub(super) fn adopt(snapshot: &Snapshot) -> Vec<Action> {
    let orphans = snapshot.replica_sets.iter().filter(|set| set.orphaned);
    orphans
        .map(|set| Action::AdoptReplicaSet {
            target: Target {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            },
            owner: owner_of(snapshot),
        })
        .collect()
}

/// Changes a ReplicaSet. What one pass wants of it goes into one write: a second one would carry a version that the
/// first has made stale.
pub(super) fn patch(
    pass: &mut Pass<'_>,
    set: &ReplicaSetView,
    new_size: Option<i32>,
    mut more: Vec<(String, Option<String>)>,
) {
    if let (Some(key), Some(_)) = (&pass.snapshot.names.desired_replicas, new_size) {
        more.push((key.clone(), Some(pass.replicas().to_string())));
    }
    for action in &mut pass.actions {
        if let Action::PatchReplicaSet {
            target,
            replicas,
            annotations,
            template: _,
        } = action
            && target.name == set.name
        {
            *replicas = new_size.or(*replicas);
            annotations.extend(more);
            return;
        }
    }
    pass.actions.push(Action::PatchReplicaSet {
        target: Target {
            name: set.name.clone(),
            uid: set.uid.clone(),
            resource_version: set.resource_version.clone(),
        },
        replicas: new_size,
        annotations: more,
        template: Value::Null,
    });
}

/// Changes the pod template of a ReplicaSet, in the same write. Its pods stay; new ones are made from it.
pub(super) fn patch_template(pass: &mut Pass<'_>, set: &ReplicaSetView, change: &Value) {
    patch(pass, set, None, Vec::new());
    for action in &mut pass.actions {
        if let Action::PatchReplicaSet {
            target, template, ..
        } = action
            && target.name == set.name
        {
            merge_patch::compose(template, change);
        }
    }
}

fn was_completed(pass: &Pass<'_>) -> bool {
    conditions::holds(
        &pass.snapshot.rollout.status.conditions,
        ConditionType::Completed,
    )
}

/// A ReplicaSet of the declared pod template that is never created: to see how the API server would store it.
pub(super) fn unnamed(snapshot: &Snapshot, spec: &RolloutSpec) -> Value {
    let mut template = spec.template.clone().unwrap_or_default();
    let labels = template.labels();
    if !template.0.is_object() {
        template.0 = json!({});
    }
    template.0["metadata"]["labels"] = json!(labels);
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "generateName": format!("{}-", snapshot.rollout.name),
            "namespace": snapshot.rollout.namespace,
        },
        "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": template },
    })
}

/// `<rollout>-<hash>`.
pub(super) fn name(rollout: &str, hash: &str) -> String {
    format!("{rollout}-{hash}")
}

fn render(pass: &Pass<'_>, name: &str, replicas: i32) -> Value {
    let snapshot = pass.snapshot;
    let names = &snapshot.names;
    let hash = &pass.revisions.new_hash;
    let mut template = pass.spec.template.clone().unwrap_or_default();
    let declared = template.0.to_string();
    let mut labels = template.labels();
    labels.insert(names.pod_template_hash.clone(), hash.clone());
    if !template.0.is_object() {
        template.0 = json!({});
    }
    template.0["metadata"]["labels"] = json!(labels);
    let mut selector = serde_json::to_value(&pass.spec.selector).unwrap_or_else(|_| json!({}));
    if !selector.is_object() {
        selector = json!({});
    }
    selector["matchLabels"][names.pod_template_hash.as_str()] = json!(hash);
    let mut annotations = inherited_annotations(&snapshot.rollout.object, names);
    annotations.insert(
        names.revision.clone(),
        pass.status.revision.unwrap_or(1).to_string(),
    );
    if declared.len() <= LONGEST_TEMPLATE {
        annotations.insert(names.pod_template.clone(), declared);
    }
    annotations.extend(anti_affinity::inject(pass, &mut template.0));
    annotations.extend(ephemeral_metadata::inject(pass, &mut template.0));
    if let Some(key) = &names.desired_replicas {
        annotations.insert(key.clone(), pass.replicas().to_string());
    }
    let mut spec = json!({ "replicas": replicas, "selector": selector, "template": template });
    if pass.spec.min_ready_seconds > 0 {
        spec["minReadySeconds"] = pass.spec.min_ready_seconds.into();
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": snapshot.rollout.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner(pass)],
        },
        "spec": spec,
    })
}

/// The reference to the Rollout as controlling owner. It does not block the Rollout's deletion: that would need a
/// permission on its finalizers.
pub(super) fn owner(pass: &Pass<'_>) -> Value {
    owner_of(pass.snapshot)
}

fn owner_of(snapshot: &Snapshot) -> Value {
    json!({
        "apiVersion": snapshot.names.api_version(),
        "kind": Kind::Rollout.name(),
        "name": snapshot.rollout.name,
        "uid": snapshot.rollout.uid,
        "controller": true,
        "blockOwnerDeletion": false,
    })
}

/// The Rollout's annotations, less those that are about the Rollout object itself.
fn inherited_annotations(rollout: &Value, names: &ApiNames) -> BTreeMap<String, String> {
    rollout
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| {
            *key != "kubectl.kubernetes.io/last-applied-configuration" && !names.is_own(key)
        })
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
