//! From caches to a `Snapshot`, without a request.
//!
//! Not here: any decision, and the watches that fill the caches (`crate::caches`).

mod pods;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::snapshot::{
    AnalysisRunView, EndpointView, EvictionRefusal, IngressView, Refusal, ReplicaSetView,
    RolloutView, RouteView, ServiceView, Snapshot, StepExperimentView, Workload,
};
use crate::{
    analysis::templates::{self, TemplateKey, Templates},
    api::{
        analysis::AnalysisPhase,
        canary::PodTemplateMetadata,
        ephemeral_metadata::EphemeralMetadata,
        gateway_api::RouteKind,
        names::ApiNames,
        object::CachedObject,
        request,
        rollout::RolloutSpec,
        rollout_status::RolloutStatus,
        strategy::{Declared, ServiceRole, services_named},
        traffic_routing::TrafficRouting,
    },
    caches::{Cache, Caches},
    traffic::ingress_nginx::canary_ingress_name,
};

pub use pods::pod;

/// Why a ClusterAnalysisTemplate cannot be read by a controller that serves one namespace.
const NO_CLUSTER_TEMPLATES: &str = "the controller serves one namespace only and sees no ClusterAnalysisTemplate; use an AnalysisTemplate";

/// What the shell knows beside the caches.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What the API server refused, for the current generation.
    pub refusal: Option<Refusal>,
    /// The last eviction that was refused.
    pub eviction_refused: Option<EvictionRefusal>,
    /// The hash of a pod template that no ReplicaSet was found to have.
    pub compared: Option<String>,
    /// Pod templates that a decision asked for, by the names of their ReplicaSets.
    pub pod_templates: BTreeMap<String, Value>,
    /// A ReplicaSet name that somebody else has.
    pub taken: Option<String>,
    /// When Services were last seen without a ready endpoint, by name.
    pub emptied: BTreeMap<String, Timestamp>,
    /// When this process first looked at the Rollout: what the one before it wrote last may be missing in the status. Or when its clock
    /// was last put forward.
    pub since: Option<Timestamp>,
}

/// A status that is none of ours. Taking it for an empty one would start the release anew.
#[derive(Debug, thiserror::Error)]
#[error(
    "the status of Rollout {name} cannot be read: {source}. Install the CustomResourceDefinitions of this version"
)]
pub struct UnreadableStatus {
    /// The Rollout.
    pub name: String,
    /// Where and why it does not fit.
    pub source: serde_json::Error,
}

/// Everything about `rollout` at `now`.
pub fn observe(
    rollout: &CachedObject,
    caches: &Caches,
    names: &ApiNames,
    memory: &Memory,
    now: Timestamp,
) -> Result<Snapshot, UnreadableStatus> {
    let object = rollout.value();
    let namespace = rollout.namespace();
    let spec = read::<RolloutSpec>(&object, "/spec");
    let strategy = spec.as_ref().ok().and_then(|spec| spec.strategy.declared());
    let routing = strategy.and_then(Declared::traffic_routing);
    let workload = workload::workload(namespace, spec.as_ref().ok(), caches, names);
    let of_workload = match &workload {
        Workload::Found(workload) => workload.selector.clone(),
        Workload::NotNamed | Workload::NotRead | Workload::Missing => None,
    };
    let labels = spec
        .as_ref()
        .ok()
        .and_then(|spec| spec.selector.clone().or(of_workload)?.match_labels)
        .unwrap_or_default();
    let (replica_sets, foreign) = replica_sets(rollout, &labels, caches, names);
    let mut status = match object.get("status") {
        Some(status) => RolloutStatus::deserialize(status).map_err(|source| UnreadableStatus {
            name: rollout.name().to_owned(),
            source,
        })?,
        None => RolloutStatus::default(),
    };
    // A weight may have been changed without its time being recorded: proxies get their time from the first look.
    if let (Some(weights), Some(since)) = (&mut status.canary.weights, memory.since) {
        weights.changed_at = weights.changed_at.map(|at| at.max(since));
    }
    let mut services = services(rollout, strategy, caches, names);
    for service in services.values_mut() {
        service.emptied = if service.endpoints.iter().any(|endpoint| endpoint.ready) {
            memory.emptied.get(&service.name).copied()
        } else {
            Some(now)
        };
    }
    let request = object
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(&names.request))
        .and_then(Value::as_str)
        .map(|text| request::parse(&names.request, text).map_err(|error| error.to_string()));
    Ok(Snapshot {
        now,
        watched_since: memory.since,
        names: names.clone(),
        workload,
        replica_sets,
        foreign_replica_sets: foreign.into_iter().chain(memory.taken.clone()).collect(),
        services,
        ingresses: ingresses(rollout, routing, caches),
        routes: routes(namespace, routing, caches),
        unserved: RouteKind::ALL
            .into_iter()
            .filter(|kind| !caches.routes.serves(*kind))
            .collect(),
        foreign_analysis_runs: foreign_names(rollout, &caches.analysis_runs),
        foreign_experiments: foreign_names(rollout, &caches.experiments),
        templates: templates(
            namespace,
            strategy
                .map(super::decide::template_refs)
                .unwrap_or_default(),
            caches,
        ),
        analysis_runs: caches
            .analysis_runs
            .owned_by(rollout.uid())
            .iter()
            .map(|run| analysis_run(&run.value(), names))
            .collect(),
        pods: None,
        eviction_refused: memory.eviction_refused.clone(),
        experiments: caches
            .experiments
            .owned_by(rollout.uid())
            .iter()
            .map(|one| experiment(&one.value(), names))
            .collect(),
        pod_templates: memory.pod_templates.clone(),
        refusal: memory.refusal.clone(),
        compared: memory.compared.clone(),
        rollout: RolloutView {
            name: rollout.name().to_owned(),
            namespace: namespace.to_owned(),
            uid: rollout.uid().to_owned(),
            generation: object
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            spec,
            status,
            request,
            object,
        },
    })
}

