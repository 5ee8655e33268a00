//! What an action sends: one write of one object, as data. Pure.
//!
//! Not here: sending it (`act`), and actions that first have to ask the server (`act::adopt`, `act::pods`, `rollout::recognise`).

use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::{
    api::{
        names::{ApiNames, Kind},
        strategy::ServiceRole,
        workload::{AtRest, WorkloadKind},
    },
    caches,
    mutants::{Mutant, mutated},
    rollout::{
        decision::{Action, Target},
        status,
    },
};

/// One write of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The kind.
    pub resource: ApiResource,
    /// The object's name.
    pub name: String,
    /// What is written.
    pub body: Body,
}

/// What is written of an object. All but a create carry the version that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The whole new object.
    Create(Value),
    /// A merge patch.
    Merge(Value),
    /// A JSON patch.
    Json(json_patch::Patch),
    /// Nothing: it is deleted, and what it owns after it.
    Delete {
        /// The object's uid, where known.
        uid: Option<String>,
        /// The version that was looked at.
        resource_version: String,
    },
}

/// What carrying out an action takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered<'a> {
    /// One write.
    Write(Write),
    /// A merge patch of those pods of a ReplicaSet that differ from it.
    Pods {
        /// The ReplicaSet.
        replica_set: &'a Target,
        /// A selector that all of its pods match.
        label: String,
        /// The patch.
        patch: Value,
    },
    /// The eviction of a pod.
    Eviction(&'a Target),
    /// A ReplicaSet gets an owner, if that one is still there.
    Adoption {
        /// The ReplicaSet.
        replica_set: &'a Target,
        /// The reference to the Rollout.
        owner: &'a Value,
        /// The merge patch.
        patch: Value,
    },
    /// A comparison of pod templates; the ReplicaSet that is equal is marked.
    Recognition {
        /// A ReplicaSet with the pod template.
        object: &'a Value,
        /// The hash of the pod template.
        hash: &'a str,
        /// The ReplicaSets to compare with.
        candidates: &'a [Target],
    },
    /// A read: whoever asked for it keeps what comes back.
    Read,
}

/// What carrying out `action` takes.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of action")]
pub fn write_of<'a>(action: &'a Action, names: &ApiNames) -> Rendered<'a> {
    let merge = |resource: ApiResource, target: &Target, patch: Value| {
        Rendered::Write(Write {
            resource,
            name: target.name.clone(),
            body: Body::Merge(over(&target.resource_version, patch)),
        })
    };
    let create = |resource: ApiResource, name: &String, object: &Value| {
        Rendered::Write(Write {
            resource,
            name: name.clone(),
            body: Body::Create(object.clone()),
        })
    };
    let delete = |resource: ApiResource, target: &Target| {
        Rendered::Write(Write {
            resource,
            name: target.name.clone(),
            body: Body::Delete {
                uid: Some(target.uid.clone()).filter(|uid| !uid.is_empty()),
                resource_version: target.resource_version.clone(),
            },
        })
    };
    let experiments = || names.resource(Kind::Experiment);
    let runs = || names.resource(Kind::AnalysisRun);
    let deployments = || WorkloadKind::Deployment.resource();
    let terminated = || json!({ "spec": { "terminate": true } });
    match action {
        Action::CreateReplicaSet { name, object } => create(caches::replica_sets(), name, object),
        Action::CreateIngress { name, object } => create(caches::ingresses(), name, object),
        Action::CreateService { name, object } => create(caches::services(), name, object),
        Action::CreateExperiment { name, object } => create(experiments(), name, object),
        Action::CreateAnalysisRun { name, object } => create(runs(), name, object),
        Action::ReadPodTemplate { name: _ } => Rendered::Read,
        Action::AdoptReplicaSet { target, owner } => {
            let patch = json!({ "metadata": { "ownerReferences": [owner] } });
            Rendered::Adoption {
                replica_set: target,
                owner,
                patch: over(&target.resource_version, patch),
            }
        }
        Action::RecogniseReplicaSet {
            object,
            hash,
            candidates,
        } => Rendered::Recognition {
            object,
            hash,
            candidates,
        },
        Action::PatchReplicaSet {
            target,
            replicas,
            annotations,
            template,
        } => {
            let patch = resized(*replicas, annotations, template);
            merge(caches::replica_sets(), target, patch)
        }
        Action::PinService {
            target,
            pod_template_hash,
            role,
            rollout,
        } => {
            let patch = pinned(names, pod_template_hash, *role, rollout);
            merge(caches::services(), target, patch)
        }
        Action::PatchIngress { target, patch } => merge(caches::ingresses(), target, patch.clone()),
        Action::PatchRoute {
            kind,
            target,
            patch,
        } => Rendered::Write(Write {
            resource: kind.resource(),
            name: target.name.clone(),
            body: Body::Json(patch.clone()),
        }),
        Action::TerminateExperiment { target } => merge(experiments(), target, terminated()),
        Action::TerminateAnalysisRun { target } => merge(runs(), target, terminated()),
        Action::DeleteReplicaSet { target } => delete(caches::replica_sets(), target),
        Action::DeleteIngress { target } => delete(caches::ingresses(), target),
        Action::DeleteService { target } => delete(caches::services(), target),
        Action::DeleteExperiment { target } => delete(experiments(), target),
        Action::DeleteAnalysisRun { target } => delete(runs(), target),
        Action::PatchPods {
            target,
            pod_template_hash,
            metadata,
        } => Rendered::Pods {
            replica_set: target,
            label: format!("{}={pod_template_hash}", names.pod_template_hash),
            patch: json!({ "metadata": metadata }),
        },
        Action::EvictPod { target } => Rendered::Eviction(target),
        Action::ScaleWorkload {
            target,
            from: _,
            at_rest,
            rollout,
        } => merge(deployments(), target, scaled(names, *at_rest, rollout)),
        Action::RestoreWorkload { target, replicas } => {
            merge(deployments(), target, given_back(names, *replicas))
        }
    }
}

