//! Whether what we have written for a Rollout is done: the caches show it, and nothing of it may arrive later.
//!
//! Not here: the log of writes and of doubts (`runtime`).

use super::act::{ActError, Writer};
use crate::{
    api::{gateway_api::RouteKind, object::CachedObject, workload::WorkloadKind},
    caches::{Caches, shows_own_write},
    runtime::write_log::WriteLog,
};

/// Whether the caches show what we have written for this Rollout, and nothing of it is still on its way.
pub(super) async fn are_settled(
    rollout: &CachedObject,
    writer: &Writer,
    caches: &Caches,
) -> Result<bool, ActError> {
    if !are_shown(rollout, &writer.write_log, caches) {
        return Ok(false);
    }
    let superseded = writer
        .supersede(&caches.replica_sets, rollout.uid())
        .await?;
    Ok(!superseded)
}

/// Whether the caches show everything we wrote for this Rollout: deciding on less would decide it twice.
fn are_shown(rollout: &CachedObject, log: &WriteLog, caches: &Caches) -> bool {
    let shows = |kind: &str, object: &CachedObject| shows_own_write(log, kind, object);
    let namespace = rollout.namespace();
    shows("Rollout", rollout)
        && caches
            .replica_sets
            .owned_by(rollout.uid())
            .iter()
            .all(|object| shows("ReplicaSet", object))
        && caches
            .ingresses
            .owned_by(rollout.uid())
            .iter()
            .all(|object| shows("Ingress", object))
        && caches
            .analysis_runs
            .owned_by(rollout.uid())
            .iter()
            .all(|object| shows("AnalysisRun", object))
        && caches
            .experiments
            .owned_by(rollout.uid())
            .iter()
            .all(|object| shows("Experiment", object))
        && caches
            .services
            .select(namespace, |service| rollout.mentions(service.name()))
            .iter()
            .all(|object| shows("Service", object))
        && WorkloadKind::ALL.into_iter().all(|kind| {
            let named = caches.workloads.store(kind).map(|store| {
                store.select(namespace, |workload| {
                    rollout.mentions("workloadRef") && rollout.mentions(workload.name())
                })
            });
            named
                .iter()
                .flatten()
                .all(|object| shows(kind.name(), object))
        })
        && RouteKind::ALL.into_iter().all(|kind| {
            let named = caches
                .routes
                .store(kind)
                .map(|store| store.select(namespace, |route| rollout.mentions(route.name())));
            named
                .iter()
                .flatten()
                .all(|object| shows(kind.name(), object))
        })
}
