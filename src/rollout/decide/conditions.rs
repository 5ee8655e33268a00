//! Conditions, phase, message, and what is waited for: what people and tools see.
//!
//! Not here: the facts they are made of.

use jiff::{SignedDuration, Timestamp};

use super::{
    bake, blue_green,
    pass::{Mode, Pass},
    progress, restart, scale, services, threshold, traffic,
};
use crate::{
    api::{
        conditions::{self, ConditionStatus, ConditionType},
        rollout_status::{NextAction, Overwritten, PauseCondition, Phase, RolloutStatus},
        strategy::Declared,
    },
    rollout::{
        decision::{Decision, Next, Note},
        snapshot::{RefusalKind, Snapshot},
    },
};

/// The decision for a spec that cannot even be read: nothing is touched.
pub(super) fn unreadable(snapshot: &Snapshot, message: &str) -> Decision {
    let mut status = RolloutStatus {
        observed_generation: Some(snapshot.rollout.generation),
        phase: Some(Phase::Degraded),
        message: format!("InvalidSpec: {message}"),
        waiting_for: Some(format!("the spec to be corrected: {message}")),
        next: None,
        ..snapshot.rollout.status.clone()
    };
    let known = conditions::find(&status.conditions, ConditionType::InvalidSpec)
        .is_some_and(|condition| condition.message == message);
    let generation = Some(snapshot.rollout.generation);
    let mut set = |type_, holds: ConditionStatus| {
        conditions::set(
            &mut status.conditions,
            type_,
            holds,
            "InvalidSpec",
            message,
            generation,
            snapshot.now,
        );
    };
    set(ConditionType::InvalidSpec, ConditionStatus::True);
    set(ConditionType::Progressing, ConditionStatus::False);
    set(ConditionType::Healthy, ConditionStatus::False);
    set(ConditionType::Ready, ConditionStatus::False);
    set(ConditionType::Stalled, ConditionStatus::True);
    conditions::clear(&mut status.conditions, ConditionType::Reconciling);
    let notes = if known {
        Vec::new()
    } else {
        vec![Note {
            warning: true,
            reason: "InvalidSpec",
            message: message.to_owned(),
        }]
    };
    Decision {
        actions: Vec::new(),
        status,
        notes,
        next: Next::OnChange,
    }
}

/// Somebody else changed traffic fields of ours: says who.
pub(super) fn overwritten(pass: &mut Pass<'_>, by: String, what: &str) {
    let now = pass.now();
    let rounds = pass
        .status
        .overwritten
        .as_ref()
        .filter(|before| before.what == what)
        .filter(|before| now.duration_since(before.last).as_secs() < traffic::QUIET)
        .map_or(0, |before| before.rounds);
    let message = format!(
        "{by} changed {what}, which this Rollout manages while it has traffic; it was put back"
    );
    set(
        pass,
        ConditionType::TrafficOverwritten,
        ConditionStatus::True,
        "TrafficOverwritten",
        &message,
    );
    pass.note(true, "TrafficOverwritten", message);
    pass.status.overwritten = Some(Overwritten {
        what: what.to_owned(),
        by,
        rounds: rounds.saturating_add(1),
        last: now,
    });
}

/// What was overwritten long ago is over.
fn forget_overwritten(pass: &mut Pass<'_>) {
    let Some(overwritten) = &pass.status.overwritten else {
        return;
    };
    let quiet = SignedDuration::from_secs(traffic::QUIET);
    let over = overwritten
        .last
        .saturating_add(quiet)
        .unwrap_or(Timestamp::MAX);
    if pass.now() < over {
        pass.look_again(over);
        return;
    }
    pass.status.overwritten = None;
    set(
        pass,
        ConditionType::TrafficOverwritten,
        ConditionStatus::False,
        "Quiet",
        "",
    );
}

