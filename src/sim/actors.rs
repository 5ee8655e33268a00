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
pub mod nodes;
pub mod person;
mod replica_sets;
pub mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    store::{Change, Key},
    world::World,
};
use turns::Turn;

/// Something that will be done.
#[derive(Clone, Debug, PartialEq)]
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
    /// The cluster behaves otherwise from now on.
    Turn(Turn),
    /// The EndpointSlices of the Services in this namespace are brought up to date.
    EndpointSlices(String),
    /// Objects without an owner are deleted.
    Garbage,
    /// A person does something.
    Wish(person::Wish),
    /// A person looks whether users can come back to a Rollout that was created again.
    Reopen(Key),
    /// The GitOps agent compares the cluster with its repository.
    GitOps,
}

impl Due {
    /// Whether it is to look at something, so that once is as good as twice.
    pub(super) fn is_a_look(&self) -> bool {
        match self {
            Self::ReplicaSet(_)
            | Self::Deployment(_)
            | Self::Job(_)
            | Self::Autoscaler(_)
            | Self::Pod(..)
            | Self::Gateway(_)
            | Self::EndpointSlices(_)
            | Self::Garbage
            | Self::Reopen(_)
            | Self::GitOps => true,
            Self::Node(..) | Self::Turn(_) | Self::Wish(_) => false,
        }
    }
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
    /// How many requests a person has made.
    pub(super) wishes: u64,
    /// What a person has deleted, by which it is created again.
    pub(super) deleted: BTreeMap<Key, Value>,
    /// Whether requests do not come in because a person has deleted what served them.
    pub(super) sent_away: bool,
    /// Whether they would come in otherwise.
    pub(super) awaited: bool,
    /// Whether it was healthy when a person last looked.
    pub(super) healthy: bool,
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
        Due::Turn(turn) => turns::take(world, turn),
        Due::EndpointSlices(namespace) => endpoint_slices::sync(world, &namespace),
        Due::Garbage => garbage_collector::collect(world),
        Due::Wish(wish) => person::act(world, &wish),
        Due::Reopen(key) => person::reopen(world, &key),
        Due::GitOps => gitops::sync(world),
    }
}

#[cfg(test)]
mod tests;
