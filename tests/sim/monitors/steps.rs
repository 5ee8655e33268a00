//! The most weight that the steps allow now.
//!
//! A controller may write the weight of a step before the status says that the step has begun: the steps before it must then
//! be over by what the server holds.

use jiff::Timestamp;
use tidegate::api::{
    analysis::AnalysisPhase,
    duration,
    request::Verb,
    rollout_status::PauseReason,
    steps::{PauseStep, StepKind},
};

use super::release::{Mode, Release};

/// The most that the canary may get now, by what the server held before.
pub(super) fn most(release: &Release, now: Timestamp) -> i64 {
    match release.mode() {
        Mode::Full => return release.total(),
        Mode::Stepping if release.is_asked(Verb::PromoteFull) => return release.total(),
        // Of what is stable there is no step.
        Mode::Stable => return release.total(),
        Mode::Aborted if !release.is_asked(Verb::Retry) => return 0,
        Mode::Aborted | Mode::Stepping => {}
    }
    let steps = release.steps();
    // A retry begins with the first one.
    let mut step = if release.status.abort {
        0
    } else {
        release.step()
    };
    let mut passed_blocking = false;
    while let Some(current) = steps.get(step) {
        let blocking = blocks(current.kind());
        let over = match current.kind() {
            Some(StepKind::SetWeight(weight)) => release.canary_weight() >= i64::from(weight),
            Some(StepKind::SetCanaryScale(_) | StepKind::SetHeaderRoute(_)) => true,
            // Only the step that the status names can have ended meanwhile; the next has not begun.
            Some(kind) => !passed_blocking && is_over(kind, release, step, now),
            None => false,
        };
        if !over {
            break;
        }
        passed_blocking |= blocking;
        step += 1;
    }
    let Some(reached) = steps.get(..=step) else {
        return release.total();
    };
    reached
        .iter()
        .rev()
        .find_map(|step| step.set_weight)
        .map_or(0, i64::from)
}

fn blocks(kind: Option<StepKind<'_>>) -> bool {
    match kind {
        Some(
            StepKind::SetWeight(_) | StepKind::SetCanaryScale(_) | StepKind::SetHeaderRoute(_),
        ) => false,
        Some(
            StepKind::Pause(_)
            | StepKind::Analysis(_)
            | StepKind::Experiment(_)
            | StepKind::Unsupported(_),
        )
        | None => true,
    }
}

fn is_over(kind: StepKind<'_>, release: &Release, step: usize, now: Timestamp) -> bool {
    if is_promoted(release) {
        return true;
    }
    match kind {
        StepKind::Pause(pause) => ends_at(release, pause).is_some_and(|end| end <= now),
        StepKind::Analysis(_) => release
            .run_of_step(release.current(), step)
            .is_some_and(|run| run.phase == Some(AnalysisPhase::Successful)),
        StepKind::Experiment(_) => release
            .status
            .canary
            .current_experiment
            .as_ref()
            .and_then(|name| release.experiments.get(name))
            .is_some_and(|phase| *phase == Some(AnalysisPhase::Successful)),
        StepKind::SetWeight(_)
        | StepKind::SetCanaryScale(_)
        | StepKind::SetHeaderRoute(_)
        | StepKind::Unsupported(_) => false,
    }
}

/// A person has let it go on, in one of the ways in which people do.
pub(super) fn is_promoted(release: &Release) -> bool {
    release.is_asked(Verb::Promote)
        || release.is_asked(Verb::PromoteFull)
        || (release.status.controller_pause && release.status.pause_conditions.is_empty())
}

/// When a pause step that is under way ends, if a timer ends it.
pub(super) fn ends_at(release: &Release, pause: &PauseStep) -> Option<Timestamp> {
    let length = duration::seconds_or_duration(pause.duration.as_ref()?).ok()?;
    let pauses = release.status.pause_conditions.iter();
    let mut steps = pauses.filter(|pause| pause.reason == PauseReason::CanaryPauseStep);
    steps.next()?.start_time.checked_add(length).ok()
}
