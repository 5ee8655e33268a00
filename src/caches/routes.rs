//! Stores of kinds that a cluster may not have. Such a kind is watched as soon as it is served: what is missing is looked
//! for at the start, when a Rollout that names it changes, and every now and then while there is such a Rollout.
//!
//! Not here: kinds that every cluster has (`super::begin`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Client,
    core::ApiResource,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{Cache, Filler, Scope, WATCH_SECONDS, Wakes, prune, take_in, wake::Changed};
use crate::{
    api::gateway_api::{GROUP, RouteKind, VERSION},
    runtime::client::{Failure, with_deadline},
};

/// How long one question may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// After a question that was not answered.
const UNANSWERED: Duration = Duration::from_secs(1);
/// Changes that come together are one reason to ask.
const SETTLE: Duration = Duration::from_secs(1);
/// While a Rollout names a kind that is not served.
const AGAIN: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Availability {
    Unknown,
    /// Not served, or not to be read by this identity.
    Absent,
    /// The store has had its first list.
    Filled,
}

/// One store per kind of route; empty as long as the cluster does not serve the kind.
#[derive(Clone, Debug)]
pub struct Routes(Arc<BTreeMap<RouteKind, Optional>>);

#[derive(Debug)]
struct Optional {
    store: Cache,
    availability: watch::Receiver<Availability>,
}

impl Routes {
    /// Kinds that are served, with what is in them.
    pub(super) fn filled(stores: BTreeMap<RouteKind, Cache>) -> Self {
        let filled = |store| Optional {
            store,
            availability: watch::channel(Availability::Filled).1,
        };
        let stores = stores.into_iter();
        Self(Arc::new(
            stores.map(|(kind, store)| (kind, filled(store))).collect(),
        ))
    }

    /// The store of a kind.
    pub fn store(&self, kind: RouteKind) -> Option<&Cache> {
        self.0.get(&kind).map(|optional| &optional.store)
    }

    /// Whether the cluster serves the kind, as far as is known.
    pub fn serves(&self, kind: RouteKind) -> bool {
        let optional = self.0.get(&kind);
        optional.is_some_and(|optional| *optional.availability.borrow() == Availability::Filled)
    }

    /// Resolves when it is known whether the kind is served, and its store is filled if it is.
    pub(super) async fn known(&self, kind: RouteKind) {
        let Some(optional) = self.0.get(&kind) else {
            return;
        };
        let mut availability = optional.availability.clone();
        // An error means that the watch has ended with the process.
        availability
            .wait_for(|availability| *availability != Availability::Unknown)
            .await
            .ok();
    }
}

/// Starts to look for every kind.
pub(super) fn start(
    client: &Client,
    scope: &Scope,
    wakes: &Wakes,
    tasks: &mut JoinSet<()>,
) -> Routes {
    let all = RouteKind::ALL.into_iter().map(|kind| {
        let store = Filler::new(kind.resource());
        let (availability, known) = watch::channel(Availability::Unknown);
        let optional = Optional {
            store: store.cache(),
            availability: known,
        };
        let follower = Follower {
            kind,
            client: client.clone(),
            scope: scope.clone(),
            wakes: wakes.clone(),
            store,
            availability,
        };
        tasks.spawn(follower.run());
        (kind, optional)
    });
    Routes(Arc::new(all.collect()))
}

struct Follower {
    kind: RouteKind,
    client: Client,
    scope: Scope,
    wakes: Wakes,
    store: Filler,
    availability: watch::Sender<Availability>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            match self.is_served().await {
                None => sleep(UNANSWERED).await,
                Some(true) => {
                    self.follow().await;
                    self.becomes_absent();
                    self.asked_for().await;
                }
                Some(false) => {
                    self.becomes_absent();
                    self.asked_for().await;
                }
            }
        }
    }

    /// `None` when the API server did not answer.
    async fn is_served(&self) -> Option<bool> {
        let version = format!("{GROUP}/{VERSION}");
        let question = self.client.list_api_group_resources(&version);
        match with_deadline(DEADLINE, question).await {
            Ok(list) => {
                let plural = self.kind.plural();
                Some(
                    list.resources
                        .iter()
                        .any(|resource| resource.name == plural),
                )
            }
            Err(error) => match error.failure() {
                Failure::Transient(why) => {
                    tracing::warn!(kind = self.kind.name(), "is it served? {why}");
                    None
                }
                Failure::NotFound
                | Failure::Forbidden(_)
                | Failure::Invalid(_)
                | Failure::Conflict
                | Failure::AlreadyExists => Some(false),
            },
        }
    }

    /// Watches until the kind is not served any more.
    async fn follow(&mut self) {
        let resource: ApiResource = self.kind.resource();
        let api = self.scope.api(&self.client, &resource);
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let mut events = watcher(api, config)
            .default_backoff()
            .modify(|object| *object = object.pruned(prune::route))
            .boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let changed = Changed::Route(self.kind);
                    take_in(&event, &mut self.store, &self.wakes, changed, || {
                        self.availability.send_replace(Availability::Filled);
                    });
                }
                Err(error) => {
                    tracing::warn!(kind = self.kind.name(), "watch interrupted: {error}");
                    if is_absent(&error, *self.availability.borrow()) {
                        return;
                    }
                }
            }
        }
    }

    /// What was known of the kind is no longer true.
    fn becomes_absent(&mut self) {
        let before = self.availability.send_replace(Availability::Absent);
        if before == Availability::Filled {
            self.store.apply(&watcher::Event::Init);
            self.store.apply(&watcher::Event::InitDone);
            self.wakes.wake_all();
        }
    }

    /// Until there is a reason to ask again: a Rollout that names the kind has changed, or still waits.
    async fn asked_for(&self) {
        let waits = self.wakes.is_named(self.kind);
        tokio::select! {
            () = self.wakes.named(self.kind) => sleep(SETTLE).await,
            () = sleep(AGAIN), if waits => {}
        }
    }
}

/// Whether an answer to a watch means that there is no such kind here, or none that may be read.
fn is_absent(error: &watcher::Error, before: Availability) -> bool {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => return false,
    };
    match status.code {
        404 => true,
        // An API server that has just started refuses everybody until it has read its rules. What was read stays: without its
        // routes a Rollout could not even be aborted.
        403 => before != Availability::Filled,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn what_was_read_is_not_forgotten_because_a_server_refuses() {
        let answered = |code: u16| {
            let status = Status::failure("said so", "").with_code(code).boxed();
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
        };
        for (error, before, expected) in [
            (answered(404), Availability::Filled, true),
            (answered(404), Availability::Unknown, true),
            (answered(403), Availability::Filled, false),
            (answered(403), Availability::Unknown, true),
            (answered(403), Availability::Absent, true),
            (answered(500), Availability::Unknown, false),
            (
                watcher::Error::NoResourceVersion,
                Availability::Unknown,
                false,
            ),
        ] {
            assert_eq!(is_absent(&error, before), expected, "{error} {before:?}");
        }
    }
}
