//! What was decided, as data: actions in order, the whole new status, notes, and when to look again.
//!
//! Not here: how it is decided (`decide`) and how it is carried out (`act`).

use jiff::Timestamp;
use serde_json::Value;

use crate::api::{
    gateway_api::RouteKind, rollout_status::RolloutStatus, strategy::ServiceRole, workload::AtRest,
};

/// The outcome of one look at the world.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Decision {
    /// To be carried out in this order; the first failure stops the rest.
    pub actions: Vec<Action>,
    /// The whole new status.
    pub status: RolloutStatus,
    /// What to tell people: edges, not states.
    pub notes: Vec<Note>,
    /// When to look again if nothing changes before.
    pub next: Next,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    OnChange,
    /// At this time at the latest.
    At(Timestamp),
}

impl Next {
    /// The earlier of two.
    #[must_use]
    pub fn or_at(self, at: Timestamp) -> Self {
        match self {
            Self::OnChange => Self::At(at),
            Self::At(before) => Self::At(before.min(at)),
        }
    }
}

/// One write. Every one is idempotent and carries the version of the object that it was decided on.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Creates a ReplicaSet.
    CreateReplicaSet {
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
    },
    /// Changes `spec.replicas`, annotations and the pod template of a ReplicaSet.
    PatchReplicaSet {
        /// The ReplicaSet.
        target: Target,
        /// New `spec.replicas`, if it changes.
        replicas: Option<i32>,
        /// Annotations to set, or to remove with `None`.
        annotations: Vec<(String, Option<String>)>,
        /// Merge patch of `spec.template`; null when it stays. Pods are not replaced by it.
        template: Value,
    },
    /// Takes a ReplicaSet over that nobody controls.
    AdoptReplicaSet {
        /// The ReplicaSet.
        target: Target,
        /// The reference to the Rollout.
        owner: Value,
    },
    /// Finds the ReplicaSet with a pod template, by how the API server would store it, and remembers it there.
    RecogniseReplicaSet {
        /// A ReplicaSet with the pod template; never created.
        object: Value,
        /// The hash of the pod template.
        hash: String,
        /// The ReplicaSets to compare with; the first one that is equal is it.
        candidates: Vec<Target>,
    },
    /// Deletes an old ReplicaSet.
    DeleteReplicaSet {
        /// The ReplicaSet.
        target: Target,
    },
    /// Points a Service at one revision, and marks it.
    PinService {
        /// The Service.
        target: Target,
        /// The revision, as the selector's value.
        pod_template_hash: String,
        /// What the Service is to the Rollout.
        role: ServiceRole,
        /// The Rollout, for the mark.
        rollout: String,
    },
    /// Creates an Ingress.
    CreateIngress {
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
    },
    /// Changes an Ingress by a merge patch.
    PatchIngress {
        /// The Ingress.
        target: Target,
        /// The merge patch, without the precondition.
        patch: Value,
    },
    /// Changes weights and marks of a user's route.
    PatchRoute {
        /// Its kind.
        kind: RouteKind,
        /// The route.
        target: Target,
        /// The JSON patch, which begins with the precondition.
        patch: json_patch::Patch,
    },
    /// Deletes an Ingress that the Rollout made.
    DeleteIngress {
        /// The Ingress.
        target: Target,
    },
    /// Creates a Service of an Experiment.
    CreateService {
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
    },
    /// Deletes a Service of an Experiment.
    DeleteService {
        /// The Service.
        target: Target,
    },
    /// Creates an Experiment.
    CreateExperiment {
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
    },
    /// Sets `spec.terminate` of an Experiment.
    TerminateExperiment {
        /// The Experiment.
        target: Target,
    },
    /// Deletes a finished Experiment.
    DeleteExperiment {
        /// The Experiment.
        target: Target,
    },
    /// Reads the pod template of a ReplicaSet, which no cache keeps. It comes back in the next snapshot.
    ReadPodTemplate {
        /// The ReplicaSet.
        name: String,
    },
    /// Creates an AnalysisRun.
    CreateAnalysisRun {
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
    },
    /// Sets `spec.terminate`.
    TerminateAnalysisRun {
        /// The AnalysisRun.
        target: Target,
    },
    /// Deletes a finished AnalysisRun.
    DeleteAnalysisRun {
        /// The AnalysisRun.
        target: Target,
    },
    /// Changes metadata of the pods of a ReplicaSet that differ.
    PatchPods {
        /// The ReplicaSet.
        target: Target,
        /// Its hash label, which its pods have, too.
        pod_template_hash: String,
        /// Merge patch of their `metadata`.
        metadata: Value,
    },
    /// Evicts a pod, if PodDisruptionBudgets allow it.
    EvictPod {
        /// The pod.
        target: Target,
    },
    /// Scales the Deployment of `spec.workloadRef`, and marks it.
    ScaleWorkload {
        /// The Deployment.
        target: Target,
        /// Its size before.
        from: i32,
        /// What is to be remembered, and with it the new size.
        at_rest: AtRest,
        /// The Rollout, for the mark.
        rollout: String,
    },
    /// Gives the Deployment its size back, and takes the mark away.
    RestoreWorkload {
        /// The Deployment.
        target: Target,
        /// Its size, if it is still as we left it.
        replicas: Option<i32>,
    },
}

