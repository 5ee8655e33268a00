//! How many pods each version should have, and when it may have fewer.
//!
//! Up before weight goes up; down only when nothing sends there any more (`ledger`).
//! Not here: the arithmetic without a router (`pod_ratio`).

use super::{
    blue_green, header_routes, ledger,
    pass::{DEFAULT_DELAY, Mode, Pass, after},
    pending,
    pod_ratio::{self, Pair, Pods},
    replica_set, restart, stable_scale, steps, threshold,
};
use crate::{
    api::{steps::CanaryScale, strategy::Declared},
    mutants::{Mutant, mutated},
    rollout::{decision::Outcome, snapshot::ReplicaSetView},
};

/// Pods that the new version should have in the current step when it has `weight`: its share, rounded up, or what a
/// `setCanaryScale` says.
pub(super) fn pods_for(pass: &Pass<'_>, weight: i32) -> i32 {
    let least = header_routes::least_pods(pass);
    pods_by(pass, steps::goal_scale(pass), weight).max(least)
}

fn pods_by(pass: &Pass<'_>, scale: CanaryScale, weight: i32) -> i32 {
    let (replicas, max) = (pass.replicas(), pass.max_weight());
    match scale {
        // A Rollout that was scaled to nothing has no pods.
        CanaryScale::Replicas(_) if replicas == 0 => 0,
        CanaryScale::Replicas(number) => number.max(0),
        CanaryScale::Weight(weight) => with_floor(pass, share(replicas, weight, max)),
        CanaryScale::MatchTrafficWeight => with_floor(pass, share(replicas, weight.min(max), max)),
    }
}

/// No version with traffic has fewer pods than `minPodsPerReplicaSet`, and none needs more than `spec.replicas` for that.
pub(super) fn with_floor(pass: &Pass<'_>, pods: i32) -> i32 {
    let floor = pass
        .strategy
        .canary()
        .and_then(|canary| canary.min_pods_per_replica_set)
        .unwrap_or(0);
    if pods > 0 {
        pods.max(floor.min(pass.replicas()))
    } else {
        pods
    }
}

/// The part of `replicas` that serves `weight` of `max`, rounded up.
pub(super) fn share(replicas: i32, weight: i32, max: i32) -> i32 {
    let product = i64::from(replicas) * i64::from(weight.max(0));
    let max = i64::from(max.max(1));
    if mutated(Mutant::A19Overflow) {
        return replicas.wrapping_mul(weight) / i32::try_from(max).unwrap_or(i32::MAX);
    }
    i32::try_from(product / max + i64::from(product % max != 0)).unwrap_or(i32::MAX)
}

/// Pods that the current step wants, whether or not anything may move.
pub(super) fn declared_pods(pass: &Pass<'_>) -> i32 {
    pods_by(
        pass,
        steps::declared_scale(pass),
        steps::declared_weight(pass),
    )
    .max(header_routes::least_pods(pass))
}

/// Whether so many pods of the new version are there, and enough of them available.
pub(super) fn available(pass: &Pass<'_>, want: i32) -> Outcome {
    let Some(new) = pass.revisions.new else {
        return Outcome::wait("the ReplicaSet of the new version to exist");
    };
    let enough = threshold::enough(pass, want);
    if new.replicas < enough || new.available < enough {
        return Outcome::wait(format!(
            "pods of revision {} to be available: {} of {want} are",
            pass.status.revision.unwrap_or(0),
            new.available.min(want)
        ));
    }
    Outcome::Done
}

/// Sizes all ReplicaSets.
pub(super) fn size(pass: &mut Pass<'_>) {
    if pass.router.is_some() {
        size_with_router(pass);
    } else {
        size_by_pod_ratio(pass);
    }
}

/// Pods of the new version now wanted.
pub(super) fn wanted_new(pass: &Pass<'_>) -> i32 {
    if let Declared::BlueGreen(strategy) = pass.strategy {
        return blue_green::wanted_new(pass, strategy);
    }
    let weight = match pass.mode() {
        Mode::Stable | Mode::Full => pass.max_weight(),
        Mode::Stepping => steps::goal_weight(pass),
        Mode::Aborted => 0,
    };
    if pass.router.is_some() {
        pods_for(pass, weight)
    } else {
        let (surge, _) = bounds(pass);
        pod_ratio::pair(pass.replicas(), weight, pass.max_weight(), surge).canary
    }
}

fn bounds(pass: &Pass<'_>) -> (i32, i32) {
    let canary = pass.strategy.canary();
    pod_ratio::bounds(
        canary.and_then(|canary| canary.max_surge.as_ref()),
        canary.and_then(|canary| canary.max_unavailable.as_ref()),
        pass.replicas(),
    )
}

