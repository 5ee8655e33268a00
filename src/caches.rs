//! What is watched: one store of raw JSON per kind, pruned to what decisions read, and who is woken by a change.
//!
//! Not here: what is made of the objects (`rollout::observe`).

mod cache;
pub mod fed;
mod prune;
mod routes;
mod wake;
mod workloads;

use std::time::Duration;

use futures::StreamExt;
use kube::{
    Api, Client,
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    api::{
        gateway_api::RouteKind,
        names::{ApiNames, Kind},
        object::CachedObject,
        workload::WorkloadKind,
    },
    runtime::write_log::{Cached, WriteLog},
};

pub use cache::Cache;
use cache::Filler;
pub use routes::Routes;
use wake::{Changed, Stores};
pub use wake::{Wakes, Woken};
pub use workloads::Workloads;

/// Behind load balancers that drop idle connections silently, a shorter watch bounds how long a cache can be stale.
const WATCH_SECONDS: u32 = 200;
/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Objects of one answer to a list: whole ones are in memory until they are pruned.
const PAGE: u32 = 100;

/// Which namespaces are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// One.
    Namespace(String),
}

impl Scope {
    /// The API of a namespaced kind within the scope.
    pub fn api(&self, client: &Client, resource: &ApiResource) -> Api<CachedObject> {
        match self {
            Self::Cluster => Api::all_with(client.clone(), resource),
            Self::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        }
    }
}

/// The stores.
#[derive(Clone, Debug)]
pub struct Caches {
    /// Whether the Rollouts have been listed. Of several that wait for one store kube wakes only the last.
    rollouts_listed: watch::Receiver<bool>,
    /// Rollouts.
    pub rollouts: Cache,
    /// ReplicaSets with our hash label.
    pub replica_sets: Cache,
    /// Services.
    pub services: Cache,
    /// EndpointSlices.
    pub endpoint_slices: Cache,
    /// Ingresses.
    pub ingresses: Cache,
    /// Routes of the Gateway API, where the cluster has them.
    pub routes: Routes,
    /// Workloads that Rollouts take their pod template from.
    pub workloads: Workloads,
    /// AnalysisRuns.
    pub analysis_runs: Cache,
    /// Jobs of metrics, by their label.
    pub jobs: Cache,
    /// Pods of such Jobs, by the same label.
    pub job_pods: Cache,
    /// Experiments.
    pub experiments: Cache,
    /// AnalysisTemplates.
    pub templates: Cache,
    /// ClusterAnalysisTemplates; `None` when only one namespace is served.
    pub cluster_templates: Option<Cache>,
}

/// A resource outside our group.
pub fn foreign(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// `apps/v1` ReplicaSets.
pub fn replica_sets() -> ApiResource {
    foreign("apps", "v1", "ReplicaSet", "replicasets")
}

/// `v1` Services.
pub fn services() -> ApiResource {
    foreign("", "v1", "Service", "services")
}

/// `networking.k8s.io/v1` Ingresses.
pub fn ingresses() -> ApiResource {
    foreign("networking.k8s.io", "v1", "Ingress", "ingresses")
}

/// `batch/v1` Jobs.
pub fn jobs() -> ApiResource {
    foreign("batch", "v1", "Job", "jobs")
}

/// `v1` Pods.
pub fn pods() -> ApiResource {
    foreign("", "v1", "Pod", "pods")
}

fn endpoint_slices() -> ApiResource {
    foreign("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
}

struct Watch {
    api: Api<CachedObject>,
    filler: Filler,
    config: watcher::Config,
    prune: fn(&mut Value),
    changed: Changed,
}

/// Starts all watches into `tasks`. Changes are told to `wakes`; the stores are ready when `Caches::ready` returns.
pub fn start(
    client: &Client,
    scope: &Scope,
    names: &ApiNames,
    wakes: &Wakes,
    tasks: &mut JoinSet<()>,
) -> Caches {
    let all = || {
        watcher::Config::default()
            .timeout(WATCH_SECONDS)
            .page_size(PAGE)
    };
    let labelled = all().labels(&names.pod_template_hash);
    let of_metrics = || all().labels(&names.analysis_run_uid);
    let ours = |kind| names.resource(kind);
    let routes = routes::start(client, scope, wakes, tasks);
    let mut watch = |resource: ApiResource, config, prune: fn(&mut Value), changed| {
        let api = scope.api(client, &resource);
        let watch = Watch {
            api,
            filler: Filler::new(resource),
            config,
            prune,
            changed,
        };
        begin(watch, wakes.clone(), tasks)
    };
    let template = Kind::AnalysisTemplate;
    let cluster_template = Kind::ClusterAnalysisTemplate;
    let rollouts = watch(
        ours(Kind::Rollout),
        all(),
        prune::metadata,
        Changed::Rollout,
    );
    let (listed, rollouts_listed) = watch::channel(false);
    let marked = watch(
        WorkloadKind::Deployment.resource(),
        all().labels(&names.managed_by_rollout),
        prune::marked_workload,
        Changed::MarkedWorkload,
    );
    let caches = Caches {
        replica_sets: watch(replica_sets(), labelled, prune::replica_set, Changed::Owned),
        services: watch(services(), all(), prune::service, Changed::Service),
        endpoint_slices: watch(
            endpoint_slices(),
            all(),
            prune::endpoint_slice,
            Changed::EndpointSlice,
        ),
        ingresses: watch(ingresses(), all(), prune::ingress, Changed::Named),
        routes: routes.clone(),
        analysis_runs: watch(
            ours(Kind::AnalysisRun),
            all(),
            prune::metadata,
            Changed::AnalysisRun,
        ),
        jobs: watch(jobs(), of_metrics(), prune::job, Changed::OfMetric),
        job_pods: watch(pods(), of_metrics(), prune::job_pod, Changed::OfMetric),
        experiments: watch(
            ours(Kind::Experiment),
            all(),
            prune::metadata,
            Changed::Experiment,
        ),
        templates: watch(ours(template), all(), prune::metadata, Changed::Template),
        cluster_templates: (*scope == Scope::Cluster).then(|| {
            watch(
                ours(cluster_template),
                all(),
                prune::metadata,
                Changed::Template,
            )
        }),
        workloads: workloads::start(
            workloads::Start {
                client,
                scope,
                names,
                wakes,
                rollouts: &rollouts,
                rollouts_listed: rollouts_listed.clone(),
                marked,
            },
            tasks,
        ),
        rollouts_listed,
        rollouts,
    };
    tasks.spawn(tell_first_list(caches.rollouts.clone(), listed));
    wakes.set_stores(Stores {
        rollouts: caches.rollouts.clone(),
        analysis_runs: caches.analysis_runs.clone(),
        experiments: caches.experiments.clone(),
        services: caches.services.clone(),
        templates: caches.templates.clone(),
        cluster_templates: caches.cluster_templates.clone(),
        marked_workloads: caches.workloads.marked.clone(),
        routes,
    });
    caches
}

async fn tell_first_list(cache: Cache, listed: watch::Sender<bool>) {
    if cache.store().wait_until_ready().await.is_ok() {
        listed.send_replace(true);
    }
}

fn begin(watch: Watch, wakes: Wakes, tasks: &mut JoinSet<()>) -> Cache {
    let Watch {
        api,
        mut filler,
        config,
        prune,
        changed,
    } = watch;
    let cache = filler.cache();
    tasks.spawn(async move {
        let mut events = watcher(api, config)
            .default_backoff()
            .modify(move |object| *object = object.pruned(prune))
            .boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => take_in(&event, &mut filler, &wakes, changed, || {}),
                Err(error) => {
                    tracing::warn!(kind = filler.kind(), "watch interrupted: {error}");
                }
            }
        }
    });
    cache
}