pub(crate) fn read<T: for<'de> Deserialize<'de>>(
    object: &Value,
    pointer: &str,
) -> Result<T, String> {
    let value = object
        .pointer(pointer)
        .ok_or_else(|| format!("{} is missing", pointer.trim_start_matches('/')))?;
    T::deserialize(value).map_err(|error| format!("{}: {error}", pointer.trim_start_matches('/')))
}

pub(crate) fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn int(object: &Value, pointer: &str) -> i32 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or(0)
}

fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

fn label(object: &Value, key: &str) -> String {
    object
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// A ReplicaSet that nobody controls, with the name and the labels of one of this Rollout's.
fn is_orphan(
    set: &CachedObject,
    rollout: &str,
    selector: &BTreeMap<String, String>,
    names: &ApiNames,
) -> bool {
    let meta = kube::Resource::meta(set);
    let Some(labels) = &meta.labels else {
        return false;
    };
    let is_named = labels
        .get(&names.pod_template_hash)
        .is_some_and(|hash| set.name() == format!("{rollout}-{hash}"));
    is_named
        && set.controller().is_none()
        && meta.deletion_timestamp.is_none()
        && !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

/// The ReplicaSets of the Rollout, and the names of others that it may need.
fn replica_sets(
    rollout: &CachedObject,
    labels: &BTreeMap<String, String>,
    caches: &Caches,
    names: &ApiNames,
) -> (Vec<ReplicaSetView>, Vec<String>) {
    let prefix = format!("{}-", rollout.name());
    let is_own = |set: &CachedObject| {
        let owner = set.controller();
        owner.is_some_and(|owner| owner.uid == rollout.uid())
    };
    let of_others = |set: &CachedObject| !is_own(set) && set.name().starts_with(&prefix);
    let others = caches.replica_sets.select(rollout.namespace(), of_others);
    let (orphans, foreign): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|set| is_orphan(set, rollout.name(), labels, names));
    let own = caches.replica_sets.owned_by(rollout.uid());
    (
        own.iter()
            .chain(&orphans)
            .map(|set| replica_set(&set.value(), names))
            .collect(),
        foreign.iter().map(|set| set.name().to_owned()).collect(),
    )
}

pub(crate) fn replica_set(object: &Value, names: &ApiNames) -> ReplicaSetView {
    let replicas = object
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or(1);
    let failure = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|condition| {
            text(condition, "/type") == "ReplicaFailure" && text(condition, "/status") == "True"
        })
        .map(|condition| text(condition, "/message"));
    ReplicaSetView {
        name: text(object, "/metadata/name"),
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        pod_template_hash: label(object, &names.pod_template_hash),
        declared_hash: annotation(object, &names.declared_hash).map(str::to_owned),
        stored_hash: text(object, "/x-stored-hash"),
        anti_affinity: annotation(object, &names.anti_affinity).map(str::to_owned),
        template_metadata: object
            .pointer("/spec/template/metadata")
            .and_then(|metadata| PodTemplateMetadata::deserialize(metadata).ok())
            .unwrap_or_default(),
        ephemeral: annotation(object, &names.ephemeral_metadata).and_then(EphemeralMetadata::read),
        settled: object.pointer("/status/observedGeneration")
            == object.pointer("/metadata/generation"),
        compared_workload: annotation(object, &names.compared_workload).map(str::to_owned),
        revision: annotation(object, &names.revision)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        replicas,
        current: int(object, "/status/replicas"),
        // Pods that are about to be removed still count in the status until the ReplicaSet controller has seen the new size.
        ready: int(object, "/status/readyReplicas").min(replicas),
        available: int(object, "/status/availableReplicas").min(replicas),
        failure,
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        orphaned: !object
            .pointer("/metadata/ownerReferences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|owner| owner.get("controller") == Some(&Value::Bool(true))),
    }
}

fn services(
    rollout: &CachedObject,
    strategy: Option<Declared<'_>>,
    caches: &Caches,
    names: &ApiNames,
) -> BTreeMap<String, ServiceView> {
    let namespace = rollout.namespace();
    let wanted: BTreeSet<&String> = strategy
        .into_iter()
        .flat_map(Declared::services)
        .map(|(_, name)| name)
        .collect();
    wanted
        .into_iter()
        .filter_map(|name| {
            let object = caches.services.get(namespace, name)?;
            let value = object.value();
            let selector = value
                .pointer("/spec/selector")
                .and_then(|selector| BTreeMap::deserialize(selector).ok())
                .unwrap_or_default();
            let view = ServiceView {
                name: name.clone(),
                resource_version: object.resource_version().to_owned(),
                selector,
                type_: text(&value, "/spec/type"),
                managed_by: Some(label(&value, &names.managed_by_rollout))
                    .filter(|label| !label.is_empty()),
                role: annotation(&value, &names.role).and_then(ServiceRole::named),
                selector_written_by: value
                    .pointer("/x-written-by")
                    .and_then(Value::as_str)
                    .filter(|manager| !names.is_predecessor(manager))
                    .map(str::to_owned),
                also_used_by: older_user(rollout, name, caches),
                endpoints: endpoints(namespace, name, caches),
                emptied: None,
            };
            Some((name.clone(), view))
        })
        .collect()
}

/// An older Rollout that names the Service: it keeps it. Equally old ones are ordered by name.
fn older_user(rollout: &CachedObject, service: &str, caches: &Caches) -> Option<String> {
    let age = |object: &CachedObject, value: &Value| {
        (
            text(value, "/metadata/creationTimestamp"),
            object.name().to_owned(),
        )
    };
    let own_age = age(rollout, &rollout.value());
    let mentioning = caches.rollouts.select(rollout.namespace(), |other| {
        other.mentions(service) && other.uid() != rollout.uid()
    });
    mentioning
        .iter()
        .find(|other| {
            let value = other.value();
            services_named(&value).any(|name| name == service) && age(other, &value) < own_age
        })
        .map(|other| other.name().to_owned())
}

pub(crate) fn endpoints(namespace: &str, service: &str, caches: &Caches) -> Vec<EndpointView> {
    let slices = caches.endpoint_slices.labelled(namespace, service);
    let mut endpoints: Vec<EndpointView> = slices
        .iter()
        .flat_map(|slice| {
            let value = slice.value();
            let endpoints = value
                .get("endpoints")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            endpoints.into_iter().map(|endpoint| EndpointView {
                pod: text(&endpoint, "/pod"),
                // An absent condition means ready, says the API.
                ready: endpoint
                    .pointer("/conditions/ready")
                    .and_then(Value::as_bool)
                    .unwrap_or(true),
                terminating: endpoint
                    .pointer("/conditions/terminating")
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
            })
        })
        .collect();
    endpoints.sort_by(|a, b| a.pod.cmp(&b.pod));
    // IPv4 and IPv6 slices of one Service list the same pods.
    endpoints.dedup_by(|a, b| a.pod == b.pod);
    endpoints
}

fn ingresses(
    rollout: &CachedObject,
    routing: Option<&TrafficRouting>,
    caches: &Caches,
) -> BTreeMap<String, IngressView> {
    let nginx = routing.and_then(|routing| routing.nginx.as_ref());
    let stable: Vec<&str> = nginx.map(|nginx| nginx.ingresses()).unwrap_or_default();
    let wanted: BTreeSet<String> = stable
        .iter()
        .map(|name| canary_ingress_name(rollout.name(), name))
        .chain(stable.iter().map(|name| (*name).to_owned()))
        .collect();
    let objects = caches.ingresses.select(rollout.namespace(), |object| {
        wanted.contains(object.name())
            || object
                .controller()
                .is_some_and(|owner| owner.uid == rollout.uid())
    });
    objects
        .iter()
        .map(|object| {
            let value = object.value();
            let view = IngressView {
                name: object.name().to_owned(),
                resource_version: object.resource_version().to_owned(),
                controller_uid: object.controller().map(|owner| owner.uid.clone()),
                annotations_written_by: value
                    .pointer("/x-written-by")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                object: value,
            };
            (view.name.clone(), view)
        })
        .collect()
}

fn routes(
    namespace: &str,
    routing: Option<&TrafficRouting>,
    caches: &Caches,
) -> BTreeMap<(RouteKind, String), RouteView> {
    let targets = routing.into_iter().flat_map(TrafficRouting::routes);
    targets
        .filter_map(|target| {
            let store = caches.routes.store(target.kind)?;
            let object = store.get(namespace, target.name)?;
            let value = object.value();
            let view = RouteView {
                name: object.name().to_owned(),
                resource_version: object.resource_version().to_owned(),
                rules_written_by: value
                    .pointer("/x-written-by")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                object: value,
            };
            Some(((target.kind, view.name.clone()), view))
        })
        .collect()
}

/// The templates that a spec names, and those they refer to.
pub(crate) fn templates(
    namespace: &str,
    references: Vec<TemplateKey>,
    caches: &Caches,
) -> Templates {
    templates::reach(references, |key| {
        let object = if key.cluster_scope {
            let Some(store) = &caches.cluster_templates else {
                return Some(Err(NO_CLUSTER_TEMPLATES.to_owned()));
            };
            store.get("", &key.name)
        } else {
            caches.templates.get(namespace, &key.name)
        }?;
        Some(read(&object.value(), "/spec"))
    })
}

/// Names that the Rollout may need, and that objects have which it does not control.
fn foreign_names(rollout: &CachedObject, cache: &Cache) -> Vec<String> {
    let prefix = format!("{}-", rollout.name());
    let objects = cache.select(rollout.namespace(), |object| {
        let controller = object.controller().map(|owner| owner.uid.as_str());
        object.name().starts_with(&prefix) && controller != Some(rollout.uid())
    });
    let names = objects.iter().map(|object| object.name().to_owned());
    names.collect()
}

fn experiment(object: &Value, names: &ApiNames) -> StepExperimentView {
    let message = text(object, "/status/message");
    StepExperimentView {
        name: text(object, "/metadata/name"),
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        pod_template_hash: label(object, &names.pod_template_hash),
        phase: object
            .pointer("/status/phase")
            .and_then(|phase| AnalysisPhase::deserialize(phase).ok())
            .unwrap_or(AnalysisPhase::Pending),
        message: if message.is_empty() {
            text(object, "/status/waitingFor")
        } else {
            message
        },
        terminate: object
            .pointer("/spec/terminate")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        created: time(object, "/metadata/creationTimestamp"),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

pub(crate) fn analysis_run(object: &Value, names: &ApiNames) -> AnalysisRunView {
    AnalysisRunView {
        name: text(object, "/metadata/name"),
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        pod_template_hash: label(object, &names.pod_template_hash),
        phase: object
            .pointer("/status/phase")
            .and_then(|phase| AnalysisPhase::deserialize(phase).ok())
            .unwrap_or(AnalysisPhase::Pending),
        message: text(object, "/status/message"),
        terminate: object
            .pointer("/spec/terminate")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        created: time(object, "/metadata/creationTimestamp"),
        completed: time(object, "/status/completedAt"),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}
