//! Conditions and what is waited for, and what is told of actions: what people and tools see.
//!
//! Not here: the facts they are made of.

use super::pass::Pass;
use crate::{
    api::{
        analysis::AnalysisPhase,
        conditions::{self, ConditionStatus, ConditionType},
        experiment::{ExperimentStatus, TemplatePhase},
        rollout_status::NextAction,
    },
    experiment::{
        decision::ExperimentDecision,
        snapshot::{ExperimentSnapshot, Refused},
    },
    rollout::decision::{Action, Next, Note},
};

/// The decision for a spec that cannot even be read: nothing is touched.
pub(super) fn unreadable(snapshot: &ExperimentSnapshot, message: &str) -> ExperimentDecision {
    let experiment = &snapshot.experiment;
    let mut status = ExperimentStatus {
        observed_generation: Some(experiment.generation),
        waiting_for: Some(format!("the spec to be corrected: {message}")),
        next: None,
        ..experiment.status.clone()
    };
    let known = conditions::find(&status.conditions, ConditionType::InvalidSpec)
        .is_some_and(|condition| condition.message == message);
    for (type_, holds) in [
        (ConditionType::InvalidSpec, ConditionStatus::True),
        (ConditionType::Ready, ConditionStatus::False),
        (ConditionType::Stalled, ConditionStatus::True),
    ] {
        conditions::set(
            &mut status.conditions,
            type_,
            holds,
            "InvalidSpec",
            message,
            Some(experiment.generation),
            snapshot.now,
        );
    }
    conditions::clear(&mut status.conditions, ConditionType::Reconciling);
    let note = Note {
        warning: true,
        reason: "InvalidSpec",
        message: message.to_owned(),
    };
    ExperimentDecision {
        actions: Vec::new(),
        status,
        notes: if known { Vec::new() } else { vec![note] },
        next: Next::OnChange,
    }
}

fn set(
    pass: &mut Pass<'_>,
    type_: ConditionType,
    status: ConditionStatus,
    reason: &str,
    message: &str,
) {
    let (generation, now) = (pass.status.observed_generation, pass.snapshot.now);
    let all = &mut pass.status.conditions;
    conditions::set(all, type_, status, reason, message, generation, now);
}

fn present_if(pass: &mut Pass<'_>, type_: ConditionType, reason: &str, message: Option<String>) {
    match message {
        Some(message) => set(pass, type_, ConditionStatus::True, reason, &message),
        None => conditions::clear(&mut pass.status.conditions, type_),
    }
}

/// Everything that is told about this pass.
pub(super) fn tell(pass: &mut Pass<'_>) {
    let phase = *pass.status.phase.get_or_insert(AnalysisPhase::Pending);
    let invalid = pass.invalid.clone();
    if let Some(message) = &invalid {
        let known = conditions::find(&pass.status.conditions, ConditionType::InvalidSpec)
            .is_some_and(|condition| condition.message == *message);
        if !known {
            pass.note(true, "InvalidSpec", message.clone());
        }
    }
    let missing = (!pass.missing.is_empty()).then(|| {
        format!(
            "{} does not exist; create it or correct the spec",
            pass.missing.join(", ")
        )
    });
    let is_held = invalid.is_some() && !phase.is_terminal();
    present_if(pass, ConditionType::InvalidSpec, "InvalidSpec", invalid);
    present_if(pass, ConditionType::ReferenceMissing, "NotFound", missing);
    let failure = replica_failure(pass);
    present_if(pass, ConditionType::ReplicaFailure, "FailedCreate", failure);

    pass.status.waiting_for = pass.waits.first().map(|wait| wait.why.clone());
    let until = pass.waits.first().and_then(|wait| wait.until);
    if let Some(at) = until {
        pass.status.next = Some(NextAction {
            action: "end the Experiment, if all required analyses are successful".to_owned(),
            at: Some(at),
        });
    }

    let message = pass
        .status
        .message
        .clone()
        .or_else(|| pass.status.waiting_for.clone())
        .unwrap_or_default();
    let (ready, reason, reconciling, stalled) = match phase {
        AnalysisPhase::Pending | AnalysisPhase::Running if is_held => {
            (ConditionStatus::False, "InvalidSpec", false, true)
        }
        AnalysisPhase::Pending => (ConditionStatus::Unknown, "Pending", true, false),
        AnalysisPhase::Running => (ConditionStatus::Unknown, "Running", true, false),
        AnalysisPhase::Successful => (ConditionStatus::True, "Successful", false, false),
        AnalysisPhase::Failed => (ConditionStatus::False, "Failed", false, true),
        AnalysisPhase::Error => (ConditionStatus::False, "Error", false, true),
        AnalysisPhase::Inconclusive => (ConditionStatus::False, "Inconclusive", false, true),
    };
    set(pass, ConditionType::Ready, ready, reason, &message);
    let moving = reconciling.then(|| message.clone());
    present_if(pass, ConditionType::Reconciling, reason, moving);
    let stuck = stalled.then(|| message.clone());
    present_if(pass, ConditionType::Stalled, reason, stuck);
    tell_progress(pass, phase);
}