fn size_with_router(pass: &mut Pass<'_>) {
    let mode = pass.mode();
    if let Some(stable) = pass.revisions.stable() {
        let want = stable_scale::wanted(pass, stable);
        scale(pass, stable, want);
    }
    if mode != Mode::Stable
        && let Some(new) = pass.revisions.new
    {
        let want = match mode {
            Mode::Aborted => aborted_size(pass, new),
            Mode::Stable | Mode::Stepping | Mode::Full => {
                let want = held_size(pass, new, wanted_new(pass));
                let want = kept_for_retry(pass, new, want);
                let want = pending::bounded(pass, Some(new), want);
                if want < new.replicas {
                    shrunk_canary(pass, new, want)
                } else {
                    want
                }
            }
        };
        scale(pass, new, want);
    }
    size_leftovers(pass);
}

/// Versions that are neither new nor stable go when nothing has sent to them for the scale-down delay.
pub(super) fn size_leftovers(pass: &mut Pass<'_>) {
    let leftovers: Vec<&ReplicaSetView> = pass.revisions.leftovers().collect();
    let mut delayed = 0;
    for old in leftovers {
        let want = leftover_size(pass, old, &mut delayed);
        scale(pass, old, want);
    }
}

/// After a retry the pods that still run are kept: the update will want them again. With a `setCanaryScale` it says itself
/// how many.
fn kept_for_retry(pass: &Pass<'_>, new: &ReplicaSetView, want: i32) -> i32 {
    let steps = pass.strategy.steps();
    let says = steps.iter().any(|step| step.set_canary_scale.is_some());
    if pass.status.attempt == 0 || pass.mode() != Mode::Stepping || says {
        return want;
    }
    want.max(new.replicas.min(pass.replicas()))
}

/// While nothing may move, a canary keeps the pods that it has been given for the step.
fn held_size(pass: &Pass<'_>, new: &ReplicaSetView, want: i32) -> i32 {
    if !pass.frozen() {
        return want;
    }
    want.max(new.replicas.min(declared_pods(pass)))
}

/// A canary keeps its pods until the lower weight has been live for long enough; the last ones also until no Service
/// leads to them.
fn shrunk_canary(pass: &mut Pass<'_>, new: &ReplicaSetView, want: i32) -> i32 {
    if want == 0 && pass.replicas() > 0 {
        return to_zero_after(pass, new, 0);
    }
    let live = pods_for(pass, pass.observed.highest);
    let drained = pass
        .status
        .canary
        .weights
        .as_ref()
        .and_then(|weights| weights.changed_at)
        .map(|at| pass.drained_at(at));
    if pass.observed.unconfirmed.is_some() {
        // Proxies may still send there what the weight before sent.
        return new.replicas;
    }
    if let Some(drained) = drained
        && pass.now() < drained
    {
        pass.look_again(drained);
        return new.replicas;
    }
    want.max(live.min(new.replicas))
}

/// An aborted version's pods stay for `abortScaleDownDelaySeconds` after the last traffic left them; 0 keeps them.
/// They do not wait for stable to be whole: nothing may be sent to them any more, and stable may need their room.
fn aborted_size(pass: &mut Pass<'_>, new: &ReplicaSetView) -> i32 {
    let delay = pass
        .strategy
        .abort_scale_down_delay_seconds()
        .unwrap_or(DEFAULT_DELAY);
    if delay == 0 {
        return new.replicas;
    }
    let size = to_zero_after(pass, new, delay);
    size.min(stable_scale::given_up_size(pass, new))
}

fn leftover_size(pass: &mut Pass<'_>, old: &ReplicaSetView, delayed: &mut i32) -> i32 {
    if old.replicas == 0 {
        return 0;
    }
    if old.pod_template_hash == pass.snapshot.rollout.status.stable_rs {
        // Another version is stable from this pass on, and nobody can read that yet: who goes on after a crash, or a
        // person who aborts meanwhile, would find a stable version without pods.
        return old.replicas;
    }
    *delayed += 1;
    let over_limit = pass
        .strategy
        .scale_down_delay_revision_limit()
        .is_some_and(|limit| *delayed > limit);
    // With dynamicStableScale old pods go as traffic leaves them: that is what it is for.
    let delay = if over_limit || stable_scale::is_dynamic(pass) {
        0
    } else {
        pass.strategy
            .scale_down_delay_seconds()
            .unwrap_or(DEFAULT_DELAY)
    };
    let size = to_zero_after(pass, old, delay);
    size.min(stable_scale::given_up_size(pass, old))
}