/// The merge patch that writes what differs between two statuses, over the version that was looked at.
pub fn status_patch(
    names: &ApiNames,
    kind: Kind,
    resource_version: &str,
    mut difference: Value,
) -> Value {
    status::in_the_shape_of(names, kind, &mut difference);
    over(resource_version, json!({ "status": difference }))
}

/// The patch with its precondition.
pub(super) fn over(resource_version: &str, mut patch: Value) -> Value {
    if !mutated(Mutant::A41BlindWrite) {
        patch["metadata"]["resourceVersion"] = json!(resource_version);
    }
    patch
}

/// The merge patch that sizes and annotates a ReplicaSet.
fn resized(
    replicas: Option<i32>,
    annotations: &[(String, Option<String>)],
    template: &Value,
) -> Value {
    let mut patch = json!({});
    if !template.is_null() {
        patch["spec"]["template"] = template.clone();
    }
    if let Some(replicas) = replicas {
        patch["spec"]["replicas"] = replicas.into();
    }
    for (key, value) in annotations {
        patch["metadata"]["annotations"][key.as_str()] = json!(value);
    }
    patch
}

/// The merge patch that scales a workload, and marks it.
fn scaled(names: &ApiNames, at_rest: AtRest, rollout: &str) -> Value {
    json!({
        "metadata": {
            "labels": { (names.managed_by_rollout.clone()): rollout },
            "annotations": { (names.replicas_at_rest.clone()): at_rest.text() },
        },
        "spec": { "replicas": at_rest.scaled_to },
    })
}

/// The merge patch that takes the mark of a workload away, and gives it this size, if any.
fn given_back(names: &ApiNames, replicas: Option<i32>) -> Value {
    let mut patch = json!({
        "metadata": {
            "labels": { (names.managed_by_rollout.clone()): null },
            "annotations": { (names.replicas_at_rest.clone()): null },
        },
    });
    if let Some(replicas) = replicas {
        patch["spec"]["replicas"] = replicas.into();
    }
    patch
}

/// The merge patch that points a Service at one version, and marks it.
fn pinned(names: &ApiNames, pod_template_hash: &str, role: ServiceRole, rollout: &str) -> Value {
    let mut annotations = json!({ (names.role.clone()): role.name() });
    if let Some(key) = &names.managed_by {
        annotations[key] = json!(rollout);
    }
    json!({
        "metadata": {
            "labels": { (names.managed_by_rollout.clone()): rollout },
            "annotations": annotations,
        },
        "spec": { "selector": { (names.pod_template_hash.clone()): pod_template_hash } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            name: "web".to_owned(),
            uid: "u".to_owned(),
            resource_version: "7".to_owned(),
        }
    }

    fn written(action: &Action) -> (String, Body) {
        let Rendered::Write(write) = write_of(action, &ApiNames::default()) else {
            panic!("{action:?} is no write");
        };
        (
            format!("{}/{}", write.resource.plural, write.name),
            write.body,
        )
    }

    #[test]
    fn every_change_carries_the_version_it_was_decided_on() {
        let cases = [
            (
                Action::PatchReplicaSet {
                    target: target(),
                    replicas: Some(3),
                    annotations: vec![("a".to_owned(), None)],
                    template: Value::Null,
                },
                "replicasets/web",
                Body::Merge(json!({
                    "metadata": {"resourceVersion": "7", "annotations": {"a": null}}, "spec": {"replicas": 3},
                })),
            ),
            (
                Action::PinService {
                    target: target(),
                    pod_template_hash: "abc".to_owned(),
                    role: ServiceRole::Canary,
                    rollout: "web".to_owned(),
                },
                "services/web",
                Body::Merge(json!({
                    "metadata": {
                        "resourceVersion": "7", "labels": {"tidegate.dev/managed-by-rollout": "web"},
                        "annotations": {"tidegate.dev/role": "canary"},
                    },
                    "spec": {"selector": {"tidegate.dev/pod-template-hash": "abc"}},
                })),
            ),
            (
                Action::TerminateAnalysisRun { target: target() },
                "analysisruns/web",
                Body::Merge(
                    json!({"metadata": {"resourceVersion": "7"}, "spec": {"terminate": true}}),
                ),
            ),
            (
                Action::DeleteReplicaSet { target: target() },
                "replicasets/web",
                Body::Delete {
                    uid: Some("u".to_owned()),
                    resource_version: "7".to_owned(),
                },
            ),
        ];
        for (action, object, body) in cases {
            assert_eq!(written(&action), (object.to_owned(), body), "{action:?}");
        }
    }

    #[test]
    fn a_status_is_written_over_the_version_that_was_looked_at() {
        let patch = status_patch(
            &ApiNames::default(),
            Kind::Rollout,
            "7",
            json!({"phase": "Healthy"}),
        );
        assert_eq!(
            patch,
            json!({"metadata": {"resourceVersion": "7"}, "status": {"phase": "Healthy"}})
        );
    }
}
