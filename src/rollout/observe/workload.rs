//! The workload that `spec.workloadRef` names, as its cache has it.
//!
//! Not here: the watch that fills the cache (`crate::caches::workloads`).

use serde::Deserialize;
use serde_json::Value;

use super::{annotation, int, label};
use crate::{
    api::{names::ApiNames, rollout::RolloutSpec, workload::AtRest},
    caches::Caches,
    rollout::snapshot::{Workload, WorkloadView},
};

/// What `spec.workloadRef` names.
pub(super) fn workload(
    namespace: &str,
    spec: Option<&RolloutSpec>,
    caches: &Caches,
    names: &ApiNames,
) -> Workload {
    let reference = spec.and_then(|spec| spec.workload_ref.as_ref());
    let target =
        reference.and_then(|reference| Some((reference.workload_kind()?, reference.name.clone()?)));
    let Some((kind, name)) = target else {
        return Workload::NotNamed;
    };
    let Some(store) = caches.workloads.store(kind) else {
        return Workload::NotRead;
    };
    let Some(object) = store.get(namespace, &name) else {
        return Workload::Missing;
    };
    let value = object.value();
    Workload::Found(Box::new(WorkloadView {
        uid: object.uid().to_owned(),
        resource_version: object.resource_version().to_owned(),
        generation: value
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or(0),
        template: value.pointer(kind.template()).cloned().unwrap_or_default(),
        selector: value
            .pointer("/spec/selector")
            .and_then(|selector| Deserialize::deserialize(selector).ok()),
        replicas: int(&value, "/spec/replicas"),
        managed_by: Some(label(&value, &names.managed_by_rollout)).filter(|by| !by.is_empty()),
        at_rest: annotation(&value, &names.replicas_at_rest).and_then(AtRest::read),
        name,
    }))
}
