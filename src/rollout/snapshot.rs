//! Everything a decision may know: one consistent look at a Rollout and what belongs to it.
//!
//! Not here: how it is gathered (`observe`) and what follows from it (`decide`).

mod pods;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::{
    analysis::templates::Templates,
    api::{
        analysis::AnalysisPhase, canary::PodTemplateMetadata,
        ephemeral_metadata::EphemeralMetadata, gateway_api::RouteKind, names::ApiNames,
        request::Request, rollout::RolloutSpec, rollout_status::RolloutStatus,
        strategy::ServiceRole, workload::AtRest,
    },
};

pub use crate::analysis::templates::TemplateKey;
pub use pods::{EvictionRefusal, PodView};

/// One look at the world.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The only clock.
    pub now: Timestamp,
    /// Since when time is known to have passed as the clock says: when this process first looked, or the clock was last put forward.
    pub watched_since: Option<Timestamp>,
    /// Group, labels and annotations.
    pub names: ApiNames,
    /// The Rollout.
    pub rollout: RolloutView,
    /// What `spec.workloadRef` names.
    pub workload: Workload,
    /// ReplicaSets that this Rollout controls, in no particular order.
    pub replica_sets: Vec<ReplicaSetView>,
    /// Names of ReplicaSets in the namespace that are not controlled by this Rollout but have a name it may need.
    pub foreign_replica_sets: Vec<String>,
    /// The Services that the spec names. A name that is absent does not exist.
    pub services: BTreeMap<String, ServiceView>,
    /// The Ingresses that the spec names, and the canary Ingresses made from them. Absent: does not exist.
    pub ingresses: BTreeMap<String, IngressView>,
    /// The routes that the spec names. Absent: does not exist.
    pub routes: BTreeMap<(RouteKind, String), RouteView>,
    /// Kinds of routes that the cluster does not have.
    pub unserved: BTreeSet<RouteKind>,
    /// The templates that the spec names, and those they refer to. Absent: does not exist.
    pub templates: Templates,
    /// Names of AnalysisRuns in the namespace that this Rollout does not control but that have a name it may need.
    pub foreign_analysis_runs: Vec<String>,
    /// The same of Experiments.
    pub foreign_experiments: Vec<String>,
    /// AnalysisRuns that this Rollout controls.
    pub analysis_runs: Vec<AnalysisRunView>,
    /// The pods, while a decision has to look at them.
    pub pods: Option<Vec<PodView>>,
    /// The last eviction that was refused.
    pub eviction_refused: Option<EvictionRefusal>,
    /// Experiments that this Rollout controls.
    pub experiments: Vec<StepExperimentView>,
    /// Pod templates that were asked for, by the names of their ReplicaSets.
    pub pod_templates: BTreeMap<String, Value>,
    /// What the API server said the last time about an object we tried to write for this generation, if it refused it.
    pub refusal: Option<Refusal>,
    /// The hash of a pod template that no ReplicaSet was found to have, by comparing.
    pub compared: Option<String>,
}

/// The Rollout as observed.
#[derive(Clone, Debug)]
pub struct RolloutView {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Uid.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// The spec, or why it cannot be read.
    pub spec: Result<RolloutSpec, String>,
    /// The whole object as JSON, for `fieldRef` arguments.
    pub object: Value,
    /// The status as last written.
    pub status: RolloutStatus,
    /// A person's request, or why the annotation cannot be read.
    pub request: Option<Result<Request, String>>,
    /// It is being deleted.
    pub deleting: bool,
}

/// What `spec.workloadRef` names.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Workload {
    /// It names nothing, or nothing that can be looked up.
    #[default]
    NotNamed,
    /// Its kind is not in the caches yet.
    NotRead,
    /// It does not exist.
    Missing,
    /// It exists.
    Found(Box<WorkloadView>),
}

/// A Deployment, ReplicaSet or PodTemplate as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// Generation; 0 where the kind does not count it.
    pub generation: i64,
    /// Its pod template, as the server shows it.
    pub template: Value,
    /// Its selector, if it has one.
    pub selector: Option<LabelSelector>,
    /// Desired pods.
    pub replicas: i32,
    /// The Rollout named by our label, if it is marked.
    pub managed_by: Option<String>,
    /// What it had before we scaled it.
    pub at_rest: Option<AtRest>,
}

impl WorkloadView {
    /// Identifies a state of what is declared in it.
    pub fn change(&self) -> String {
        format!("{}/{}", self.uid, self.generation)
    }
}

