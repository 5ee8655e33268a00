//! Pauses: when one begins and ends, and how it is seen that a person has ended one.
//!
//! Not here: which step or gate pauses (`steps`, `blue_green`).

use jiff::Timestamp;

use super::{experiments, pass::Pass};
use crate::api::rollout_status::{PauseCondition, PauseReason};

/// The time at which the pause began: now, if it has not yet.
pub(super) fn begin(pass: &mut Pass<'_>, reason: PauseReason) -> Timestamp {
    let known = pass
        .status
        .pause_conditions
        .iter()
        .find(|pause| pause.reason == reason);
    if let Some(known) = known {
        return known.start_time;
    }
    let start_time = pass.now();
    pass.status
        .pause_conditions
        .push(PauseCondition { reason, start_time });
    pass.status.controller_pause = true;
    start_time
}

/// Ends the pauses for this reason.
pub(super) fn end(pass: &mut Pass<'_>, reason: PauseReason) {
    pass.status
        .pause_conditions
        .retain(|pause| pause.reason != reason);
    pass.status.controller_pause = !pass.status.pause_conditions.is_empty();
}

/// Whether the Rollout is paused for this reason.
pub(super) fn is_paused(pass: &Pass<'_>, reason: PauseReason) -> bool {
    pass.status
        .pause_conditions
        .iter()
        .any(|pause| pause.reason == reason)
}

/// A person has ended what the controller paused for.
pub(super) fn promoted(pass: &Pass<'_>) -> bool {
    pass.status.controller_pause && pass.status.pause_conditions.is_empty()
}

/// What a person has to settle before anything goes on, if there is such a thing.
pub(super) fn asked_person(pass: &Pass<'_>) -> Option<String> {
    pass.status
        .pause_conditions
        .iter()
        .find_map(|pause| match pause.reason {
            PauseReason::CanaryPauseStep | PauseReason::BlueGreenPause => None,
            PauseReason::InconclusiveAnalysisRun => {
                let run = pass.status.asked_about_analysis_run.as_deref();
                Some(format!(
                    "a person to promote or abort: AnalysisRun {} is inconclusive",
                    run.unwrap_or_default()
                ))
            }
            PauseReason::InconclusiveExperiment => {
                let name = pass.status.canary.current_experiment.as_deref();
                Some(experiments::asked(name.unwrap_or_default()))
            }
            PauseReason::TrafficOverwritten => {
                let by = pass.status.overwritten.as_ref().map(|overwritten| {
                    format!("{} keeps changing {}", overwritten.by, overwritten.what)
                });
                Some(format!(
                    "a person to promote or abort: {}",
                    by.unwrap_or_else(|| "somebody keeps changing traffic".to_owned())
                ))
            }
        })
}
