//! `dynamicStableScale`: the stable version shrinks as traffic leaves it, and grows before traffic comes back.
//!
//! Here stable cannot take everything at once: what it can carry bounds how fast the weight of the new version goes down.
//! Not here: sizes without it (`scale`).

use super::{
    pass::{Mode, Pass},
    progress, scale, services, steps, traffic,
};
use crate::rollout::snapshot::ReplicaSetView;

/// Whether the stable version shrinks as traffic leaves it.
pub(super) fn is_dynamic(pass: &Pass<'_>) -> bool {
    pass.router.is_some()
        && pass
            .strategy
            .canary()
            .is_some_and(|canary| canary.dynamic_stable_scale)
}

/// Pods of the stable version: its full size, or with `dynamicStableScale` its share.
pub(super) fn wanted(pass: &mut Pass<'_>, stable: &ReplicaSetView) -> i32 {
    let replicas = pass.replicas();
    if !is_dynamic(pass) {
        // An abort must find it ready.
        return replicas;
    }
    let want = match pass.mode() {
        Mode::Stable | Mode::Aborted => replicas,
        Mode::Stepping | Mode::Full => share(pass).min(replicas),
    };
    if want >= stable.replicas {
        return want;
    }
    let kept = stable.replicas.min(replicas);
    if pass.hold.is_some() || pass.observed.unconfirmed.is_some() || !weight_settled(pass) {
        // Proxies may still send there what the weight before sent.
        return kept;
    }
    want
}

/// What remains for it when the new version has what it has, is to get, and can carry: never nothing, because whoever
/// routes to the stable Service must find somebody there.
fn share(pass: &Pass<'_>) -> i32 {
    let (replicas, max) = (pass.replicas(), pass.max_weight());
    let elsewhere =
        services::behind_canary(pass).is_some_and(|hash| hash != pass.revisions.new_hash);
    if elsewhere {
        // Another version than the new one has that weight: all of it comes back first.
        return replicas;
    }
    let goal = steps::goal_weight(pass).min(pass.observed.lowest);
    let canary = traffic::carried(pass, goal);
    scale::with_floor(pass, scale::share(replicas, max - canary, max)).max(replicas.min(1))
}

fn weight_settled(pass: &mut Pass<'_>) -> bool {
    let weights = pass.status.canary.weights.as_ref();
    let changed_at = weights.and_then(|weights| weights.changed_at);
    match changed_at.map(|at| pass.drained_at(at)) {
        Some(settled) if pass.now() < settled => {
            pass.look_again(settled);
            false
        }
        Some(_) | None => true,
    }
}

/// The weight that the available pods of the stable version carry.
fn carried_by_stable(pass: &Pass<'_>) -> i32 {
    let (replicas, max) = (pass.replicas(), pass.max_weight());
    let Some(stable) = pass.revisions.stable() else {
        return 0;
    };
    let serving = services::stable_service(pass)
        .map_or(0, |service| service.ready_endpoints_of(&stable.name))
        .min(stable.available);
    traffic::part(max, serving, replicas)
}

/// A lower weight than now, or as much of the way down as stable can take. What both versions cannot carry together is
/// shared in proportion to their pods.
pub(super) fn lowered(pass: &mut Pass<'_>, live: i32, wanted: i32) -> i32 {
    if !is_dynamic(pass) || wanted >= live || pass.replicas() == 0 {
        return wanted;
    }
    let max = pass.max_weight();
    let stable = carried_by_stable(pass);
    let needed = max - stable;
    if wanted >= needed {
        return wanted;
    }
    let pods = behind_canary(pass).map_or(0, |set| set.available);
    if pods == 0 {
        return wanted;
    }
    let by_canary = traffic::part(max, pods, pass.replicas());
    let weight = if by_canary + stable >= max {
        needed
    } else {
        let serving = pass.revisions.stable().map_or(0, |set| set.available);
        traffic::part(max, pods, pods + serving)
    };
    let weight = weight.clamp(wanted, live);
    if weight > wanted {
        pass.wait(
            "pods of the stable version to take more of the traffic",
            None,
        );
    }
    weight
}

/// The weight of a version that was given up, while stable grows: no more than what stable cannot carry. Stable that does
/// not come back in time gets everything: a bad version does not stay because of it.
pub(super) fn given_up(pass: &mut Pass<'_>, live: i32) -> i32 {
    if !is_dynamic(pass) || progress::exceeded(pass) || pass.replicas() == 0 {
        return 0;
    }
    let max = pass.max_weight();
    let pods = behind_canary(pass).map_or(0, |set| set.available);
    let by_canary = traffic::part(max, pods, pass.replicas());
    let weight = (max - carried_by_stable(pass)).min(by_canary).min(live);
    if weight > 0 {
        pass.wait(
            "pods of the stable version to take more of the traffic",
            None,
        );
    }
    weight
}

/// Pods of a version that was given up while stable still grows: as many as its weight needs, so that both fit where one did.
pub(super) fn given_up_size(pass: &mut Pass<'_>, set: &ReplicaSetView) -> i32 {
    let serves = services::behind_canary(pass).as_ref() == Some(&set.pod_template_hash);
    if !is_dynamic(pass) || !serves || pass.hold.is_some() {
        return set.replicas;
    }
    if pass.observed.unconfirmed.is_some() || !weight_settled(pass) {
        return set.replicas;
    }
    let need = scale::share(pass.replicas(), pass.observed.highest, pass.max_weight());
    need.max(1).min(set.replicas)
}

/// The version that the canary Service leads to.
fn behind_canary<'a>(pass: &Pass<'a>) -> Option<&'a ReplicaSetView> {
    let hash = services::behind_canary(pass)?;
    pass.revisions.by_hash(&hash)
}
