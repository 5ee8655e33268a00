//! Everything a decision about an Experiment may know: one look at it and what belongs to it.
//!
//! Not here: how it is gathered (`observe`) and what follows from it (`decide`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    analysis::templates::Templates,
    api::{
        experiment::{ExperimentSpec, ExperimentStatus},
        names::ApiNames,
    },
    rollout::snapshot::{AnalysisRunView, ReplicaSetView},
};

/// One look at the world.
#[derive(Clone, Debug)]
pub struct ExperimentSnapshot {
    /// The only clock.
    pub now: Timestamp,
    /// Group, labels and annotations.
    pub names: ApiNames,
    /// The Experiment.
    pub experiment: ExperimentView,
    /// ReplicaSets that it controls.
    pub replica_sets: Vec<ReplicaSetView>,
    /// Services that it controls, and those of others that have a name it needs. Absent: does not exist.
    pub services: BTreeMap<String, ExperimentServiceView>,
    /// The AnalysisTemplates that the spec names, and those they refer to. Absent: does not exist.
    pub templates: Templates,
    /// AnalysisRuns that it controls.
    pub analysis_runs: Vec<AnalysisRunView>,
    /// What the API server said about objects that could not be created for this generation, by their names.
    pub refusals: BTreeMap<String, Refused>,
}

/// The Experiment as observed.
#[derive(Clone, Debug)]
pub struct ExperimentView {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Uid.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// The spec, or why it cannot be read.
    pub spec: Result<ExperimentSpec, String>,
    /// The whole object as JSON, for `fieldRef` arguments.
    pub object: Value,
    /// The status as last written.
    pub status: ExperimentStatus,
    /// It is being deleted.
    pub deleting: bool,
}

/// A Service as observed, with the pods behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExperimentServiceView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// Whether this Experiment controls it.
    pub owned: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Pods that take requests, as its EndpointSlices say.
    pub ready_endpoints: i32,
}

/// Why an object could not be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 400 or 422: what was sent is not valid, and would be refused again. The server's message.
    Invalid(String),
    /// 403: quota or permission. The server's message.
    Forbidden(String),
    /// Somebody else has an object of that name.
    Taken,
}