/// Takes in what a watch tells, and wakes those whom it concerns. After a whole list `listed` is called before anybody is woken.
fn take_in(
    event: &watcher::Event<CachedObject>,
    filler: &mut Filler,
    wakes: &Wakes,
    changed: Changed,
    listed: impl FnOnce(),
) {
    filler.apply(event);
    match event {
        watcher::Event::Apply(object) | watcher::Event::Delete(object) => {
            wakes.wake(changed, object);
        }
        watcher::Event::InitDone => {
            listed();
            wakes.wake_all();
        }
        watcher::Event::Init | watcher::Event::InitApply(_) => {}
    }
}

impl Caches {
    /// How many objects are kept, and how many bytes their JSON has.
    pub fn size(&self) -> (usize, usize) {
        let routes = RouteKind::ALL.map(|kind| self.routes.store(kind));
        let workloads = WorkloadKind::ALL.map(|kind| self.workloads.store(kind));
        let optional = routes.into_iter().chain(workloads).flatten();
        let always = self.always().into_iter().map(|(_, cache)| cache);
        let all = always.chain([&self.rollouts]).chain(optional);
        all.map(Cache::size)
            .fold((0, 0), |(objects, bytes), (more, bytes_more)| {
                (objects + more, bytes + bytes_more)
            })
    }

    /// What is always watched, but for Rollouts, by names in URLs.
    fn always(&self) -> Vec<(&'static str, &Cache)> {
        let mut stores = vec![
            ("replicasets", &self.replica_sets),
            ("services", &self.services),
            ("endpointslices", &self.endpoint_slices),
            ("ingresses", &self.ingresses),
            ("analysisruns", &self.analysis_runs),
            ("jobs", &self.jobs),
            ("pods", &self.job_pods),
            ("experiments", &self.experiments),
            ("analysistemplates", &self.templates),
            ("deployments", &self.workloads.marked),
        ];
        stores.extend(
            self.cluster_templates
                .iter()
                .map(|store| ("clusteranalysistemplates", store)),
        );
        stores
    }

    /// Waits until every store has been filled once. Returns the kinds that are still missing after `patience`.
    pub async fn ready(&self, patience: Duration) -> Result<(), Vec<&'static str>> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut missing = Vec::new();
        let mut listed = self.rollouts_listed.clone();
        let listed = async { listed.wait_for(|listed| *listed).await.is_ok() };
        if tokio::time::timeout_at(deadline, listed).await != Ok(true) {
            missing.push("rollouts");
        }
        for (kind, store) in self.always() {
            if !matches!(
                tokio::time::timeout_at(deadline, store.store().wait_until_ready()).await,
                Ok(Ok(()))
            ) {
                missing.push(kind);
            }
        }
        for kind in RouteKind::ALL {
            let known = tokio::time::timeout_at(deadline, self.routes.known(kind));
            if known.await.is_err() {
                missing.push(kind.plural());
            }
        }
        for kind in WorkloadKind::ALL {
            let known = tokio::time::timeout_at(deadline, self.workloads.known(kind));
            if known.await.is_err() {
                missing.push(kind.plural());
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }
}

/// Whether a cached object shows what we wrote to it last: deciding on less would decide it twice.
pub fn shows_own_write(log: &WriteLog, kind: &str, object: &CachedObject) -> bool {
    let cached = Cached {
        uid: object.uid(),
        resource_version: object.resource_version(),
    };
    log.caught_up(
        kind,
        object.namespace(),
        object.name(),
        Some(cached),
        Instant::now(),
    )
}