fn set(
    pass: &mut Pass<'_>,
    type_: ConditionType,
    status: ConditionStatus,
    reason: &str,
    message: &str,
) {
    let (generation, now): (_, Timestamp) = (pass.status.observed_generation, pass.now());
    conditions::set(
        &mut pass.status.conditions,
        type_,
        status,
        reason,
        message,
        generation,
        now,
    );
}

fn present_if(pass: &mut Pass<'_>, type_: ConditionType, reason: &str, message: Option<String>) {
    match message {
        Some(message) => set(pass, type_, ConditionStatus::True, reason, &message),
        None => conditions::clear(&mut pass.status.conditions, type_),
    }
}

/// Everything that is told about this pass.
pub(super) fn tell(pass: &mut Pass<'_>) {
    forget_overwritten(pass);
    let was_completed = conditions::holds(&pass.status.conditions, ConditionType::Completed);
    let unfinished = unfinished(pass);
    let (phase, reason, message) = phase(pass, unfinished.as_deref());
    let replica_failure = replica_failure(pass);
    let missing = (!pass.missing.is_empty()).then(|| {
        format!(
            "{} does not exist; create it or correct the spec",
            pass.missing.join(", ")
        )
    });
    let invalid = pass.invalid.clone();
    present_if(pass, ConditionType::InvalidSpec, "InvalidSpec", invalid);
    present_if(pass, ConditionType::ReferenceMissing, "NotFound", missing);
    present_if(
        pass,
        ConditionType::ReplicaFailure,
        "FailedCreate",
        replica_failure,
    );
    tell_availability(pass);
    tell_progress(pass, phase, &reason, &message);
    let completed = pass.mode() == Mode::Stable && (unfinished.is_none() || was_completed);
    set(
        pass,
        ConditionType::Completed,
        completed.into(),
        if completed {
            "RolloutCompleted"
        } else {
            "RolloutNotCompleted"
        },
        "",
    );
    if was_completed && !completed {
        let revision = pass.status.revision.unwrap_or(0);
        let hash = pass.revisions.new_hash.clone();
        pass.note(
            false,
            "RolloutNotCompleted",
            format!("Rollout not completed, started update to revision {revision} ({hash})"),
        );
    }
    if completed && !was_completed {
        let revision = pass.status.revision.unwrap_or(0);
        pass.note(
            false,
            "RolloutHealthy",
            format!("Rollout is healthy at revision {revision}"),
        );
    }
    let healthy = phase == Phase::Healthy;
    set(
        pass,
        ConditionType::Healthy,
        healthy.into(),
        if healthy {
            "RolloutHealthy"
        } else {
            "RolloutNotHealthy"
        },
        if healthy {
            "Rollout is healthy"
        } else {
            "Rollout is not healthy"
        },
    );
    tell_kstatus(pass, phase, &reason, &message);
    if pass.status.phase != Some(phase) && phase == Phase::Degraded && reason != "RolloutAborted" {
        pass.note(true, "RolloutDegraded", message.clone());
    }
    pass.status.phase = Some(phase);
    pass.status.message = message;
    tell_waits(pass, phase);
}

