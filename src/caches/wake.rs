//! Which objects are looked at again when an object changes.
//!
//! Wide on purpose: a look that finds nothing to do costs microseconds, a missed one costs a release.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use kube::{core::ApiResource, runtime::reflector::ObjectRef};
use tokio::sync::{Notify, mpsc};

use super::{Cache, Routes, SERVICE_NAME, workloads::names_kind};
use crate::api::{
    gateway_api::RouteKind,
    names::{ApiNames, Kind},
    object::CachedObject,
    strategy::services_named,
    workload::WorkloadKind,
};

/// In place of a namespace: any.
const EVERYWHERE: &str = "";

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Rollout,
    AnalysisRun,
    /// A Job of a metric, or a pod of one: the AnalysisRun in its label.
    OfMetric,
    Experiment,
    /// A ReplicaSet or another object that only its owner cares for.
    Owned,
    Service,
    EndpointSlice,
    /// A route: whoever has its name, and whoever puts it back.
    Route(RouteKind),
    /// An Ingress: whoever has its name, and its owner.
    Named,
    /// A template: whoever has its name, or that of a template which leads to it.
    Template,
    /// A workload: whoever has its name.
    Workload,
    /// A Deployment with our mark: whoever gives it back.
    MarkedWorkload,
}

/// References to be looked at.
#[derive(Debug)]
pub struct Queue {
    sender: mpsc::UnboundedSender<ObjectRef<CachedObject>>,
    resource: ApiResource,
}

impl Queue {
    fn push(&self, name: &str, namespace: &str) {
        let reference = ObjectRef::new_with(name, self.resource.clone()).within(namespace);
        if self.sender.send(reference).is_err() {
            tracing::debug!("a change came after the controller had ended");
        }
    }
}

/// The receiving ends of [`Wakes`].
pub struct Woken {
    /// Rollouts.
    pub rollouts: mpsc::UnboundedReceiver<ObjectRef<CachedObject>>,
    /// AnalysisRuns.
    pub analysis_runs: mpsc::UnboundedReceiver<ObjectRef<CachedObject>>,
    /// Experiments.
    pub experiments: mpsc::UnboundedReceiver<ObjectRef<CachedObject>>,
    /// Services with the mark of a Rollout.
    pub marked_services: mpsc::UnboundedReceiver<ObjectRef<CachedObject>>,
    /// Routes with the mark of a Rollout.
    pub marked_routes: BTreeMap<RouteKind, mpsc::UnboundedReceiver<ObjectRef<CachedObject>>>,
    /// Deployments with the mark of a Rollout.
    pub marked_workloads: mpsc::UnboundedReceiver<ObjectRef<CachedObject>>,
}

/// Tells the control loops what to look at. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wakes(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    rollouts: Queue,
    analysis_runs: Queue,
    experiments: Queue,
    marked_services: Queue,
    routes: BTreeMap<RouteKind, RouteQueue>,
    marked_workloads: Queue,
    /// A Rollout that may name this kind of workload has changed.
    names_workload: BTreeMap<WorkloadKind, Notify>,
    mark: String,
    run_uid: String,
    stores: OnceLock<Stores>,
}

#[derive(Debug)]
struct RouteQueue {
    marked: Queue,
    /// A Rollout that may name this kind has changed.
    mentioned: Notify,
}

/// The stores in which those are found that a change concerns.
#[derive(Clone, Debug)]
pub(super) struct Stores {
    pub(super) rollouts: Cache,
    pub(super) analysis_runs: Cache,
    pub(super) experiments: Cache,
    pub(super) services: Cache,
    pub(super) templates: Cache,
    pub(super) cluster_templates: Option<Cache>,
    pub(super) marked_workloads: Cache,
    pub(super) routes: Routes,
}

impl Wakes {
    /// Both ends.
    pub fn new(names: &ApiNames) -> (Self, Woken) {
        // Unbounded: references are small, and the receivers drop those they have already.
        let queue = |resource| {
            let (sender, receiver) = mpsc::unbounded_channel();
            (Queue { sender, resource }, receiver)
        };
        let (rollouts, woken_rollouts) = queue(names.resource(Kind::Rollout));
        let (analysis_runs, woken_runs) = queue(names.resource(Kind::AnalysisRun));
        let (experiments, woken_experiments) = queue(names.resource(Kind::Experiment));
        let (marked_services, woken_services) = queue(super::services());
        let (marked_workloads, woken_workloads) = queue(WorkloadKind::Deployment.resource());
        let (mut routes, mut marked_routes) = (BTreeMap::new(), BTreeMap::new());
        for kind in RouteKind::ALL {
            let (marked, woken) = queue(kind.resource());
            let mentioned = Notify::new();
            routes.insert(kind, RouteQueue { marked, mentioned });
            marked_routes.insert(kind, woken);
        }
        let ends = Ends {
            rollouts,
            analysis_runs,
            experiments,
            marked_services,
            routes,
            marked_workloads,
            names_workload: WorkloadKind::ALL.map(|kind| (kind, Notify::new())).into(),
            mark: names.managed_by_rollout.clone(),
            run_uid: names.analysis_run_uid.clone(),
            stores: OnceLock::new(),
        };
        let woken = Woken {
            rollouts: woken_rollouts,
            analysis_runs: woken_runs,
            experiments: woken_experiments,
            marked_services: woken_services,
            marked_routes,
            marked_workloads: woken_workloads,
        };
        (Self(Arc::new(ends)), woken)
    }

