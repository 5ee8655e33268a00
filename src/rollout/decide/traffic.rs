//! The weight that the new version gets now: never more than the step's, never more than its pods can carry.
//!
//! Not here: what is written to a router's objects (`crate::traffic`) and Service selectors (`services`).

use super::{
    conditions,
    pass::{MIN_DRAIN, Mode, Pass, after},
    scale, services, steps,
};
use crate::{
    api::rollout_status::{PauseCondition, PauseReason, TrafficWeights, WeightDestination},
    traffic::Split,
};

/// After so many rounds of overwriting each other a person is asked.
const MOST_ROUNDS: i32 = 5;
/// A writer that was quiet for so long starts a new count, in seconds.
const QUIET: i64 = 600;

/// Writes the weight, and records it.
pub(super) fn shift(pass: &mut Pass<'_>) {
    services::delete_unwanted_ingresses(pass);
    let Some(router) = pass.router else { return };
    if pass.mode() == Mode::Stable
        && pass.observed.highest == 0
        && pass.status.canary.weights.is_none()
    {
        // Nothing was ever routed: the router's objects come with the first update.
        return;
    }
    let weight = weight_now(pass);
    let split = Split {
        canary: weight,
        max: pass.max_weight(),
    };
    match router.render(pass.snapshot, split) {
        Err(why) => {
            if weight < pass.observed.highest {
                pass.wait(why.clone(), None);
            }
            pass.stop_forward(why);
        }
        Ok(actions) => {
            let ours = contend(pass, weight);
            record(pass, weight);
            if ours {
                pass.actions.extend(actions);
            }
        }
    }
}

/// The weight for this pass.
fn weight_now(pass: &mut Pass<'_>) -> i32 {
    let live = pass.observed.highest;
    let behind = services::behind_canary(pass);
    let repointed = behind
        .as_deref()
        .is_some_and(|hash| hash != pass.revisions.new_hash);
    match pass.mode() {
        Mode::Stable => {
            // At the end of a release the stable Service must have the new pods before the canary weight goes.
            if live == 0 || services::stable_serves(pass) {
                0
            } else {
                live
            }
        }
        Mode::Aborted => {
            // Nothing stays on a version judged bad while stable has an available pod.
            let stable_serves = pass
                .revisions
                .stable()
                .is_some_and(|stable| stable.available > 0);
            if live == 0 || stable_serves {
                0
            } else {
                pass.wait("the stable version to have an available pod", None);
                live
            }
        }
        // The canary Service still leads to another version: its weight goes first.
        Mode::Stepping | Mode::Full if repointed => {
            let stable_serves = pass
                .revisions
                .stable()
                .is_some_and(|stable| stable.available > 0);
            if stable_serves { 0 } else { live }
        }
        Mode::Stepping => carried(pass, live),
        Mode::Full => {
            let max = pass.max_weight();
            let whole = pass
                .revisions
                .new
                .is_some_and(|new| new.available >= pass.replicas());
            if whole && !pass.frozen() && services::canary_serves(pass, pass.replicas()) {
                max
            } else {
                let goal = live.max(goal_before_full(pass));
                live.min(bounded(pass, goal))
            }
        }
    }
}

fn goal_before_full(pass: &Pass<'_>) -> i32 {
    steps::weight_at(&pass.strategy.steps, pass.step_index(), pass.max_weight())
}

/// Up to the step's weight when all its pods are there; down at once to what the available ones can carry.
fn carried(pass: &Pass<'_>, live: i32) -> i32 {
    let goal = steps::goal_weight(pass);
    let available = pass.revisions.new.map_or(0, |new| new.available);
    let want = scale::canary_share(pass.replicas(), goal, pass.max_weight());
    if goal > live {
        let whole = available >= want && want > 0;
        if whole && !pass.frozen() && services::canary_serves(pass, want) {
            return goal;
        }
        return live.min(bounded(pass, goal));
    }
    bounded(pass, goal).min(goal)
}