/// The phase with its reason and message; the first that holds.
fn phase(pass: &Pass<'_>, unfinished: Option<&str>) -> (Phase, String, String) {
    if let Some(invalid) = &pass.invalid {
        return (
            Phase::Degraded,
            "InvalidSpec".to_owned(),
            format!("InvalidSpec: {invalid}"),
        );
    }
    if pass.mode() == Mode::Aborted {
        let revision = pass.status.revision.unwrap_or(0);
        let cause = pass.status.abort_cause.as_ref();
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        return (
            Phase::Degraded,
            "RolloutAborted".to_owned(),
            format!("RolloutAborted: Rollout aborted update to revision {revision}{cause}"),
        );
    }
    if progress::exceeded(pass) {
        let set = pass.revisions.new.map_or_else(
            || pass.snapshot.rollout.name.clone(),
            |new| new.name.clone(),
        );
        return (
            Phase::Degraded,
            "ProgressDeadlineExceeded".to_owned(),
            format!("ProgressDeadlineExceeded: ReplicaSet {set} has timed out progressing"),
        );
    }
    if pass.spec.paused {
        return (
            Phase::Paused,
            "RolloutPaused".to_owned(),
            "manually paused".to_owned(),
        );
    }
    if let Some(pause) = main_pause(&pass.status) {
        return (
            Phase::Paused,
            "RolloutPaused".to_owned(),
            pause.reason.name().to_owned(),
        );
    }
    match unfinished {
        Some(message) => (
            Phase::Progressing,
            "ReplicaSetUpdated".to_owned(),
            message.to_owned(),
        ),
        None => (
            Phase::Healthy,
            "NewReplicaSetAvailable".to_owned(),
            String::new(),
        ),
    }
}

/// The pause that is told: one that asks a person before one of a step.
fn main_pause(status: &RolloutStatus) -> Option<&PauseCondition> {
    let pauses = &status.pause_conditions;
    pauses
        .iter()
        .find(|pause| pause.reason.asks_person())
        .or_else(|| pauses.first())
}

/// Why the Rollout is not healthy yet, in the words that clients match on.
fn unfinished(pass: &Pass<'_>) -> Option<String> {
    let text = |text: &str| Some(text.to_owned());
    if !pass.missing.is_empty() {
        return Some(format!("waiting for {} to exist", pass.missing.join(", ")));
    }
    if restart::under_way(pass) {
        return text("rollout is restarting");
    }
    let want = scale::wanted_new(pass);
    let Some(new) = pass.revisions.new else {
        return text("more replicas need to be updated");
    };
    if new.replicas < want || new.current < want {
        return text("more replicas need to be updated");
    }
    if new.available < threshold::enough(pass, want) {
        return text("updated replicas are still becoming available");
    }
    if bake::is_on(pass) {
        return text(bake::UNFINISHED);
    }
    if pass.mode() != Mode::Stable {
        let analysing = pass
            .status
            .canary
            .current_step_analysis_run_status
            .is_some();
        return text(match pass.strategy {
            Declared::BlueGreen(_) => blue_green::unfinished(pass),
            Declared::Canary(_) if analysing => "waiting for analysis to complete",
            Declared::Canary(_) => "waiting for all steps to complete",
        });
    }
    if new.replicas > want || !services::stable_serves(pass) || !services::pinned_at_rest(pass) {
        return text(match pass.strategy {
            Declared::BlueGreen(_) => "active service cutover pending",
            Declared::Canary(_) => "waiting for the stable Service to select the new version",
        });
    }
    if pass.observed.highest > 0 || pass.observed.by_header {
        return text("waiting for all traffic to reach the stable Service");
    }
    if pass.strategy.canary().is_some()
        && pass.router.is_none()
        && pass.revisions.leftovers().any(|old| old.replicas > 0)
    {
        return text("old replicas are pending termination");
    }
    None
}

fn replica_failure(pass: &Pass<'_>) -> Option<String> {
    let refused = pass
        .snapshot
        .refusal
        .as_ref()
        .filter(|refusal| refusal.kind == RefusalKind::Forbidden);
    let new = pass.revisions.new.and_then(|new| new.failure.clone());
    refused
        .map(|refusal| refusal.message.clone())
        .or(new)
        .or_else(|| {
            pass.revisions
                .stable()
                .and_then(|stable| stable.failure.clone())
        })
}

fn tell_availability(pass: &mut Pass<'_>) {
    let available: i32 = pass
        .snapshot
        .replica_sets
        .iter()
        .map(|set| set.available)
        .sum();
    let enough = available >= pass.replicas();
    set(
        pass,
        ConditionType::Available,
        enough.into(),
        if enough {
            "AvailableReason"
        } else {
            "MinimumReplicasUnavailable"
        },
        if enough {
            "Rollout has minimum availability"
        } else {
            "Rollout does not have minimum availability"
        },
    );
}

