//! How long an update took, how long it waited for a person, and how it ended.
//!
//! Not here: any decision; nothing depends on it.

use super::{
    pass::{Mode, Pass},
    steps,
};
use crate::api::{
    conditions::{self, ConditionType},
    rollout_status::{PauseReason, RolloutStatus},
    strategy::Declared,
    update_duration::{CompletionStatus, EndedUpdate, UpdateDuration},
};

/// Notes how an update ends, right before its version becomes the stable one.
pub(super) fn promoted(pass: &mut Pass<'_>) {
    let mut entries = pass.status.ledger.iter();
    let back =
        entries.any(|entry| entry.was_stable && entry.pod_template_hash == pass.revisions.new_hash);
    let skipped = pass.mode() == Mode::Full;
    let how = match (back, skipped) {
        (false, false) => CompletionStatus::Promoted,
        (false, true) => CompletionStatus::FastPromoted,
        (true, false) => CompletionStatus::RolledBack,
        (true, true) => CompletionStatus::FastRolledBack,
    };
    end(pass, how);
}

fn end(pass: &mut Pass<'_>, how: CompletionStatus) {
    let now = pass.now();
    if let Some(duration) = &mut pass.status.duration
        && duration.finished_at.is_none()
    {
        duration.finished_at = Some(now);
        duration.completion_status = Some(how);
    }
}

/// Brings the figures up to what was decided in this pass.
pub(super) fn tell(pass: &mut Pass<'_>) {
    let old = &pass.snapshot.rollout.status;
    let another = old.current_pod_hash != pass.status.current_pod_hash;
    let retried = !another && old.aborted_at.is_some() && pass.status.aborted_at.is_none();
    if another || retried {
        start(pass, old);
    }
    match pass.mode() {
        Mode::Aborted => end(pass, CompletionStatus::Aborted),
        Mode::Stable if completed(&pass.status) => {
            let first = previous(&pass.status).is_none();
            end(
                pass,
                if first {
                    CompletionStatus::Promoted
                } else {
                    CompletionStatus::FastRolledBack
                },
            );
        }
        Mode::Stable | Mode::Stepping | Mode::Full => {}
    }
    count_pauses(pass);
}

fn completed(status: &RolloutStatus) -> bool {
    conditions::holds(&status.conditions, ConditionType::Completed)
}

fn previous(status: &RolloutStatus) -> Option<&EndedUpdate> {
    status.duration.as_ref()?.previous.as_ref()
}

/// A new update begins; the one before it is over, at the latest now.
fn start(pass: &mut Pass<'_>, old: &RolloutStatus) {
    let now = pass.now();
    // A first deploy that never served is only corrected.
    let corrected = pass.mode() == Mode::Stable && old.stable_rs != pass.status.stable_rs;
    let previous = old
        .duration
        .as_ref()
        .filter(|_| !corrected)
        .and_then(|before| {
            Some(EndedUpdate {
                rollout_started_at: before.rollout_started_at?,
                finished_at: before.finished_at.unwrap_or(now),
                completion_status: before
                    .completion_status
                    .unwrap_or(CompletionStatus::Superseded),
            })
        });
    pass.status.duration = Some(UpdateDuration {
        rollout_started_at: Some(now),
        previous,
        ..UpdateDuration::default()
    });
}

fn count_pauses(pass: &mut Pass<'_>) {
    let now = pass.now();
    let waits = waits_for_person(pass);
    let Some(duration) = &mut pass.status.duration else {
        return;
    };
    let waits = waits && duration.finished_at.is_none();
    match (waits, duration.manual_pause_started_at) {
        (true, None) => duration.manual_pause_started_at = Some(now),
        (false, Some(since)) => {
            duration.manual_pause_started_at = None;
            duration.total_manual_pause_duration_seconds += now.duration_since(since).as_secs();
        }
        (true, Some(_)) | (false, None) => {}
    }
}

/// Nothing but a person ends the pause that the update is in.
fn waits_for_person(pass: &Pass<'_>) -> bool {
    match pass.mode() {
        Mode::Stable | Mode::Aborted => return false,
        Mode::Stepping | Mode::Full => {}
    }
    pass.spec.paused
        || pass
            .status
            .pause_conditions
            .iter()
            .any(|pause| match pause.reason {
                PauseReason::CanaryPauseStep => steps::pauses_openly(pass),
                PauseReason::BlueGreenPause => match pass.strategy {
                    Declared::BlueGreen(strategy) => {
                        strategy.auto_promotion_seconds.unwrap_or(0) <= 0
                    }
                    Declared::Canary(_) => false,
                },
                PauseReason::InconclusiveAnalysisRun
                | PauseReason::InconclusiveExperiment
                | PauseReason::TrafficOverwritten => true,
            })
}
