//! What a reconcile asks about pods beside the caches, and what it remembers of evictions.
//!
//! Not here: which pods are evicted (`decide::restart`).

use super::Context;
use crate::{
    rollout::{
        act::{ActError, list_pods},
        decision::Action,
        observe::pod,
        snapshot::{EvictionRefusal, PodView, Snapshot},
    },
    runtime::client::Failure,
};

/// The pods of all versions, as they are now. No watch holds them: they are asked for only while a restart is due.
pub(super) async fn list(snapshot: &Snapshot, context: &Context) -> Result<Vec<PodView>, ActError> {
    let names = &context.writer.names;
    let hashes: Vec<&str> = snapshot
        .replica_sets
        .iter()
        .filter(|set| set.replicas > 0 || set.current > 0)
        .map(|set| set.pod_template_hash.as_str())
        .collect();
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let label = format!("{} in ({})", names.pod_template_hash, hashes.join(","));
    let pods = list_pods(&context.writer, &snapshot.rollout.namespace, &label).await?;
    Ok(pods.iter().filter_map(pod).collect())
}

/// What is to be told of an eviction that the server did not allow. A conflict means that the pod is another one by now.
pub(super) fn refused_eviction(
    action: &Action,
    error: &ActError,
    at: jiff::Timestamp,
) -> Option<EvictionRefusal> {
    let (Action::EvictPod { .. }, ActError::Api { .. }) = (action, error) else {
        return None;
    };
    match error.failure() {
        Failure::Conflict | Failure::AlreadyExists | Failure::NotFound => None,
        Failure::Invalid(_) | Failure::Forbidden(_) | Failure::Transient(_) => {
            Some(EvictionRefusal {
                at,
                message: error.to_string(),
            })
        }
    }
}