fn tell_progress(pass: &mut Pass<'_>, phase: Phase, reason: &str, message: &str) {
    let message = message
        .strip_prefix(&format!("{reason}: "))
        .unwrap_or(message)
        .to_owned();
    let (status, paused) = match phase {
        Phase::Healthy | Phase::Progressing => (ConditionStatus::True, false),
        Phase::Paused => (ConditionStatus::Unknown, true),
        Phase::Degraded => (ConditionStatus::False, false),
    };
    set(pass, ConditionType::Progressing, status, reason, &message);
    let known = conditions::find(&pass.status.conditions, ConditionType::Paused).is_some();
    if paused || known {
        set(
            pass,
            ConditionType::Paused,
            paused.into(),
            if paused {
                "RolloutPaused"
            } else {
                "RolloutResumed"
            },
            if paused { &message } else { "" },
        );
    }
}

/// Ready, and Reconciling or Stalled only while true, never both.
fn tell_kstatus(pass: &mut Pass<'_>, phase: Phase, reason: &str, message: &str) {
    let (ready, reason, reconciling, stalled) = match phase {
        Phase::Healthy => (ConditionStatus::True, "RolloutHealthy", false, false),
        Phase::Progressing => (ConditionStatus::Unknown, "Progressing", true, false),
        Phase::Paused => (ConditionStatus::False, "AwaitingApproval", true, false),
        Phase::Degraded if reason == "RolloutAborted" => {
            (ConditionStatus::False, "RolledBack", false, true)
        }
        Phase::Degraded => (ConditionStatus::False, reason, false, true),
    };
    set(pass, ConditionType::Ready, ready, reason, message);
    present_if(
        pass,
        ConditionType::Reconciling,
        reason,
        reconciling.then(|| message.to_owned()),
    );
    present_if(
        pass,
        ConditionType::Stalled,
        reason,
        stalled.then(|| message.to_owned()),
    );
}

/// The first thing that is waited for, and what comes next.
fn tell_waits(pass: &mut Pass<'_>, phase: Phase) {
    let planned = pass.status.next.take();
    pass.status.waiting_for = match (pass.waits.first(), phase) {
        (Some(wait), _) => Some(wait.why.clone()),
        (None, Phase::Progressing) => {
            let message = &pass.status.message;
            let what = message.strip_prefix("waiting for ").unwrap_or(message);
            Some(what.to_owned())
        }
        (None, Phase::Degraded) if pass.mode() == Mode::Aborted => {
            Some("another version to be declared, or a retry".to_owned())
        }
        (None, Phase::Degraded) if progress::exceeded(pass) => {
            Some(format!("pods to become available: {}", pass.status.message))
        }
        (None, Phase::Healthy | Phase::Paused | Phase::Degraded) => None,
    };
    let at = pass.waits.first().and_then(|wait| wait.until);
    pass.status.next = next_action(pass, at).or(planned);
}

fn next_action(pass: &Pass<'_>, at: Option<Timestamp>) -> Option<NextAction> {
    match pass.mode() {
        Mode::Stable | Mode::Aborted => return None,
        Mode::Stepping | Mode::Full => {}
    }
    if pass.frozen() {
        return None;
    }
    if let Declared::BlueGreen(strategy) = pass.strategy {
        return Some(blue_green::next_action(pass, strategy, at));
    }
    let steps = pass.strategy.steps();
    let index = pass.step_index();
    let action = match steps.get(index + 1) {
        Some(step) if pass.mode() == Mode::Stepping => format!(
            "step {}/{}: {}",
            index + 2,
            steps.len(),
            super::steps::describe(step)
        ),
        Some(_) | None => format!("promote revision {}", pass.status.revision.unwrap_or(0)),
    };
    Some(NextAction { action, at })
}
