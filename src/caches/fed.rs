//! The same stores, filled by hand: for whoever has the objects themselves and needs no watch.
//!
//! Not here: what is kept of an object, which is the same for both (`super::prune`).

use std::collections::BTreeMap;

use kube::{core::ApiResource, runtime::watcher::Event};
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Cache, Caches, Filler, Routes, Workloads, endpoint_slices, ingresses, jobs, pods, prune,
    replica_sets, services,
};
use crate::api::{
    gateway_api::RouteKind,
    names::{ApiNames, Kind},
    object::CachedObject,
    workload::WorkloadKind,
};

/// Caches that are told of every change.
pub struct Fed {
    caches: Caches,
    feeds: Vec<Feed>,
}

/// One store, and what of the changes comes into it.
struct Feed {
    plural: &'static str,
    /// A label that objects must have (`true`), or must not have.
    label: Option<(String, bool)>,
    prune: fn(&mut Value),
    filler: Filler,
}

#[derive(Default)]
struct Feeds(Vec<Feed>);

impl Feeds {
    fn add(
        &mut self,
        plural: &'static str,
        resource: ApiResource,
        label: Option<(String, bool)>,
        prune: fn(&mut Value),
    ) -> Cache {
        let filler = Filler::new(resource);
        let store = filler.cache();
        self.0.push(Feed {
            plural,
            label,
            prune,
            filler,
        });
        store
    }
}

impl Fed {
    /// Empty caches of a whole cluster that serves every kind.
    pub fn new(names: &ApiNames) -> Self {
        let mut feeds = Feeds::default();
        let ours = |feeds: &mut Feeds, kind: Kind| {
            feeds.add(kind.plural(), names.resource(kind), None, prune::metadata)
        };
        let hash = |wanted| Some((names.pod_template_hash.clone(), wanted));
        let of_metrics = || Some((names.analysis_run_uid.clone(), true));
        let routes: BTreeMap<_, _> = RouteKind::ALL
            .into_iter()
            .map(|kind| {
                let store = feeds.add(kind.plural(), kind.resource(), None, prune::route);
                (kind, store)
            })
            .collect();
        let workloads: BTreeMap<_, _> = WorkloadKind::ALL
            .into_iter()
            .map(|kind| {
                let label = match kind {
                    WorkloadKind::ReplicaSet => hash(false),
                    WorkloadKind::Deployment | WorkloadKind::PodTemplate => None,
                };
                let store = feeds.add(kind.plural(), kind.resource(), label, prune::workload);
                (kind, store)
            })
            .collect();
        let marked = feeds.add(
            WorkloadKind::Deployment.plural(),
            WorkloadKind::Deployment.resource(),
            Some((names.managed_by_rollout.clone(), true)),
            prune::marked_workload,
        );
        let caches = Caches {
            rollouts_listed: watch::channel(true).1,
            rollouts: ours(&mut feeds, Kind::Rollout),
            replica_sets: feeds.add(
                "replicasets",
                replica_sets(),
                hash(true),
                prune::replica_set,
            ),
            services: feeds.add("services", services(), None, prune::service),
            endpoint_slices: feeds.add(
                "endpointslices",
                endpoint_slices(),
                None,
                prune::endpoint_slice,
            ),
            ingresses: feeds.add("ingresses", ingresses(), None, prune::ingress),
            routes: Routes::filled(routes),
            workloads: Workloads::filled(workloads, marked),
            analysis_runs: ours(&mut feeds, Kind::AnalysisRun),
            jobs: feeds.add("jobs", jobs(), of_metrics(), prune::job),
            job_pods: feeds.add("pods", pods(), of_metrics(), prune::job_pod),
            experiments: ours(&mut feeds, Kind::Experiment),
            templates: ours(&mut feeds, Kind::AnalysisTemplate),
            cluster_templates: Some(ours(&mut feeds, Kind::ClusterAnalysisTemplate)),
        };
        Self {
            caches,
            feeds: feeds.0,
        }
    }

    /// The stores.
    pub const fn caches(&self) -> &Caches {
        &self.caches
    }

    /// Takes in an object as it is now, or that it is gone.
    pub fn apply(&mut self, plural: &str, object: &Value, deleted: bool) {
        for feed in &mut self.feeds {
            if feed.plural != plural {
                continue;
            }
            let has = |label: &str| {
                object
                    .pointer("/metadata/labels")
                    .is_some_and(|labels| labels.get(label).is_some())
            };
            // A watch tells that an object has left its selection as it tells a deletion.
            let selected = feed
                .label
                .as_ref()
                .is_none_or(|(label, wanted)| has(label) == *wanted);
            let mut kept = object.clone();
            (feed.prune)(&mut kept);
            let kept = CachedObject::new(kept);
            feed.filler.apply(&if selected && !deleted {
                Event::Apply(kept)
            } else {
                Event::Delete(kept)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names_in(store: &Cache) -> Vec<String> {
        store
            .select("shop", |_| true)
            .iter()
            .map(|object| object.name().to_owned())
            .collect()
    }

    #[test]
    fn each_store_has_what_a_watch_would_bring() {
        let mut fed = Fed::new(&ApiNames::default());
        let set = |name: &str, labels: Value| json!({"metadata": {"name": name, "namespace": "shop", "labels": labels}});
        let ours = set("ours", json!({"tidegate.dev/pod-template-hash": "abc"}));
        fed.apply("replicasets", &ours, false);
        fed.apply("replicasets", &set("theirs", json!({})), false);
        fed.apply(
            "replicasets",
            &set("gone", json!({"tidegate.dev/pod-template-hash": "d"})),
            false,
        );
        fed.apply(
            "replicasets",
            &set("gone", json!({"tidegate.dev/pod-template-hash": "d"})),
            true,
        );
        let others = fed.caches().workloads.store(WorkloadKind::ReplicaSet);
        assert_eq!(
            (names_in(&fed.caches().replica_sets), others.map(names_in)),
            (vec!["ours".to_owned()], Some(vec!["theirs".to_owned()]))
        );
    }
}