impl Action {
    /// Kind and name of the object that it creates.
    pub const fn created(&self) -> Option<(&'static str, &String)> {
        match self {
            Self::CreateReplicaSet { name, .. } => Some(("ReplicaSet", name)),
            Self::CreateIngress { name, .. } => Some(("Ingress", name)),
            Self::CreateAnalysisRun { name, .. } => Some(("AnalysisRun", name)),
            Self::CreateService { name, .. } => Some(("Service", name)),
            Self::CreateExperiment { name, .. } => Some(("Experiment", name)),
            Self::PatchReplicaSet { .. }
            | Self::AdoptReplicaSet { .. }
            | Self::RecogniseReplicaSet { .. }
            | Self::DeleteReplicaSet { .. }
            | Self::PinService { .. }
            | Self::PatchIngress { .. }
            | Self::PatchRoute { .. }
            | Self::DeleteIngress { .. }
            | Self::DeleteService { .. }
            | Self::TerminateExperiment { .. }
            | Self::DeleteExperiment { .. }
            | Self::ReadPodTemplate { .. }
            | Self::TerminateAnalysisRun { .. }
            | Self::DeleteAnalysisRun { .. }
            | Self::PatchPods { .. }
            | Self::EvictPod { .. }
            | Self::ScaleWorkload { .. }
            | Self::RestoreWorkload { .. } => None,
        }
    }

    /// A word for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateReplicaSet { .. } => "create_replica_set",
            Self::PatchReplicaSet { .. } => "patch_replica_set",
            Self::AdoptReplicaSet { .. } => "adopt_replica_set",
            Self::RecogniseReplicaSet { .. } => "recognise_replica_set",
            Self::DeleteReplicaSet { .. } => "delete_replica_set",
            Self::PinService { .. } => "pin_service",
            Self::CreateIngress { .. } => "create_ingress",
            Self::PatchIngress { .. } => "patch_ingress",
            Self::PatchRoute { .. } => "patch_route",
            Self::DeleteIngress { .. } => "delete_ingress",
            Self::CreateService { .. } => "create_service",
            Self::DeleteService { .. } => "delete_service",
            Self::CreateExperiment { .. } => "create_experiment",
            Self::TerminateExperiment { .. } => "terminate_experiment",
            Self::DeleteExperiment { .. } => "delete_experiment",
            Self::ReadPodTemplate { .. } => "read_pod_template",
            Self::CreateAnalysisRun { .. } => "create_analysis_run",
            Self::TerminateAnalysisRun { .. } => "terminate_analysis_run",
            Self::DeleteAnalysisRun { .. } => "delete_analysis_run",
            Self::PatchPods { .. } => "patch_pods",
            Self::EvictPod { .. } => "evict_pod",
            Self::ScaleWorkload { .. } => "scale_workload",
            Self::RestoreWorkload { .. } => "restore_workload",
        }
    }
}

/// The object of a write, as it was when the write was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Uid, where known; a delete is bound to it.
    pub uid: String,
    /// The version that was looked at; the write fails when there is a newer one.
    pub resource_version: String,
}

/// Something to tell people, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// A word for machines.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// How far a part of the work is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Done: what follows may start.
    Done,
    /// Not done: what follows must not start.
    Wait(Wait),
    /// Cannot be done.
    Fail(String),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// In a sentence.
    pub why: String,
    /// Until when, if it is a timer.
    pub until: Option<Timestamp>,
}

impl Outcome {
    /// Waits for a change.
    pub fn wait(why: impl Into<String>) -> Self {
        Self::Wait(Wait {
            why: why.into(),
            until: None,
        })
    }

    /// Waits for a time.
    pub fn wait_until(why: impl Into<String>, until: Timestamp) -> Self {
        Self::Wait(Wait {
            why: why.into(),
            until: Some(until),
        })
    }
}
