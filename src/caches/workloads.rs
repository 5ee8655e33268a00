//! The workloads that Rollouts take their pod template from. A kind is watched from when a Rollout first names it: most
//! clusters have thousands of Deployments, and none that matters here. Those with our mark are always watched.
//!
//! Not here: what is made of them (`rollout::observe`).

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt;
use kube::{
    Client,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::watch, task::JoinSet};

use super::{Cache, Filler, PAGE, Scope, WATCH_SECONDS, Wakes, prune, take_in, wake::Changed};
use crate::api::{names::ApiNames, object::CachedObject, workload::WorkloadKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    /// No Rollout names the kind.
    NotNeeded,
    /// The store has had its first list.
    Filled,
}

/// One store per kind of workload.
#[derive(Clone, Debug)]
pub struct Workloads {
    kinds: Arc<BTreeMap<WorkloadKind, OnDemand>>,
    /// Deployments that carry our mark: name, mark and size.
    pub marked: Cache,
}

#[derive(Debug)]
struct OnDemand {
    store: Cache,
    state: watch::Receiver<State>,
}

impl Workloads {
    /// Stores that are filled.
    pub(super) fn filled(stores: BTreeMap<WorkloadKind, Cache>, marked: Cache) -> Self {
        let filled = |store| OnDemand {
            store,
            state: watch::channel(State::Filled).1,
        };
        let kinds = stores.into_iter();
        Self {
            kinds: Arc::new(kinds.map(|(kind, store)| (kind, filled(store))).collect()),
            marked,
        }
    }

    /// The store of a kind, once it is filled.
    pub fn store(&self, kind: WorkloadKind) -> Option<&Cache> {
        let on_demand = self.kinds.get(&kind)?;
        (*on_demand.state.borrow() == State::Filled).then_some(&on_demand.store)
    }

    /// Resolves when it is known that no Rollout names the kind, or its store is filled.
    pub(super) async fn known(&self, kind: WorkloadKind) {
        let Some(on_demand) = self.kinds.get(&kind) else {
            return;
        };
        let mut state = on_demand.state.clone();
        // An error means that the watch has ended with the process.
        state.wait_for(|state| *state != State::Unknown).await.ok();
    }
}

/// What is needed to watch.
pub(super) struct Start<'a> {
    pub(super) client: &'a Client,
    pub(super) scope: &'a Scope,
    pub(super) names: &'a ApiNames,
    pub(super) wakes: &'a Wakes,
    pub(super) rollouts: &'a Cache,
    pub(super) rollouts_listed: watch::Receiver<bool>,
    pub(super) marked: Cache,
}

/// Starts to follow every kind that a Rollout names, now or later.
pub(super) fn start(with: Start<'_>, tasks: &mut JoinSet<()>) -> Workloads {
    let kinds = WorkloadKind::ALL.into_iter().map(|kind| {
        let store = Filler::new(kind.resource());
        let (state, known) = watch::channel(State::Unknown);
        let on_demand = OnDemand {
            store: store.cache(),
            state: known,
        };
        let config = watcher::Config::default()
            .timeout(WATCH_SECONDS)
            .page_size(PAGE);
        let follower = Follower {
            kind,
            client: with.client.clone(),
            scope: with.scope.clone(),
            wakes: with.wakes.clone(),
            rollouts: with.rollouts.clone(),
            rollouts_listed: with.rollouts_listed.clone(),
            config: match kind {
                // Ours are watched already, and are nobody's source.
                WorkloadKind::ReplicaSet => {
                    config.labels(&format!("!{}", with.names.pod_template_hash))
                }
                WorkloadKind::Deployment | WorkloadKind::PodTemplate => config,
            },
            store,
            state,
        };
        tasks.spawn(follower.run());
        (kind, on_demand)
    });
    Workloads {
        kinds: Arc::new(kinds.collect()),
        marked: with.marked,
    }
}

struct Follower {
    kind: WorkloadKind,
    client: Client,
    scope: Scope,
    wakes: Wakes,
    rollouts: Cache,
    rollouts_listed: watch::Receiver<bool>,
    config: watcher::Config,
    store: Filler,
    state: watch::Sender<State>,
}

impl Follower {
    async fn run(mut self) {
        // Otherwise the store has ended with the process.
        let listed = self
            .rollouts_listed
            .wait_for(|listed| *listed)
            .await
            .is_ok();
        if !listed {
            return;
        }
        while !self.rollouts.has(|rollout| names_kind(rollout, self.kind)) {
            self.state.send_replace(State::NotNeeded);
            self.wakes.names_workload(self.kind).await;
        }
        let api = self.scope.api(&self.client, &self.kind.resource());
        let mut events = watcher(api, self.config.clone())
            .default_backoff()
            .modify(|object| *object = object.pruned(prune::workload))
            .boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let changed = Changed::Workload;
                    take_in(&event, &mut self.store, &self.wakes, changed, || {
                        self.state.send_replace(State::Filled);
                    });
                }
                Err(error) => {
                    tracing::warn!(kind = self.kind.name(), "watch interrupted: {error}");
                }
            }
        }
    }
}

/// Whether a Rollout takes its pod template from this kind, as far as its text tells.
pub(super) fn names_kind(rollout: &CachedObject, kind: WorkloadKind) -> bool {
    rollout.mentions("workloadRef") && rollout.mentions(kind.name())
}
