//! The blue-green strategy: what has to be there before the switch and after it, until the new version is the stable one.
//!
//! Not here: where Services lead (`pins`) and how many pods there are (`size`).

mod pins;
mod size;

pub(super) use pins::pin;
pub(super) use size::{size, wanted_new};

use super::{
    analyses::{self, Role},
    bake,
    pass::{Mode, Pass, after},
    pauses, scale, services,
};
use crate::{
    api::{
        analysis::RolloutAnalysis,
        blue_green::BlueGreenStrategy,
        rollout_status::{LiveSize, NextAction, PauseReason},
    },
    rollout::{decision::Outcome, snapshot::ReplicaSetView},
};

type Gate = fn(&mut Pass<'_>, &BlueGreenStrategy) -> Outcome;

/// What has to be passed, in this order; the one that is not is what is waited for.
const GATES: [Gate; 7] = [
    preview_is_up,
    pre_promotion_analysis,
    pause,
    whole_size,
    switch,
    post_promotion_analysis,
    |pass, _| bake::gate(pass),
];

/// Remembers how a new revision begins: the size of what serves, and whether the new version was stable a moment ago.
pub(super) fn begin(pass: &mut Pass<'_>) {
    let before = &pass.snapshot.rollout.status;
    if before.current_pod_hash == pass.revisions.new_hash || pass.mode() == Mode::Stable {
        return;
    }
    pass.status.blue_green.live_size = pass
        .revisions
        .stable()
        .filter(|stable| stable.replicas > 0)
        .map(|stable| LiveSize {
            replicas: stable.replicas,
            declared: pass.replicas(),
        });
    if pass.revisions.new.is_some_and(|new| is_warm(pass, new)) {
        pass.status.promote_full = true;
        pass.note(
            false,
            "SkipSteps",
            "going back to a version whose pods are still there: pause and analyses are skipped"
                .to_owned(),
        );
    }
}

/// It was the stable version, and all its pods are still there.
fn is_warm(pass: &Pass<'_>, set: &ReplicaSetView) -> bool {
    let was_stable = pass
        .status
        .ledger
        .iter()
        .any(|entry| entry.pod_template_hash == set.pod_template_hash && entry.was_stable);
    was_stable && set.available > 0 && set.available >= pass.replicas()
}

/// Passes every gate that can be passed. `Done` after the last one.
pub(super) fn advance(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Outcome {
    if let Some(asked) = pauses::asked_person(pass) {
        return Outcome::wait(asked);
    }
    if pauses::promoted(pass) && !pass.status.blue_green.scale_up_preview_check_point {
        // A person has decided, whatever was asked for.
        pass.status.controller_pause = false;
        pass.status.blue_green.scale_up_preview_check_point = true;
    }
    GATES
        .into_iter()
        .map(|gate| gate(pass, strategy))
        .find(|outcome| *outcome != Outcome::Done)
        .unwrap_or(Outcome::Done)
}

/// The switch is decided: only the size of the new version is waited for.
fn is_decided(pass: &Pass<'_>) -> bool {
    pass.mode() == Mode::Full || pass.status.blue_green.scale_up_preview_check_point
}

/// The active Service leads to the new version, or is about to.
fn has_switched(pass: &Pass<'_>) -> bool {
    is_decided(pass)
        && pass.status.blue_green.active_selector.as_ref() == Some(&pass.revisions.new_hash)
}

fn preview_is_up(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Outcome {
    if is_decided(pass) {
        return Outcome::Done;
    }
    let want = wanted_new(pass, strategy);
    match scale::available(pass, want) {
        Outcome::Done => services::canary_outcome(pass, want),
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
    }
}

fn pre_promotion_analysis(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Outcome {
    if is_decided(pass) {
        return Outcome::Done;
    }
    analysed(
        pass,
        strategy.pre_promotion_analysis.as_ref(),
        Role::PrePromotion,
    )
}

fn analysed(pass: &mut Pass<'_>, analysis: Option<&RolloutAnalysis>, role: Role) -> Outcome {
    match analysis {
        None => Outcome::Done,
        Some(_) if analyses::started(pass, role) => analyses::outcome(pass, role),
        Some(analysis) => analyses::start(pass, analysis, role),
    }
}

/// Waits for a person or a timer, and then decides the switch.
fn pause(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Outcome {
    if is_decided(pass) {
        return Outcome::Done;
    }
    let seconds = strategy.auto_promotion_seconds.unwrap_or(0);
    if seconds > 0 || strategy.auto_promotion_enabled == Some(false) {
        let start = pauses::begin(pass, PauseReason::BlueGreenPause);
        if seconds <= 0 {
            return Outcome::wait("a person to promote it");
        }
        let end = after(start, seconds);
        if pass.now() < end {
            return Outcome::wait_until("the pause before the switch to end", end);
        }
    }
    pauses::end(pass, PauseReason::BlueGreenPause);
    pass.status.blue_green.scale_up_preview_check_point = true;
    Outcome::Done
}

/// The active Service goes over only to what can serve all of it.
fn whole_size(pass: &mut Pass<'_>, _: &BlueGreenStrategy) -> Outcome {
    scale::available(pass, pass.replicas())
}

fn switch(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Outcome {
    pass.status.blue_green.active_selector = Some(pass.revisions.new_hash.clone());
    if services::active_leads_to_new(pass) {
        return Outcome::Done;
    }
    Outcome::wait(format!(
        "Service {} to lead to revision {} alone",
        strategy.active_service,
        pass.status.revision.unwrap_or(0)
    ))
}

fn post_promotion_analysis(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Outcome {
    if pass.mode() == Mode::Full {
        return Outcome::Done;
    }
    let role = Role::PostPromotion;
    if pauses::promoted(pass) && analyses::is_inconclusive(pass, role) {
        return Outcome::Done;
    }
    analysed(pass, strategy.post_promotion_analysis.as_ref(), role)
}

/// Whether traffic is on its way from one version to the other: what the progress deadline is about beside pods.
pub(super) fn is_switching(pass: &Pass<'_>) -> bool {
    has_switched(pass) && !services::active_leads_to_new(pass)
}

/// Why an update is not over, in the words that clients match on.
pub(super) fn unfinished(pass: &Pass<'_>) -> &'static str {
    let blue_green = &pass.status.blue_green;
    if !has_switched(pass) {
        let analysing = blue_green.pre_promotion_analysis_run_status.is_some();
        if analysing && !is_decided(pass) {
            "waiting for analysis to complete"
        } else {
            "active service cutover pending"
        }
    } else if is_switching(pass) {
        "active service cutover pending"
    } else {
        "waiting for post-promotion verification to complete"
    }
}

/// What comes next.
pub(super) fn next_action(
    pass: &Pass<'_>,
    strategy: &BlueGreenStrategy,
    at: Option<jiff::Timestamp>,
) -> NextAction {
    let revision = pass.status.revision.unwrap_or(0);
    let action = if has_switched(pass) {
        format!("promote revision {revision}")
    } else {
        format!(
            "switch Service {} to revision {revision}",
            strategy.active_service
        )
    };
    NextAction { action, at }
}
