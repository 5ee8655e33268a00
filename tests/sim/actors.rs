//! The parts of a cluster that act by themselves, each some time after what it reacts to.

mod endpoint_slices;
mod garbage_collector;
mod kubelet;
mod replica_sets;

use std::time::Duration;

use serde_json::Value;

use super::{
    store::{Change, Key},
    world::{Shared, World},
};

/// Something that will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The ReplicaSet controller looks at a ReplicaSet.
    ReplicaSet(Key),
    /// A pod becomes ready.
    Ready(Key),
    /// A pod that was told to end is gone.
    Gone(Key),
    /// The EndpointSlices of the Services in this namespace are brought up to date.
    EndpointSlices(String),
    /// Objects without an owner are deleted.
    Garbage,
}

/// Whether a request that reaches the pod now is answered.
pub(super) fn pod_serves(pod: &Value, now: Duration) -> bool {
    kubelet::serves(pod, now)
}

/// Puts on the agenda what follows from the change.
pub(super) fn react(world: &mut World, change: &Change) {
    replica_sets::react(world, change);
    kubelet::react(world, change);
    endpoint_slices::react(world, change);
    garbage_collector::react(world, change);
}

fn act(world: &mut World, due: Due) {
    match due {
        Due::ReplicaSet(key) => replica_sets::sync(world, &key),
        Due::Ready(key) => kubelet::ready(world, &key),
        Due::Gone(key) => kubelet::gone(world, &key),
        Due::EndpointSlices(namespace) => endpoint_slices::sync(world, &namespace),
        Due::Garbage => garbage_collector::collect(world),
    }
}

/// Does what is due, when it is due, for ever.
pub(super) async fn live(shared: Shared) {
    loop {
        let next = {
            let mut world = shared.lock();
            loop {
                let now = world.now();
                let first = world.agenda.first_key_value().map(|(at, _)| *at);
                match first {
                    Some(at) if at.0 <= now => {
                        let due = world.agenda.remove(&at).expect("it was there");
                        act(&mut world, due);
                    }
                    Some((at, _)) => break Some(at - now),
                    None => break None,
                }
            }
        };
        let timer = async {
            match next {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.signals.planned.notified() => {}
            () = timer => {}
        }
    }
}