/// A ReplicaSet as observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSetView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// Hash label: the revision's identity.
    pub pod_template_hash: String,
    /// The hash of the declared pod template that it was found to have, if it was taken over.
    pub declared_hash: Option<String>,
    /// Hash of its pod template as the server shows it now, with its defaults and without what we have added.
    pub stored_hash: String,
    /// The anti-affinity rule in its pod template that is ours.
    pub anti_affinity: Option<String>,
    /// Metadata of its pod template.
    pub template_metadata: PodTemplateMetadata,
    /// What of that is there for a while.
    pub ephemeral: Option<EphemeralMetadata>,
    /// Its controller has seen its spec as it is.
    pub settled: bool,
    /// Up to which change of the workload its template was compared: see [`WorkloadView::change`].
    pub compared_workload: Option<String>,
    /// Revision number; 0 when the annotation is missing.
    pub revision: i64,
    /// Desired pods.
    pub replicas: i32,
    /// Pods that exist.
    pub current: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are available.
    pub available: i32,
    /// Pods could not be created, and why.
    pub failure: Option<String>,
    /// It is being deleted.
    pub deleting: bool,
    /// No object controls it: a deletion has left it, and its labels are those of this Rollout's pods.
    pub orphaned: bool,
}

/// A Service as observed, with the pods behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// Name.
    pub name: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// The whole selector.
    pub selector: BTreeMap<String, String>,
    /// `ExternalName`, `ClusterIP`, …
    pub type_: String,
    /// The Rollout named by our label, if it is marked.
    pub managed_by: Option<String>,
    /// The role annotation.
    pub role: Option<ServiceRole>,
    /// The field manager that last wrote the selector, if it is neither us nor who was there before us.
    pub selector_written_by: Option<String>,
    /// Another Rollout whose spec names this Service.
    pub also_used_by: Option<String>,
    /// Pods in its EndpointSlices.
    pub endpoints: Vec<EndpointView>,
    /// When this process last saw it without a ready endpoint.
    pub emptied: Option<Timestamp>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointView {
    /// The pod.
    pub pod: String,
    /// Proxies send new requests to it.
    pub ready: bool,
    /// It is being deleted.
    pub terminating: bool,
}

impl ServiceView {
    /// Ready endpoints that belong to the ReplicaSet, told by the pod's generated name.
    pub fn ready_endpoints_of(&self, replica_set: &str) -> i32 {
        let count = self
            .endpoints
            .iter()
            .filter(|endpoint| {
                endpoint.ready && !endpoint.terminating && is_pod_of(&endpoint.pod, replica_set)
            })
            .count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }
}

/// Whether a pod's name was generated by this ReplicaSet: its name and a dash, cut to 58 characters, and five more.
pub fn is_pod_of(pod: &str, replica_set: &str) -> bool {
    const SUFFIX: usize = 5;
    const BASE: usize = 58;
    let mut base = format!("{replica_set}-");
    base.truncate(BASE);
    pod.len() == base.len() + SUFFIX && pod.starts_with(&base)
}

/// An Ingress as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngressView {
    /// Name.
    pub name: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// Uid of the controlling owner.
    pub controller_uid: Option<String>,
    /// The field manager that last wrote the annotations, if it is not us.
    pub annotations_written_by: Option<String>,
    /// The whole object.
    pub object: Value,
}

/// A route of another project's kind as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteView {
    /// Name.
    pub name: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// The field manager that last wrote the rules, if it is not us.
    pub rules_written_by: Option<String>,
    /// Metadata, `spec.rules` and `status.parents`.
    pub object: Value,
}

/// An AnalysisRun as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisRunView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// Hash label: the revision it judges.
    pub pod_template_hash: String,
    /// Phase; Pending before the first look at it.
    pub phase: AnalysisPhase,
    /// Its message.
    pub message: String,
    /// `spec.terminate`.
    pub terminate: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// It is being deleted.
    pub deleting: bool,
}

/// An Experiment of a step as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepExperimentView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// Hash label: the revision it was made for.
    pub pod_template_hash: String,
    /// Phase; Pending before the first look at it.
    pub phase: AnalysisPhase,
    /// Its message; what it waits for while it has none.
    pub message: String,
    /// `spec.terminate`.
    pub terminate: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// It is being deleted.
    pub deleting: bool,
}

/// The API server refused a write, and trying again with the same input cannot help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused.
    pub kind: RefusalKind,
    /// The server's message.
    pub message: String,
}

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// 400 or 422: the pod template (or another part of the spec) is not valid.
    Invalid,
    /// 403: quota or permission.
    Forbidden,
}

#[cfg(test)]
mod tests {
    use super::is_pod_of;

    #[test]
    fn pods_are_told_by_their_generated_name() {
        let long = "a".repeat(70);
        for (pod, replica_set, expected) in [
            ("demo-abc-x1x1x", "demo-abc", true),
            ("demo-abc-def-x1x1x", "demo-abc", false),
            ("demo-abcx1x1x", "demo-abc", false),
            (&*format!("{}x1x1x", &long[..58]), &*long, true),
            ("demo-abc", "demo-abc", false),
        ] {
            assert_eq!(
                is_pod_of(pod, replica_set),
                expected,
                "{pod} of {replica_set}"
            );
        }
    }
}
