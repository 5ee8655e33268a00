//! The pod template of another workload (`spec.workloadRef`): which revision it is, and what stops when it is missing.
//!
//! A server that is upgraded shows stored workloads with defaults that nobody declared. They start no revision: a state of
//! the workload that was taken before (uid and generation) is the same whatever it looks like now; and a template that a
//! ReplicaSet of ours shows, with the defaults of the same server, is the revision of that ReplicaSet. Because a watch does
//! not tell of new defaults, the ReplicaSet is touched before a template counts as another one.
//! Not here: how the workload is scaled (`workload_scale`).

use super::{
    pass::Pass,
    replica_set,
    validate::{FieldError, validate},
};
use crate::{
    api::{
        pod_template::PodTemplate,
        rollout::{RolloutSpec, WorkloadRef},
        rollout_status::RolloutStatus,
        template_hash,
        workload::{ScaleDown, WorkloadKind},
    },
    rollout::snapshot::{ReplicaSetView, Snapshot, Workload, WorkloadView},
};

/// What is known of the declared pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// It is the one with this hash.
    Known(String),
    /// There is none to be seen: what was there goes on.
    Unseen,
    /// The ReplicaSet of the current revision has to be touched first.
    Compare {
        /// The current revision.
        hash: String,
        /// Which state of the workload it is to be compared with.
        change: String,
    },
}

/// The spec with what it takes from its workload; `None` when it takes nothing.
pub(super) fn resolve(snapshot: &Snapshot, spec: &RolloutSpec) -> Option<RolloutSpec> {
    spec.workload_ref.as_ref()?;
    let mut resolved = RolloutSpec {
        template: None,
        ..spec.clone()
    };
    if let Workload::Found(workload) = &snapshot.workload
        && workload.template.is_object()
    {
        resolved.template = Some(PodTemplate(workload.template.clone()));
        resolved.selector = spec.selector.clone().or_else(|| workload.selector.clone());
    }
    Some(resolved)
}

/// Which revision `spec`, resolved, declares.
pub(super) fn template(
    snapshot: &Snapshot,
    spec: &RolloutSpec,
    status: &RolloutStatus,
) -> Template {
    let plain = |spec| super::pod_template_hash(spec, status);
    if spec.workload_ref.is_none() {
        return Template::Known(plain(spec));
    }
    let (Workload::Found(workload), Some(_)) = (&snapshot.workload, &spec.template) else {
        return Template::Unseen;
    };
    let hash = plain(spec);
    let mut live = snapshot.replica_sets.iter().filter(|set| !set.deleting);
    if live
        .clone()
        .any(|set| set.pod_template_hash == hash || set.declared_hash.as_ref() == Some(&hash))
    {
        return Template::Known(hash);
    }
    if let Some(same) = live.clone().find(|set| shows(set, spec)) {
        return Template::Known(same.pod_template_hash.clone());
    }
    let current = &status.current_pod_hash;
    if !current.is_empty() && was_taken(workload, status) {
        return Template::Known(current.clone());
    }
    match live.find(|set| set.pod_template_hash == *current) {
        Some(set) if set.compared_workload.as_ref() != Some(&workload.change()) => {
            Template::Compare {
                hash: current.clone(),
                change: workload.change(),
            }
        }
        Some(_) | None => Template::Known(hash),
    }
}

/// Whether the server shows this template on the ReplicaSet. Collisions do not matter: it is the content that is compared.
fn shows(set: &ReplicaSetView, spec: &RolloutSpec) -> bool {
    let declared = spec.template.as_ref();
    declared
        .is_some_and(|template| set.stored_hash == template_hash::pod_template_hash(&template.0, 0))
}

/// Nobody has changed the workload since its template was taken.
fn was_taken(workload: &WorkloadView, status: &RolloutStatus) -> bool {
    workload.generation > 0
        && status.workload_uid.as_ref() == Some(&workload.uid)
        && status.workload_observed_generation == Some(workload.generation.to_string())
}

