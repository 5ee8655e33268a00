//! The parts of a cluster that act by themselves, each some time after what it reacts to; and the people and programs that
//! use it, at times that whoever plays a scenario puts on the agenda.

mod autoscaler;
pub mod behaviour;
mod deployments;
mod endpoint_slices;
mod garbage_collector;
mod gateway;
pub mod gitops;
mod jobs;
pub mod kubelet;
pub(in crate::sim) mod nodes;
pub mod person;
mod replica_sets;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    nature::Mood,
    store::{Change, Key},
    world::World,
};

/// Something that will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// The ReplicaSet controller looks at a ReplicaSet.
    ReplicaSet(Key),
    /// The Deployment controller looks at a Deployment.
    Deployment(Key),
    /// The Job controller looks at a Job.
    Job(Key),
    /// The controller of autoscalers looks at one.
    Autoscaler(Key),
    /// Something happens to a pod.
    Pod(Key, kubelet::Step),
    /// Something happens to a node, by its number from 0 on.
    Node(u32, nodes::Step),
    /// The controller of the Gateways looks at a route.
    Gateway(Key),
    /// The controller of the Gateways says something else from now on.
    GatewayMood(Mood),
    /// The EndpointSlices of the Services in this namespace are brought up to date.
    EndpointSlices(String),
    /// Objects without an owner are deleted.
    Garbage,
    /// A person does something. The number tells the same wish at several times apart.
    Wish(u64, person::Wish),
    /// The GitOps agent compares the cluster with its repository.
    GitOps,
}

/// What actors remember.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The numbers of nodes that do not answer.
    pub(super) lost_nodes: BTreeSet<u32>,
    /// What autoscalers wanted, and when.
    pub(super) wanted_replicas: BTreeMap<Key, Vec<(Duration, i64)>>,
    /// The GitOps agent, if there is one.
    pub(super) gitops: Option<gitops::Agent>,
    /// How many wishes there were.
    pub(super) wishes: u64,
    /// What a person has deleted, by which it is created again.
    pub(super) deleted: BTreeMap<Key, Value>,
}

/// Whether a request that reaches the pod now is answered.
pub fn pod_serves(pod: &Value, now: Duration) -> bool {
    kubelet::serves(pod, now)
}

/// Puts on the agenda what follows from the change.
pub fn react(world: &mut World, change: &Change) {
    replica_sets::react(world, change);
    deployments::react(world, change);
    jobs::react(world, change);
    autoscaler::react(world, change);
    kubelet::react(world, change);
    gateway::react(world, change);
    endpoint_slices::react(world, change);
    garbage_collector::react(world, change);
}

/// Does something that is due.
pub fn act(world: &mut World, due: Due) {
    match due {
        Due::ReplicaSet(key) => replica_sets::sync(world, &key),
        Due::Deployment(key) => deployments::sync(world, &key),
        Due::Job(key) => jobs::sync(world, &key),
        Due::Autoscaler(key) => autoscaler::sync(world, &key),
        Due::Pod(key, step) => kubelet::step(world, &key, step),
        Due::Node(node, step) => nodes::step(world, node, step),
        Due::Gateway(key) => gateway::sync(world, &key),
        Due::GatewayMood(mood) => gateway::turn(world, mood),
        Due::EndpointSlices(namespace) => endpoint_slices::sync(world, &namespace),
        Due::Garbage => garbage_collector::collect(world),
        Due::Wish(_, wish) => person::act(world, &wish),
        Due::GitOps => gitops::sync(world),
    }
}

#[cfg(test)]
mod tests;
