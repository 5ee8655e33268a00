//! While an update is under way, the new version's pods are kept away from nodes of the stable version.
//!
//! The rule stands in the ReplicaSet's pod template only, not in what is declared: it makes no other revision. It goes when
//! the version is stable, so that pods made later are placed as declared; pods that are there stay where they are.

use serde_json::{Value, json};

use super::{
    pass::{Mode, Pass},
    replica_set,
    validate::FieldError,
};
use crate::{
    api::{anti_affinity::AntiAffinity, strategy::Declared},
    rollout::snapshot::ReplicaSetView,
};

const NODE: &str = "kubernetes.io/hostname";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

fn declared(strategy: Declared<'_>) -> Option<&AntiAffinity> {
    match strategy {
        Declared::Canary(canary) => canary.anti_affinity.as_ref(),
        Declared::BlueGreen(blue_green) => blue_green.anti_affinity.as_ref(),
    }
}

/// What is wrong with it.
pub(super) fn problems(strategy: Declared<'_>) -> Option<FieldError> {
    let anti_affinity = declared(strategy)?;
    let preferred = anti_affinity
        .preferred_during_scheduling_ignored_during_execution
        .as_ref();
    let required = anti_affinity.required_during_scheduling_ignored_during_execution;
    let message = match (preferred, required) {
        (Some(preferred), None) if (1..=100).contains(&preferred.weight) => return None,
        (Some(_), None) => "the weight must be 1 to 100".to_owned(),
        (None, Some(_)) => return None,
        (None, None) | (Some(_), Some(_)) => {
            format!("set exactly one of {PREFERRED} and {REQUIRED}")
        }
    };
    Some(FieldError {
        path: format!("spec.strategy.{}.antiAffinity", strategy.name()),
        message,
    })
}

/// The version to keep away from, if there is one.
fn against(pass: &Pass<'_>) -> Option<String> {
    declared(pass.strategy)?;
    if problems(pass.strategy).is_some() {
        return None;
    }
    match pass.mode() {
        Mode::Stepping | Mode::Full | Mode::Aborted => Some(pass.status.stable_rs.clone()),
        Mode::Stable => None,
    }
}

/// The list of the declared template in which the rule stands, and the rule.
fn rule(pass: &Pass<'_>, stable_hash: &str) -> Option<(&'static str, Value)> {
    let term = json!({
        "labelSelector": { "matchLabels": { (pass.snapshot.names.pod_template_hash.clone()): stable_hash } },
        "topologyKey": NODE,
    });
    let preferred = declared(pass.strategy)?.preferred_during_scheduling_ignored_during_execution;
    Some(match preferred {
        Some(preferred) => (
            PREFERRED,
            json!({ "weight": preferred.weight, "podAffinityTerm": term }),
        ),
        None => (REQUIRED, term),
    })
}

/// The merge patch of a pod template's spec: the lists as they are declared, one of them with the rule.
fn change(pass: &Pass<'_>, stable_hash: Option<&str>) -> Value {
    let template = pass.spec.template.as_ref();
    let list = |name: &str| {
        let path = format!("/spec/affinity/podAntiAffinity/{name}");
        template
            .and_then(|template| template.0.pointer(&path))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let rule = stable_hash.and_then(|hash| rule(pass, hash));
    let mut lists = json!({});
    for name in [PREFERRED, REQUIRED] {
        let mut terms = list(name);
        if let Some((_, term)) = rule.as_ref().filter(|(of, _)| *of == name) {
            terms.push(term.clone());
        }
        lists[name] = if terms.is_empty() {
            Value::Null
        } else {
            terms.into()
        };
    }
    json!({ "spec": { "affinity": { "podAntiAffinity": lists } } })
}

/// What marks a ReplicaSet that has the rule: whom it keeps away from, and how.
fn mark(pass: &Pass<'_>, stable_hash: &str) -> Option<String> {
    let (list, rule) = rule(pass, stable_hash)?;
    Some(json!({ (list): [rule] }).to_string())
}

/// Puts the rule into the template of a ReplicaSet that is about to be created. Returns its annotation.
pub(super) fn inject(pass: &Pass<'_>, template: &mut Value) -> Option<(String, String)> {
    let stable_hash = against(pass)?;
    json_patch::merge(template, &change(pass, Some(&stable_hash)));
    let key = pass.snapshot.names.anti_affinity.clone();
    Some((key, mark(pass, &stable_hash)?))
}

/// Brings the rule of the new version's ReplicaSet up to date.
pub(super) fn keep(pass: &mut Pass<'_>, new: &ReplicaSetView) {
    if pass.spec.template.is_none() {
        return;
    }
    let stable_hash = against(pass);
    let wanted = stable_hash.as_deref().and_then(|hash| mark(pass, hash));
    if wanted == new.anti_affinity {
        return;
    }
    let change = change(pass, stable_hash.as_deref());
    let key = pass.snapshot.names.anti_affinity.clone();
    replica_set::patch(pass, new, None, vec![(key, wanted)]);
    replica_set::patch_template(pass, new, &change);
}
