//! `maxPendingPods`: with a router, how many pods of the new version may be not yet available at one time.
//!
//! It slows an update down and never blocks it: at least one pod may always be pending, and pods that become available make
//! room for the next. Not here: how many pods there should be in the end (`scale`).

use super::{
    pass::{Mode, Pass},
    pod_ratio,
};
use crate::rollout::snapshot::ReplicaSetView;

/// The part of `want` that the new version gets now.
pub(super) fn bounded(pass: &Pass<'_>, new: Option<&ReplicaSetView>, want: i32) -> i32 {
    let limit = pass
        .strategy
        .canary()
        .filter(|_| pass.router.is_some())
        .and_then(|canary| canary.max_pending_pods.as_ref());
    let updating = match pass.mode() {
        Mode::Stepping | Mode::Full => true,
        Mode::Stable | Mode::Aborted => false,
    };
    let Some(limit) = limit.filter(|_| updating) else {
        return want;
    };
    let most = pod_ratio::amount(Some(limit), pass.replicas(), true).max(1);
    let (replicas, available) = new.map_or((0, 0), |new| (new.replicas, new.available));
    if want <= replicas {
        return want;
    }
    let pending = (replicas - available).max(0);
    want.min(replicas.saturating_add((most - pending).max(0)))
}