/// The hash of the new version; the current one while no other is known.
pub(super) fn new_hash(
    snapshot: &Snapshot,
    spec: &RolloutSpec,
    status: &RolloutStatus,
    stable_hash: &str,
) -> String {
    match template(snapshot, spec, status) {
        Template::Known(hash) | Template::Compare { hash, .. } => hash,
        Template::Unseen if status.current_pod_hash.is_empty() => stable_hash.to_owned(),
        Template::Unseen => status.current_pod_hash.clone(),
    }
}

/// What is wrong with the reference by itself.
pub(super) fn problems(spec: &RolloutSpec) -> Vec<FieldError> {
    let Some(reference) = &spec.workload_ref else {
        return Vec::new();
    };
    let error = |path: &str, message: &str| FieldError {
        path: path.to_owned(),
        message: message.to_owned(),
    };
    let mut errors = Vec::new();
    let kind = reference.workload_kind();
    if kind.is_none() {
        errors.push(error(
            "spec.workloadRef.kind",
            "set apiVersion and kind to apps/v1 Deployment, apps/v1 ReplicaSet or v1 PodTemplate",
        ));
    }
    if reference.name.as_ref().is_none_or(String::is_empty) {
        errors.push(error("spec.workloadRef.name", "is required"));
    }
    match (reference.scale_down(), kind) {
        (None, _) => errors.push(error(
            "spec.workloadRef.scaleDown",
            "must be never, onsuccess or progressively",
        )),
        (
            Some(ScaleDown::OnSuccess | ScaleDown::Progressively),
            Some(WorkloadKind::ReplicaSet | WorkloadKind::PodTemplate),
        ) => errors.push(error(
            "spec.workloadRef.scaleDown",
            "works only with a Deployment; set it to never",
        )),
        (Some(_), _) => {}
    }
    errors
}

/// Everything that is wrong with the spec as it was declared and as it is resolved.
pub(super) fn validate_resolved(pass: &Pass<'_>) -> Vec<FieldError> {
    let mut errors = match validate(pass.spec) {
        Ok(()) => Vec::new(),
        Err(errors) => errors,
    };
    if pass.spec.workload_ref.is_some() {
        let declared = pass.snapshot.rollout.spec.as_ref();
        if declared.is_ok_and(|declared| declared.template.is_some()) {
            errors.push(FieldError {
                path: "spec.template".to_owned(),
                message: "must be absent with spec.workloadRef, which names the object that has the pod template".to_owned(),
            });
        }
    }
    errors
}

/// Says what is missing, touches what is to be compared, and remembers what was taken.
pub(super) fn heed(pass: &mut Pass<'_>) {
    let Some(reference) = &pass.spec.workload_ref else {
        pass.status.workload_observed_generation = None;
        pass.status.workload_uid = None;
        return;
    };
    let shown = shown(reference);
    match &pass.snapshot.workload {
        Workload::NotNamed => {}
        Workload::NotRead => pass.stop_forward(format!("{shown} to be read")),
        Workload::Missing => pass.missing.push(shown),
        Workload::Found(workload) => match template(pass.snapshot, pass.spec, &pass.status) {
            Template::Known(_) => {
                pass.status.workload_uid = Some(workload.uid.clone());
                pass.status.workload_observed_generation = Some(workload.generation.to_string());
            }
            Template::Unseen => pass.stop_forward(format!("{shown} to have a pod template")),
            Template::Compare { hash, change } => {
                if let Some(set) = pass.revisions.by_hash(&hash) {
                    let key = pass.snapshot.names.compared_workload.clone();
                    replica_set::patch(pass, set, None, vec![(key, Some(change))]);
                }
                pass.stop_forward(format!(
                    "{shown} to be compared with revision {} as the API server shows it",
                    pass.status.revision.unwrap_or(0)
                ));
            }
        },
    }
}

/// As it is named to people.
pub(super) fn shown(reference: &WorkloadRef) -> String {
    format!(
        "{} {}",
        reference.kind.as_deref().unwrap_or("workload"),
        reference.name.as_deref().unwrap_or_default()
    )
}
