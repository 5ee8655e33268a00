//! Pods, which no watch holds: a decision that has to look at them gets them beside what caches tell.
//!
//! Not here: when they are listed (`rollout::controller`).

use jiff::Timestamp;

use super::Snapshot;

/// A pod as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Uid of the ReplicaSet that controls it.
    pub replica_set_uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// It is ready.
    pub ready: bool,
    /// It is being deleted, or has ended.
    pub terminating: bool,
}

/// An eviction that was refused, most likely by a PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvictionRefusal {
    /// When.
    pub at: Timestamp,
    /// The pod and the server's message.
    pub message: String,
}

impl Snapshot {
    /// Adds the pods. They are newer than what caches tell: no version has more pods available than are listed.
    pub fn attach_pods(&mut self, pods: Vec<PodView>) {
        for set in &mut self.replica_sets {
            let ready = pods
                .iter()
                .filter(|pod| pod.replica_set_uid == set.uid && pod.ready && !pod.terminating);
            let ready = i32::try_from(ready.count()).unwrap_or(i32::MAX);
            set.ready = set.ready.min(ready);
            set.available = set.available.min(ready);
        }
        self.pods = Some(pods);
    }
}