    pub(super) fn set_stores(&self, stores: Stores) {
        if self.0.stores.set(stores).is_err() {
            tracing::debug!("the stores were set before");
        }
    }

    /// After a new list nobody is told what vanished meanwhile: everybody looks again.
    pub(super) fn wake_all(&self) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        for rollout in stores.rollouts.all() {
            self.0.rollouts.push(rollout.name(), rollout.namespace());
        }
        for run in stores.analysis_runs.all() {
            self.0.analysis_runs.push(run.name(), run.namespace());
        }
        for experiment in stores.experiments.all() {
            let (name, namespace) = (experiment.name(), experiment.namespace());
            self.0.experiments.push(name, namespace);
        }
        for service in stores
            .services
            .within(EVERYWHERE, |service| self.marked_by(service).is_some())
        {
            self.0
                .marked_services
                .push(service.name(), service.namespace());
        }
        for (kind, queue) in &self.0.routes {
            self.wake_marked_routes(*kind, EVERYWHERE, |route| self.marked_by(route).is_some());
            queue.mentioned.notify_one();
        }
        self.wake_marked_workloads(EVERYWHERE, |workload| self.marked_by(workload).is_some());
        for notify in self.0.names_workload.values() {
            notify.notify_one();
        }
    }

    /// Resolves when a Rollout that may name this kind of workload has changed.
    pub(super) async fn names_workload(&self, kind: WorkloadKind) {
        match self.0.names_workload.get(&kind) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    fn wake_marked_workloads(&self, namespace: &str, which: impl Fn(&CachedObject) -> bool) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        for workload in stores.marked_workloads.within(namespace, which) {
            self.0
                .marked_workloads
                .push(workload.name(), workload.namespace());
        }
    }

    /// Resolves when a Rollout that may name this kind of route has changed.
    pub(super) async fn named(&self, kind: RouteKind) {
        match self.0.routes.get(&kind) {
            Some(queue) => queue.mentioned.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Whether a Rollout may name this kind of route.
    pub(super) fn is_named(&self, kind: RouteKind) -> bool {
        self.0
            .stores
            .get()
            .is_some_and(|stores| stores.rollouts.has(|rollout| mentions(rollout, kind)))
    }

    fn wake_marked_routes(
        &self,
        kind: RouteKind,
        namespace: &str,
        which: impl Fn(&CachedObject) -> bool,
    ) {
        let store = self.0.stores.get().and_then(|all| all.routes.store(kind));
        let (Some(store), Some(queue)) = (store, self.0.routes.get(&kind)) else {
            return;
        };
        for route in store.within(namespace, which) {
            queue.marked.push(route.name(), route.namespace());
        }
    }

    pub(super) fn wake(&self, changed: Changed, object: &CachedObject) {
        let (name, namespace) = (object.name(), object.namespace());
        match changed {
            Changed::Rollout => {
                self.0.rollouts.push(name, namespace);
                self.wake_sharing(object);
                self.wake_marked(name, namespace);
                for (kind, queue) in &self.0.routes {
                    self.wake_marked_routes(*kind, namespace, |route| {
                        self.marked_by(route) == Some(name)
                    });
                    if mentions(object, *kind) {
                        queue.mentioned.notify_one();
                    }
                }
                self.wake_marked_workloads(namespace, |workload| {
                    self.marked_by(workload) == Some(name)
                });
                for (kind, notify) in &self.0.names_workload {
                    if names_kind(object, *kind) {
                        notify.notify_one();
                    }
                }
            }
            Changed::Route(kind) => {
                if self.marked_by(object).is_some()
                    && let Some(queue) = self.0.routes.get(&kind)
                {
                    queue.marked.push(name, namespace);
                }
                self.wake_mentioning(namespace, name);
            }
            Changed::AnalysisRun => {
                self.0.analysis_runs.push(name, namespace);
                self.wake_owner(object);
                self.wake_namesakes(object);
            }
            Changed::OfMetric => {
                if let Some(uid) = object.label(&self.0.run_uid) {
                    self.wake_run(namespace, uid);
                }
            }
            Changed::Experiment => {
                self.0.experiments.push(name, namespace);
                self.wake_owner(object);
            }
            Changed::Owned => {
                self.wake_owner(object);
                if let Some(rollout) = self.marked_by(object) {
                    self.wake_marked(rollout, namespace);
                }
            }
            Changed::Service => {
                if self.marked_by(object).is_some() {
                    self.0.marked_services.push(name, namespace);
                }
                self.wake_owner(object);
                self.wake_mentioning(namespace, name);
            }
            Changed::EndpointSlice => {
                if let Some(service) = object.label(SERVICE_NAME) {
                    self.wake_owner_of_service(namespace, service);
                    self.wake_mentioning(namespace, service);
                }
            }
            Changed::Named => {
                self.wake_owner(object);
                self.wake_mentioning(namespace, name);
            }
            Changed::Workload => self.wake_mentioning(namespace, name),
            Changed::MarkedWorkload => self.0.marked_workloads.push(name, namespace),
            Changed::Template => {
                for name in self.leading_to(namespace, name) {
                    self.wake_mentioning(namespace, &name);
                }
            }
        }
    }

    /// The template's name, and the names of all templates that lead to it. A cluster-scoped one may be used anywhere.
    fn leading_to(&self, namespace: &str, template: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::from([template.to_owned()]);
        let Some(stores) = self.0.stores.get() else {
            return names;
        };
        let mut open = vec![template.to_owned()];
        while let Some(name) = open.pop() {
            let mentioning = [Some(&stores.templates), stores.cluster_templates.as_ref()]
                .into_iter()
                .flatten()
                .flat_map(|store| {
                    store.within(EVERYWHERE, |other| {
                        let may_use = namespace.is_empty()
                            || other.namespace().is_empty()
                            || other.namespace() == namespace;
                        may_use && other.mentions(&name)
                    })
                });
            for other in mentioning {
                if names.insert(other.name().to_owned()) {
                    open.push(other.name().to_owned());
                }
            }
        }
        names
    }

    fn marked_by<'a>(&self, object: &'a CachedObject) -> Option<&'a str> {
        object.label(&self.0.mark)
    }

    /// Two Rollouts that name the same Service have to learn of each other.
    fn wake_sharing(&self, rollout: &CachedObject) {
        let value = rollout.value();
        for service in services_named(&value) {
            self.wake_mentioning(rollout.namespace(), service);
        }
    }

    fn wake_marked(&self, rollout: &str, namespace: &str) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        let marked = stores.services.select(namespace, |service| {
            self.marked_by(service) == Some(rollout)
        });
        for service in marked {
            self.0.marked_services.push(service.name(), namespace);
        }
    }

    /// A Rollout that needs the name of somebody else's AnalysisRun waits for it.
    fn wake_namesakes(&self, run: &CachedObject) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        let owner = run.controller().map(|owner| owner.uid.as_str());
        let may_need = stores.rollouts.select(run.namespace(), |rollout| {
            Some(rollout.uid()) != owner
                && run
                    .name()
                    .strip_prefix(rollout.name())
                    .is_some_and(|rest| rest.starts_with('-'))
        });
        for rollout in may_need {
            self.0.rollouts.push(rollout.name(), rollout.namespace());
        }
    }

    fn wake_run(&self, namespace: &str, uid: &str) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        for run in stores
            .analysis_runs
            .select(namespace, |run| run.uid() == uid)
        {
            self.0.analysis_runs.push(run.name(), run.namespace());
        }
    }

    fn wake_owner(&self, object: &CachedObject) {
        let Some(owner) = object.controller() else {
            return;
        };
        if owner.kind == Kind::Rollout.name() {
            self.0.rollouts.push(&owner.name, object.namespace());
        } else if owner.kind == Kind::Experiment.name() {
            self.0.experiments.push(&owner.name, object.namespace());
        }
    }

    /// The Service of an Experiment is found by its owner: no spec needs to name it.
    fn wake_owner_of_service(&self, namespace: &str, service: &str) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        let found = stores.services.get(namespace, service);
        if let Some(service) = found {
            self.wake_owner(&service);
        }
    }

    /// An empty namespace is that of a cluster-scoped object: any Rollout may mention it.
    fn wake_mentioning(&self, namespace: &str, name: &str) {
        let Some(stores) = self.0.stores.get() else {
            return;
        };
        let mentioning = stores
            .rollouts
            .within(namespace, |rollout| rollout.mentions(name));
        for rollout in mentioning {
            self.0.rollouts.push(rollout.name(), rollout.namespace());
        }
        let mentioning = stores
            .experiments
            .within(namespace, |experiment| experiment.mentions(name));
        for experiment in mentioning {
            let (name, namespace) = (experiment.name(), experiment.namespace());
            self.0.experiments.push(name, namespace);
        }
    }
}

fn mentions(rollout: &CachedObject, kind: RouteKind) -> bool {
    let words = kind.mentioned_as();
    words.iter().any(|word| rollout.mentions(word))
}
