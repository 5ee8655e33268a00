//! What is kept of the past: old ReplicaSets, finished AnalysisRuns and Experiments.
//!
//! Not here: scaling old ReplicaSets down (`scale`).

use super::{analyses, experiments, pass::Pass};
use crate::rollout::decision::{Action, Target};

/// Deletes what is beyond the limits.
pub(super) fn prune(pass: &mut Pass<'_>) {
    if pass.hold.is_some() {
        return;
    }
    analyses::prune(pass);
    experiments::prune(pass);
    let limit = usize::try_from(pass.spec.revision_history_limit()).unwrap_or(0);
    let beyond: Vec<Target> = pass
        .revisions
        .leftovers()
        .filter(|set| set.replicas == 0 && set.current == 0)
        .skip(limit)
        .map(|set| Target {
            name: set.name.clone(),
            uid: set.uid.clone(),
            resource_version: set.resource_version.clone(),
        })
        .collect();
    pass.actions.extend(
        beyond
            .into_iter()
            .map(|target| Action::DeleteReplicaSet { target }),
    );
}
