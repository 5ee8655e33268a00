//! Labels and annotations that pods have while their version is new, or stable: first in the ReplicaSet's pod template,
//! then, when its controller has seen that, on the pods that are there. No pod is restarted for it.
//!
//! Not here: how what is remembered changes (`api::ephemeral_metadata`).

use serde_json::{Value, json};

use super::{
    pass::{Mode, Pass},
    replica_set,
    validate::FieldError,
};
use crate::{
    api::{
        canary::PodTemplateMetadata, ephemeral_metadata::EphemeralMetadata, rollout::RolloutSpec,
        strategy::Declared,
    },
    rollout::{
        decision::{Action, Target},
        snapshot::ReplicaSetView,
    },
};

/// Of the new version and of the stable one, with their fields.
fn declared(strategy: Declared<'_>) -> [(&'static str, Option<&PodTemplateMetadata>); 2] {
    match strategy {
        Declared::Canary(canary) => [
            ("canaryMetadata", canary.canary_metadata.as_ref()),
            ("stableMetadata", canary.stable_metadata.as_ref()),
        ],
        Declared::BlueGreen(blue_green) => [
            ("previewMetadata", blue_green.preview_metadata.as_ref()),
            ("activeMetadata", blue_green.active_metadata.as_ref()),
        ],
    }
}

/// What is wrong with it: labels by which pods are found cannot change.
pub(super) fn problems(spec: &RolloutSpec, strategy: Declared<'_>) -> Vec<FieldError> {
    let selector = spec.selector.clone().unwrap_or_default();
    let fixed: Vec<String> = selector
        .match_labels
        .unwrap_or_default()
        .into_keys()
        .chain(
            selector
                .match_expressions
                .unwrap_or_default()
                .into_iter()
                .map(|requirement| requirement.key),
        )
        .collect();
    let all = declared(strategy).into_iter();
    all.filter_map(|(field, metadata)| {
        let key = metadata?.labels.keys().find(|key| fixed.contains(key))?;
        Some(FieldError {
            path: format!("spec.strategy.{}.{field}.labels", strategy.name()),
            message: format!("must not have {key}: spec.selector finds the pods by it"),
        })
    })
    .collect()
}

/// What pods of the new version are to have now.
fn of_new(pass: &Pass<'_>) -> PodTemplateMetadata {
    let [(_, new), (_, stable)] = declared(pass.strategy);
    let chosen = match pass.mode() {
        Mode::Stable => stable,
        Mode::Stepping | Mode::Full | Mode::Aborted => new,
    };
    chosen.cloned().unwrap_or_default()
}

/// Puts it into the template of a ReplicaSet that is about to be created. Returns its annotation.
pub(super) fn inject(pass: &Pass<'_>, template: &mut Value) -> Option<(String, String)> {
    let live = template
        .get("metadata")
        .and_then(|metadata| serde_json::from_value(metadata.clone()).ok())
        .unwrap_or_default();
    // There are no pods yet that could be behind.
    let state = EphemeralMetadata::default()
        .turned_into(&of_new(pass), &live)
        .reached();
    let text = state.text()?;
    json_patch::merge(template, &json!({ "metadata": state.patch() }));
    Some((pass.snapshot.names.ephemeral_metadata.clone(), text))
}

/// Brings the ReplicaSets, and then their pods, up to date: who gets something before who loses it.
pub(super) fn keep(pass: &mut Pass<'_>) {
    if pass.invalid.is_some() || pass.status.stable_rs.is_empty() {
        return;
    }
    let [_, (_, stable)] = declared(pass.strategy);
    let stable = stable.cloned().unwrap_or_default();
    let mut wanted: Vec<(&ReplicaSetView, PodTemplateMetadata)> = Vec::new();
    if let Some(new) = pass.revisions.new {
        wanted.push((new, of_new(pass)));
    }
    if pass.mode() != Mode::Stable
        && let Some(set) = pass.revisions.stable()
    {
        wanted.push((set, stable));
    }
    let left = pass.revisions.leftovers().filter(|set| set.replicas > 0);
    wanted.extend(left.map(|set| (set, PodTemplateMetadata::default())));
    for (set, wanted) in wanted {
        keep_one(pass, set, &wanted);
    }
}

fn keep_one(pass: &mut Pass<'_>, set: &ReplicaSetView, wanted: &PodTemplateMetadata) {
    let key = pass.snapshot.names.ephemeral_metadata.clone();
    let current = set.ephemeral.clone().unwrap_or_default();
    if !current.is(wanted) {
        let next = current.turned_into(wanted, &set.template_metadata);
        replica_set::patch_template(pass, set, &json!({ "metadata": next.patch() }));
        replica_set::patch(pass, set, None, vec![(key, next.text())]);
        return;
    }
    // What is written of the ReplicaSet before its pods are done must not say that they are.
    let written = pass.actions.iter().any(
        |action| matches!(action, Action::PatchReplicaSet { target, .. } if target.name == set.name),
    );
    if !current.pods_behind || !set.settled || written {
        return;
    }
    pass.actions.push(Action::PatchPods {
        target: Target {
            name: set.name.clone(),
            uid: set.uid.clone(),
            resource_version: set.resource_version.clone(),
        },
        pod_template_hash: set.pod_template_hash.clone(),
        metadata: current.patch(),
    });
    replica_set::patch(pass, set, None, vec![(key, current.reached().text())]);
}