/// 0 once nothing has sent to it for `delay` seconds (and never less than the drain time); its size until then.
pub(super) fn to_zero_after(pass: &mut Pass<'_>, set: &ReplicaSetView, delay: i32) -> i32 {
    if set.replicas == 0 {
        return 0;
    }
    match ledger::unrouted_since(pass, &set.pod_template_hash) {
        ledger::Routed::Now if mutated(Mutant::A4NoDrain) && pass.observed.highest == 0 => 0,
        ledger::Routed::Until(_) if mutated(Mutant::A4NoDrain) => 0,
        ledger::Routed::Until(_) if mutated(Mutant::A47DeadlineLost) => set.replicas,
        ledger::Routed::Never => 0,
        ledger::Routed::Now => set.replicas,
        ledger::Routed::Until(since) => {
            let deadline = after(since, delay).max(pass.drained_at(since));
            if pass.now() >= deadline {
                return 0;
            }
            pass.look_again(deadline);
            ledger::leaves_at(pass, &set.pod_template_hash, deadline);
            pass.status
                .next
                .get_or_insert(crate::api::rollout_status::NextAction {
                    action: format!("scale down ReplicaSet {}", set.name),
                    at: Some(deadline),
                });
            set.replicas
        }
    }
}

fn size_by_pod_ratio(pass: &mut Pass<'_>) {
    let replicas = pass.replicas();
    let (surge, unavailable) = bounds(pass);
    let mode = pass.mode();
    let pods = |set: Option<&ReplicaSetView>| {
        set.map_or(Pods::default(), |set| Pods {
            desired: set.replicas,
            available: set.available.min(set.replicas),
        })
    };
    let weight = match mode {
        Mode::Stable | Mode::Aborted => 0,
        Mode::Full => pass.max_weight(),
        Mode::Stepping => steps::goal_weight(pass),
    };
    let target = pod_ratio::pair(replicas, weight, pass.max_weight(), surge);
    let stable = pass.revisions.stable();
    let canary = if mode == Mode::Stable {
        None
    } else {
        pass.revisions.new
    };
    let leftovers: Vec<&ReplicaSetView> = pass
        .revisions
        .leftovers()
        .filter(|set| set.replicas > 0)
        .collect();

    // Also after an abort: here pods are traffic, and taking more of them than maxUnavailable allows would lose requests.
    let rest = leftovers.iter().map(|set| pods(Some(set))).collect();
    let (canary_size, stable_size, sizes) = pod_ratio::step_towards(
        target,
        replicas,
        (surge, unavailable),
        pods(canary),
        pods(stable),
        rest,
    );
    if let Some(stable) = stable {
        let shrinks = stable_size < stable.replicas && replicas > 0;
        let floor = i32::from(shrinks && routed(pass, stable));
        scale(pass, stable, stable_size.max(floor));
    }
    if let Some(canary) = canary {
        let size = if canary_size < canary.replicas {
            unrouted_or(pass, canary, canary_size)
        } else {
            canary_size
        };
        scale(pass, canary, size);
    }
    for (set, size) in leftovers.into_iter().zip(sizes) {
        let size = unrouted_or(pass, set, size);
        scale(pass, set, size);
    }
}

fn routed(pass: &Pass<'_>, set: &ReplicaSetView) -> bool {
    matches!(
        ledger::unrouted_since(pass, &set.pod_template_hash),
        ledger::Routed::Now
    )
}

/// The last pod of a version goes only when no Service selects it, and the proxies have followed.
fn unrouted_or(pass: &mut Pass<'_>, set: &ReplicaSetView, size: i32) -> i32 {
    if size > 0 {
        size
    } else {
        to_zero_after(pass, set, 0).min(1)
    }
}

/// Emits the change of size. Scale-downs of what may serve wait while something is on hold; scaling by `spec.replicas` goes on.
pub(super) fn scale(pass: &mut Pass<'_>, set: &ReplicaSetView, want: i32) {
    let want = restart::size(pass, set, want);
    if want == set.replicas {
        return;
    }
    let is_stable = set.pod_template_hash == pass.status.stable_rs;
    if pass.hold.is_some() && want < set.replicas && !is_stable {
        return;
    }
    replica_set::patch(pass, set, Some(want), Vec::new());
}

/// The pair that the pods should form at `weight`, without a router.
pub(super) fn pair_at(pass: &Pass<'_>, weight: i32) -> Pair {
    let (surge, _) = bounds(pass);
    pod_ratio::pair(pass.replicas(), weight, pass.max_weight(), surge)
}