/// As in Argo Rollouts: whether pods come up in time, or why they did not.
fn tell_progress(pass: &mut Pass<'_>, phase: AnalysisPhase) {
    let late = pass
        .status
        .template_statuses
        .iter()
        .any(|status| status.status == Some(TemplatePhase::Failed));
    if late {
        let reason = "ProgressDeadlineExceeded";
        return set(
            pass,
            ConditionType::Progressing,
            ConditionStatus::False,
            reason,
            "",
        );
    }
    let (status, reason) = match phase {
        AnalysisPhase::Pending => (ConditionStatus::True, "ReplicaSetUpdated"),
        AnalysisPhase::Running => (ConditionStatus::True, "ExperimentRunning"),
        AnalysisPhase::Successful
        | AnalysisPhase::Failed
        | AnalysisPhase::Error
        | AnalysisPhase::Inconclusive => (ConditionStatus::False, "ExperimentCompleted"),
    };
    set(pass, ConditionType::Progressing, status, reason, "");
}

fn replica_failure(pass: &Pass<'_>) -> Option<String> {
    let refused = pass.snapshot.refusals.first_key_value().map(|(name, why)| {
        let why = match why {
            Refused::Invalid(why) | Refused::Forbidden(why) => why,
            Refused::Taken => "the name is taken by an object of somebody else",
        };
        format!("{name}: {why}")
    });
    let sets = &pass.snapshot.replica_sets;
    refused.or_else(|| sets.iter().find_map(|set| set.failure.clone()))
}

/// What to tell about an action that was carried out.
pub fn note_of_action(action: &Action, snapshot: &ExperimentSnapshot) -> Option<Note> {
    let (reason, message) = match action {
        Action::CreateReplicaSet { name, object: _ } => {
            ("NewReplicaSetCreated", format!("Created ReplicaSet {name}"))
        }
        Action::PatchReplicaSet {
            target,
            replicas: Some(to),
            annotations: _,
            template: _,
        } => {
            let mut sets = snapshot.replica_sets.iter();
            let set = sets.find(|set| set.name == target.name)?;
            let direction = if *to > set.replicas { "up" } else { "down" };
            let message = format!(
                "Scaled {direction} ReplicaSet {} from {} to {to}",
                set.name, set.replicas
            );
            ("ScalingReplicaSet", message)
        }
        Action::CreateService { name, object: _ } => {
            ("ServiceCreated", format!("Created Service {name}"))
        }
        Action::DeleteService { target } => {
            ("ServiceDeleted", format!("Deleted Service {}", target.name))
        }
        Action::CreateAnalysisRun { name, object: _ } => {
            ("AnalysisRunCreated", format!("Created AnalysisRun {name}"))
        }
        Action::PatchReplicaSet {
            target: _,
            replicas: None,
            annotations: _,
            template: _,
        }
        | Action::AdoptReplicaSet { .. }
        | Action::RecogniseReplicaSet { .. }
        | Action::PatchPods { .. }
        | Action::EvictPod { .. }
        | Action::ScaleWorkload { .. }
        | Action::RestoreWorkload { .. }
        | Action::DeleteReplicaSet { .. }
        | Action::PinService { .. }
        | Action::CreateIngress { .. }
        | Action::PatchIngress { .. }
        | Action::PatchRoute { .. }
        | Action::DeleteIngress { .. }
        | Action::CreateExperiment { .. }
        | Action::TerminateExperiment { .. }
        | Action::DeleteExperiment { .. }
        | Action::ReadPodTemplate { .. }
        | Action::TerminateAnalysisRun { .. }
        | Action::DeleteAnalysisRun { .. } => return None,
    };
    Some(Note {
        warning: false,
        reason,
        message,
    })
}