/// Of the pods that the version should have for `goal`, the available part bounds the part of the weight. While a step
/// is still growing, the pods of the step before carry the weight of the step before.
fn bounded(pass: &Pass<'_>, goal: i32) -> i32 {
    let available = pass.revisions.new.map_or(0, |new| new.available);
    let stable_serves = pass
        .revisions
        .stable()
        .is_some_and(|stable| stable.available > 0);
    if !stable_serves {
        // Nobody else can take what these pods cannot.
        return pass.observed.highest.min(goal);
    }
    let before = pass.step_index().checked_sub(1).map_or(0, |index| {
        steps::weight_at(&pass.strategy.steps, index, pass.max_weight())
    });
    [goal, before.min(goal)]
        .into_iter()
        .map(|weight| {
            let want = scale::canary_share(pass.replicas(), weight, pass.max_weight());
            part(weight, available, want)
        })
        .max()
        .unwrap_or(0)
}

fn part(weight: i32, available: i32, want: i32) -> i32 {
    if want <= 0 {
        return 0;
    }
    let part = i64::from(weight) * i64::from(available.clamp(0, want)) / i64::from(want);
    i32::try_from(part).unwrap_or(weight)
}

/// Whether to write now. Where somebody else has changed the weight that we wrote, it is written again after 1, 2, 4 …
/// seconds, at once where the new version has too much; and after some rounds a person is asked.
fn contend(pass: &mut Pass<'_>, weight: i32) -> bool {
    let Some(by) = pass.observed.written_by.clone() else {
        return true;
    };
    let written = pass
        .status
        .canary
        .weights
        .as_ref()
        .map(|weights| weights.canary.weight);
    if written != Some(weight) || weight == pass.observed.highest {
        return true;
    }
    let now = pass.now();
    let before = pass
        .status
        .overwritten
        .clone()
        .filter(|before| now.duration_since(before.last).as_secs() < QUIET);
    let rounds = before.as_ref().map_or(0, |before| before.rounds);
    if let Some(before) = &before {
        let too_much = pass.observed.highest > weight;
        let pause = if too_much {
            1
        } else {
            1 << rounds.clamp(0, MOST_ROUNDS)
        };
        let again = after(before.last, pause);
        if now < again {
            pass.look_again(again);
            return false;
        }
    }
    conditions::overwritten(pass, by.clone(), "the canary weight");
    let asked = pass
        .status
        .pause_conditions
        .iter()
        .any(|pause| pause.reason == PauseReason::TrafficOverwritten);
    if rounds + 1 >= MOST_ROUNDS && !asked && pass.mode() == Mode::Stepping {
        pass.status.pause_conditions.push(PauseCondition {
            reason: PauseReason::TrafficOverwritten,
            start_time: now,
        });
        pass.status.controller_pause = true;
        pass.note(
            true,
            "TrafficOverwritten",
            format!("{by} keeps changing the canary weight; paused until promoted"),
        );
    }
    true
}

/// Remembers what is being written, and when it last changed.
fn record(pass: &mut Pass<'_>, weight: i32) {
    let behind = services::behind_canary(pass).unwrap_or_default();
    let old = pass.status.canary.weights.clone();
    let old_weight = old.as_ref().map_or(0, |old| old.canary.weight);
    let changed = old.is_none() || old_weight != weight;
    if old_weight != weight {
        pass.note(
            false,
            "TrafficWeightUpdated",
            format!("Traffic weight updated from {old_weight} to {weight}"),
        );
    }
    let changed_at = if changed {
        Some(pass.now())
    } else {
        old.and_then(|old| old.changed_at)
    };
    if let Some(drained) = changed_at.and_then(|at| at.checked_add(MIN_DRAIN).ok())
        && pass.now() < drained
    {
        pass.look_again(drained);
    }
    pass.status.canary.weights = Some(TrafficWeights {
        canary: WeightDestination {
            weight,
            service_name: pass.strategy.canary_service.clone().unwrap_or_default(),
            pod_template_hash: behind,
        },
        stable: WeightDestination {
            weight: pass.max_weight() - weight,
            service_name: pass.strategy.stable_service.clone().unwrap_or_default(),
            pod_template_hash: pass.status.stable_rs.clone(),
        },
        changed_at,
    });
}

/// Whether no weight is left on the canary and proxies had time to follow.
pub(super) fn canary_drained(pass: &mut Pass<'_>) -> bool {
    if pass.router.is_none() {
        return true;
    }
    if pass.observed.highest > 0 {
        return false;
    }
    let changed_at = pass
        .status
        .canary
        .weights
        .as_ref()
        .and_then(|weights| weights.changed_at);
    let Some(drained) = changed_at.and_then(|at| at.checked_add(MIN_DRAIN).ok()) else {
        return true;
    };
    if pass.now() < drained {
        pass.look_again(drained);
        return false;
    }
    true
}
