//! The parts of a cluster that act by themselves, each some time after what it reacts to.

mod endpoint_slices;
mod garbage_collector;
mod kubelet;
mod replica_sets;

use std::time::Duration;

use serde_json::Value;

use super::{
    store::{Change, Key},
    world::World,
};

/// Something that will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
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
pub fn pod_serves(pod: &Value, now: Duration) -> bool {
    kubelet::serves(pod, now)
}

/// Puts on the agenda what follows from the change.
pub fn react(world: &mut World, change: &Change) {
    replica_sets::react(world, change);
    kubelet::react(world, change);
    endpoint_slices::react(world, change);
    garbage_collector::react(world, change);
}

/// Does something that is due.
pub fn act(world: &mut World, due: Due) {
    match due {
        Due::ReplicaSet(key) => replica_sets::sync(world, &key),
        Due::Ready(key) => kubelet::ready(world, &key),
        Due::Gone(key) => kubelet::gone(world, &key),
        Due::EndpointSlices(namespace) => endpoint_slices::sync(world, &namespace),
        Due::Garbage => garbage_collector::collect(world),
    }
}
