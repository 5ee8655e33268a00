//! From caches to an `ExperimentSnapshot`, without a request.
//!
//! Not here: any decision, and the watches that fill the caches (`crate::caches`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    decide::{service_name, template_refs},
    snapshot::{ExperimentServiceView, ExperimentSnapshot, ExperimentView, Refused},
};
use crate::{
    api::{
        experiment::{ExperimentSpec, ExperimentStatus},
        names::{ApiNames, Kind},
        object::CachedObject,
    },
    caches::Caches,
    rollout::observe::{analysis_run, endpoints, read, replica_set, templates},
};

/// A status that is none of ours. Taking it for an empty one would start the Experiment anew.
#[derive(Debug, thiserror::Error)]
#[error(
    "the status of Experiment {name} cannot be read: {source}. Install the CustomResourceDefinitions of this version"
)]
pub struct UnreadableExperiment {
    /// The Experiment.
    pub name: String,
    /// Where and why it does not fit.
    pub source: serde_json::Error,
}

/// Everything about `experiment` at `now`.
pub fn observe(
    experiment: &CachedObject,
    caches: &Caches,
    names: &ApiNames,
    refusals: &BTreeMap<String, Refused>,
    now: Timestamp,
) -> Result<ExperimentSnapshot, UnreadableExperiment> {
    let object = experiment.value();
    let namespace = experiment.namespace();
    let spec = read::<ExperimentSpec>(&object, "/spec");
    let status = match object.get("status") {
        Some(status) => {
            ExperimentStatus::deserialize(status).map_err(|source| UnreadableExperiment {
                name: experiment.name().to_owned(),
                source,
            })?
        }
        None => ExperimentStatus::default(),
    };
    Ok(ExperimentSnapshot {
        now,
        names: names.clone(),
        replica_sets: caches
            .replica_sets
            .owned_by(experiment.uid())
            .iter()
            .map(|set| replica_set(&set.value(), names))
            .collect(),
        services: services(experiment, spec.as_ref().ok(), caches),
        templates: templates(
            namespace,
            spec.as_ref().map(template_refs).unwrap_or_default(),
            caches,
        ),
        analysis_runs: caches
            .analysis_runs
            .owned_by(experiment.uid())
            .iter()
            .map(|run| analysis_run(&run.value(), names))
            .collect(),
        refusals: refusals.clone(),
        experiment: ExperimentView {
            name: experiment.name().to_owned(),
            namespace: namespace.to_owned(),
            uid: experiment.uid().to_owned(),
            generation: generation(&object, names),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            spec,
            status,
            object,
        },
    })
}

/// The generation of the spec. Without a status subresource it grows with each status that we write, and tells nothing.
fn generation(object: &Value, names: &ApiNames) -> i64 {
    if !names.has_status_subresource(Kind::Experiment) {
        return 0;
    }
    let generation = object.pointer("/metadata/generation");
    generation.and_then(Value::as_i64).unwrap_or(0)
}

/// Whether the Experiment controls the object.
pub(super) fn is_owned(object: &CachedObject, experiment: &CachedObject) -> bool {
    object
        .controller()
        .is_some_and(|owner| owner.uid == experiment.uid())
}

/// Its own Services, and those that have a name it needs.
fn services(
    experiment: &CachedObject,
    spec: Option<&ExperimentSpec>,
    caches: &Caches,
) -> BTreeMap<String, ExperimentServiceView> {
    let namespace = experiment.namespace();
    let wanted: BTreeSet<String> = spec
        .into_iter()
        .flat_map(|spec| &spec.templates)
        .filter_map(|template| service_name(experiment.name(), template))
        .collect();
    let found = caches.services.select(namespace, |service| {
        wanted.contains(service.name()) || is_owned(service, experiment)
    });
    let view = |service: &CachedObject| {
        let ready = endpoints(namespace, service.name(), caches)
            .iter()
            .filter(|endpoint| endpoint.ready && !endpoint.terminating)
            .count();
        ExperimentServiceView {
            name: service.name().to_owned(),
            uid: service.uid().to_owned(),
            resource_version: service.resource_version().to_owned(),
            owned: is_owned(service, experiment),
            deleting: service
                .value()
                .pointer("/metadata/deletionTimestamp")
                .is_some(),
            ready_endpoints: i32::try_from(ready).unwrap_or(i32::MAX),
        }
    };
    found
        .iter()
        .map(|service| (service.name().to_owned(), view(service)))
        .collect()
}
