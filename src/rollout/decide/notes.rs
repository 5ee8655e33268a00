//! What people are told: edges between the old and the new status, and actions that were carried out.
//!
//! Not here: how Events are published.

use super::{
    pass::{Mode, Pass},
    replica_set,
};
use crate::{
    api::rollout_status::AnalysisRunReference,
    rollout::{
        decision::{Action, Note},
        snapshot::Snapshot,
    },
};

/// Tells what changed with this pass.
pub(super) fn tell_edges(pass: &mut Pass<'_>) {
    let old = &pass.snapshot.rollout.status;
    let revision = pass.status.revision.unwrap_or(0);
    if old.current_pod_hash != pass.status.current_pod_hash {
        pass.note(
            false,
            "RolloutUpdated",
            format!("Rollout updated to revision {revision}"),
        );
    }
    let was_paused = !old.pause_conditions.is_empty();
    let paused = pass
        .status
        .pause_conditions
        .first()
        .map(|condition| condition.reason);
    match (was_paused, paused) {
        (false, Some(reason)) => pass.note(
            false,
            "RolloutPaused",
            format!("Rollout is paused ({})", reason.name()),
        ),
        (true, None) if pass.mode() != Mode::Aborted => {
            pass.note(false, "RolloutResumed", "Rollout is resumed".to_owned());
        }
        (true | false, _) => {}
    }
    let runs = old
        .analysis_runs()
        .into_iter()
        .zip(pass.status.analysis_runs());
    let told: Vec<Note> = runs.filter_map(|(old, new)| run_note(old, new?)).collect();
    pass.notes.extend(told);
}

fn run_note(old: Option<&AnalysisRunReference>, new: &AnalysisRunReference) -> Option<Note> {
    if old.is_some_and(|old| old.name == new.name && old.status == new.status) {
        return None;
    }
    let (warning, reason) = match new.status.as_str() {
        "Running" => (false, "AnalysisRunRunning"),
        "Successful" => (false, "AnalysisRunSuccessful"),
        "Failed" => (true, "AnalysisRunFailed"),
        "Error" => (true, "AnalysisRunError"),
        "Inconclusive" => (true, "AnalysisRunInconclusive"),
        _ => return None,
    };
    let message = if new.message.is_empty() {
        String::new()
    } else {
        format!(": {}", new.message)
    };
    Some(Note {
        warning,
        reason,
        message: format!("AnalysisRun {} is {}{message}", new.name, new.status),
    })
}

/// What to tell about an action that was carried out.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of action")]
pub fn note_of_action(action: &Action, snapshot: &Snapshot) -> Option<Note> {
    let note = |reason, message| {
        Some(Note {
            warning: false,
            reason,
            message,
        })
    };
    match action {
        Action::AdoptReplicaSet { target, owner: _ } => note(
            "AdoptedReplicaSet",
            format!(
                "Took over ReplicaSet {}, which nobody controlled",
                target.name
            ),
        ),
        Action::CreateReplicaSet { name, object } => {
            let revision = object
                .pointer("/metadata/annotations")
                .and_then(|all| all.get(&snapshot.names.revision))
                .and_then(|text| text.as_str());
            note(
                "NewReplicaSetCreated",
                format!(
                    "Created ReplicaSet {name} (revision {})",
                    revision.unwrap_or("?")
                ),
            )
        }
        Action::PatchReplicaSet {
            target,
            replicas: Some(to),
            annotations: _,
            template: _,
        } => {
            let set = snapshot
                .replica_sets
                .iter()
                .find(|set| set.name == target.name)?;
            let direction = if *to > set.replicas { "up" } else { "down" };
            note(
                "ScalingReplicaSet",
                format!(
                    "Scaled {direction} ReplicaSet {} (revision {}) from {} to {to}",
                    set.name, set.revision, set.replicas
                ),
            )
        }
        Action::PinService {
            target,
            pod_template_hash,
            ..
        } => {
            let service = snapshot.services.get(&target.name)?;
            if service.selector.get(&snapshot.names.pod_template_hash) == Some(pod_template_hash) {
                return None;
            }
            let set = replica_set::name(&snapshot.rollout.name, pod_template_hash);
            note(
                "SwitchService",
                format!("Service {} now selects {set}", target.name),
            )
        }
        Action::CreateIngress { name, object: _ } => {
            note("CreatingCanaryIngress", format!("Created Ingress {name}"))
        }
        Action::DeleteIngress { target } => note(
            "DeletedCanaryIngress",
            format!("Deleted Ingress {}", target.name),
        ),
        Action::CreateAnalysisRun { name, object: _ } => {
            note("AnalysisRunCreated", format!("Created AnalysisRun {name}"))
        }
        Action::EvictPod { target } => note(
            "RestartingPod",
            format!(
                "Evicted pod {}, which is older than spec.restartAt",
                target.name
            ),
        ),
        Action::ScaleWorkload {
            target,
            from,
            at_rest,
            rollout: _,
        } => note(
            "ScalingWorkload",
            format!(
                "Scaled down Deployment {} from {from} to {}",
                target.name, at_rest.scaled_to
            ),
        ),
        Action::RestoreWorkload { target, replicas } => note(
            "RestoredWorkload",
            match replicas {
                Some(replicas) => format!(
                    "Gave Deployment {} its {replicas} replicas back",
                    target.name
                ),
                None => format!("Deployment {} is left as it is", target.name),
            },
        ),
        Action::CreateExperiment { name, object: _ } => {
            note("ExperimentCreated", format!("Created Experiment {name}"))
        }
        Action::PatchReplicaSet {
            target: _,
            replicas: None,
            annotations: _,
            template: _,
        }
        | Action::RecogniseReplicaSet { .. }
        | Action::PatchPods { .. }
        | Action::DeleteReplicaSet { .. }
        | Action::PatchIngress { .. }
        | Action::PatchRoute { .. }
        | Action::CreateService { .. }
        | Action::DeleteService { .. }
        | Action::TerminateExperiment { .. }
        | Action::DeleteExperiment { .. }
        | Action::ReadPodTemplate { .. }
        | Action::TerminateAnalysisRun { .. }
        | Action::DeleteAnalysisRun { .. } => None,
    }
}
