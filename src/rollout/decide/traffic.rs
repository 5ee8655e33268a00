//! The weight that the new version gets now: never more than the step's, never more than its pods can carry.
//!
//! Not here: what is written to a router's objects (`crate::traffic`) and Service selectors (`services`).

use super::{
    conditions,
    header_routes::{self, Wanted},
    pass::{Mode, Pass, after},
    scale, services, stable_scale, steps, threshold,
};
use crate::{
    api::rollout_status::{PauseCondition, PauseReason, TrafficWeights, WeightDestination},
    mutants::{Mutant, mutated},
    rollout::decision::{Action, Target},
    traffic::{Desired, Split, ingress_nginx::canary_ingress_name},
};

/// After so many rounds of overwriting each other a person is asked.
const MOST_ROUNDS: i32 = 5;
/// A writer that was quiet for so long starts a new count, in seconds.
pub(super) const QUIET: i64 = 600;
/// What was overwritten, in messages.
const WEIGHT: &str = "the canary weight";
const HEADER_ROUTES: &str = "the header routes";

/// Writes the weight, and records it.
pub(super) fn shift(pass: &mut Pass<'_>) {
    delete_unwanted_ingresses(pass);
    if pass.router.is_none() {
        pass.status.canary.weights = None;
        return;
    }
    if pass.mode() == Mode::Stable
        && pass.observed.highest == 0
        && !pass.observed.by_header
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
    let wanted = header_routes::now(pass);
    let desired = Desired {
        split,
        header_routes: wanted.routes.clone(),
        declared_rules: wanted.declared_rules,
    };
    let rendered = match pass.mode() {
        Mode::Stable | Mode::Aborted if weight == 0 && comes_to_rest(pass) => pass
            .router
            .as_ref()
            .map(|router| router.rest(pass.snapshot, split.max)),
        Mode::Stable | Mode::Aborted | Mode::Stepping | Mode::Full => pass.render(desired),
    };
    match rendered {
        None => {}
        Some(Err(why)) => {
            if weight < pass.observed.highest || (pass.observed.by_header && wanted.sends_nothing())
            {
                pass.wait(why.clone(), None);
            }
            pass.stop_forward(why);
        }
        Some(Ok(actions)) => {
            if contend(pass, weight, &wanted) {
                let writes = !actions.is_empty();
                pass.actions.extend(actions);
                record(pass, weight, &wanted, writes);
            } else {
                record(pass, weight, &wanted, false);
            }
        }
    }
}

/// Whether the router's objects are, or now come to be, what the user declared.
fn comes_to_rest(pass: &Pass<'_>) -> bool {
    pass.observed.resting > 0 || services::any_split_is_harmless(pass)
}

/// A router that cannot be used stops forward moves.
pub(super) fn heed(pass: &mut Pass<'_>) {
    match pass.mode() {
        Mode::Stepping | Mode::Full => {
            if let Some(why) = pass.observed.refused.clone() {
                pass.stop_forward(why);
            }
        }
        // Weights are taken back all the same.
        Mode::Stable | Mode::Aborted => {}
    }
}

/// The weight for this pass.
fn weight_now(pass: &mut Pass<'_>) -> i32 {
    let live = pass.observed.highest;
    let behind = services::behind_canary(pass);
    let stable_hash = pass.status.stable_rs.clone();
    match pass.mode() {
        Mode::Stable | Mode::Aborted if live == 0 => 0,
        // The end of a release: the pods carry what they carry until the stable Service leads to them.
        Mode::Stable if behind.as_ref() == Some(&stable_hash) => {
            if services::stable_serves(pass) {
                0
            } else {
                carried(pass, live)
            }
        }
        // Nothing stays on a version that was given up while the stable Service has anybody to answer.
        Mode::Stable | Mode::Aborted => given_up(pass, live),
        // The canary Service still leads to another version: its weight goes before it is pointed to the new one.
        Mode::Stepping | Mode::Full
            if live > 0
                && !mutated(Mutant::A8ServiceBeforeWeight)
                && behind
                    .as_ref()
                    .is_some_and(|hash| *hash != pass.revisions.new_hash) =>
        {
            let last_release_ends = behind.as_ref() == Some(&stable_hash)
                && !services::stable_serves(pass)
                && pass.revisions.stable().is_some_and(|stable| {
                    stable.available >= threshold::enough(pass, pass.replicas())
                });
            if last_release_ends {
                pass.wait("the stable Service to lead to the stable version", None);
                live
            } else {
                given_up(pass, live)
            }
        }
        Mode::Stepping | Mode::Full => towards_goal(pass, live),
    }
}

fn given_up(pass: &mut Pass<'_>, live: i32) -> i32 {
    if mutated(Mutant::A22CircularWait) && pass.revisions.new.is_some_and(|new| new.current > 0) {
        return live;
    }
    if services::falls_back(pass) {
        stable_scale::given_up(pass, live)
    } else {
        pass.wait("the stable Service to have a ready pod", None);
        live
    }
}

/// Up to the goal when all its pods serve; down at once to what the available ones carry.
fn towards_goal(pass: &mut Pass<'_>, live: i32) -> i32 {
    let goal = steps::goal_weight(pass);
    // Who does not look at endpoints does not wait for them either.
    let settles =
        services::canary_settles_at(pass).filter(|_| !mutated(Mutant::A3DesiredForAvailable));
    if let Some(until) = settles {
        // Header routes wait for it, too.
        pass.look_again(until);
    }
    if goal <= live {
        let carried = carried(pass, goal);
        return stable_scale::lowered(pass, live, carried);
    }
    let available = pass.revisions.new.map_or(0, |new| new.available);
    let want = threshold::enough(pass, scale::pods_for(pass, goal));
    let ready = if mutated(Mutant::A3DesiredForAvailable) {
        pass.revisions.new.map_or(0, |new| new.replicas) >= want
    } else {
        available >= want && services::canary_serves(pass, want)
    };
    let confirmed = pass.observed.unconfirmed.is_none();
    if want > 0 && ready && confirmed && !pass.frozen() && pass.is_recorded() && settles.is_none() {
        goal
    } else {
        if let Some(until) = settles.filter(|_| ready) {
            let why = "proxies to learn that the canary Service has endpoints again";
            pass.wait(why, Some(until));
        }
        let carried = carried(pass, live);
        stable_scale::lowered(pass, live, carried)
    }
}

/// The part of `weight` that the available pods of the declared version carry. Pods that were never there do not count
/// as missing: a Rollout that is being scaled up keeps its weight.
pub(super) fn carried(pass: &Pass<'_>, weight: i32) -> i32 {
    if !services::falls_back(pass) {
        // Nobody else can take what these pods cannot.
        return weight;
    }
    let available = pass.revisions.new.map_or(0, |new| new.available);
    let most = pass
        .status
        .progress
        .as_ref()
        .map_or(available, |progress| progress.available);
    let want = threshold::enough(pass, scale::pods_for(pass, weight)).min(most);
    part(weight, available, want)
}

/// The part of `weight` that `available` of `want` pods carry, rounded down.
pub(super) fn part(weight: i32, available: i32, want: i32) -> i32 {
    if want <= 0 {
        return 0;
    }
    let part = i64::from(weight) * i64::from(available.clamp(0, want)) / i64::from(want);
    i32::try_from(part).unwrap_or(weight)
}

/// Whether to write now. Where somebody else has changed the weight that we wrote, it is written again after 1, 2, 4 …
/// seconds, at once where the new version has too much; and after some rounds a person is asked.
fn contend(pass: &mut Pass<'_>, weight: i32, wanted: &Wanted<'_>) -> bool {
    let Some(by) = pass.observed.written_by.clone() else {
        return true;
    };
    let written = pass.status.canary.weights.as_ref();
    let ours = written.is_some_and(|written| {
        written.canary.weight == weight && written.header_routes == wanted.names(pass)
    });
    let has_weight = weight == pass.observed.highest && weight == pass.observed.lowest;
    if !ours || (has_weight && wanted.are_live(pass)) {
        return true;
    }
    let what = if has_weight { HEADER_ROUTES } else { WEIGHT };
    let now = pass.now();
    let before = pass
        .status
        .overwritten
        .clone()
        .filter(|before| before.what == what)
        .filter(|before| now.duration_since(before.last).as_secs() < QUIET);
    let rounds = before.as_ref().map_or(0, |before| before.rounds);
    if let Some(before) = &before {
        let too_much =
            pass.observed.highest > weight || (pass.observed.by_header && wanted.sends_nothing());
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
    conditions::overwritten(pass, by.clone(), what);
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
            format!("{by} keeps changing {what}; paused until promoted"),
        );
    }
    true
}

/// Remembers what is being written, and when it last changed. A write is a change also if it brings back what was
/// recorded: the other weight may have been live until now.
fn record(pass: &mut Pass<'_>, weight: i32, wanted: &Wanted<'_>, writes: bool) {
    let behind = services::behind_canary(pass).unwrap_or_default();
    let old = pass.status.canary.weights.clone();
    let old_weight = old.as_ref().map_or(0, |old| old.canary.weight);
    let live_differs = pass.observed.highest != weight || pass.observed.lowest != weight;
    let verified = pass
        .observed
        .confirms
        .then_some(!writes && pass.observed.unconfirmed.is_none());
    let confirmed_now =
        verified == Some(true) && old.as_ref().is_some_and(|old| old.verified == Some(false));
    let header_routes = wanted.names(pass);
    let old_routes = old
        .as_ref()
        .map(|old| old.header_routes.clone())
        .unwrap_or_default();
    let changed = old.is_none()
        || old_weight != weight
        || old_routes != header_routes
        || (writes && (live_differs || !wanted.are_live(pass)))
        || confirmed_now;
    if old_weight != weight {
        pass.note(
            false,
            "TrafficWeightUpdated",
            format!("Traffic weight updated from {old_weight} to {weight}"),
        );
    }
    if old_routes != header_routes {
        let shown = |routes: &[String]| match routes {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        let message = format!(
            "Header routes updated from {} to {}",
            shown(&old_routes),
            shown(&header_routes)
        );
        pass.note(false, "HeaderRoutesUpdated", message);
    }
    let changed_at = if changed {
        Some(pass.now())
    } else {
        old.and_then(|old| old.changed_at)
    };
    if let Some(drained) = changed_at.map(|at| pass.drained_at(at))
        && pass.now() < drained
    {
        pass.look_again(drained);
    }
    pass.status.canary.weights = Some(TrafficWeights {
        canary: WeightDestination {
            weight,
            service_name: pass.strategy.canary_service().cloned().unwrap_or_default(),
            pod_template_hash: behind,
        },
        stable: WeightDestination {
            weight: pass.max_weight() - weight,
            service_name: pass.strategy.stable_service().cloned().unwrap_or_default(),
            pod_template_hash: pass.status.stable_rs.clone(),
        },
        additional: Vec::new(),
        header_routes,
        verified,
        changed_at,
    });
}

/// Whether no weight is left on the canary and proxies had time to follow.
pub(super) fn canary_drained(pass: &mut Pass<'_>) -> bool {
    if pass.router.is_none() {
        return true;
    }
    let observed = &pass.observed;
    if observed.highest > 0
        || observed.by_header
        || observed.resting > 0
        || observed.unconfirmed.is_some()
    {
        return false;
    }
    let weights = pass.status.canary.weights.as_ref();
    if weights.is_some_and(|weights| weights.canary.weight > 0 || !weights.header_routes.is_empty())
    {
        // What sent there is gone, and the status does not know it yet: the time counts from now.
        return false;
    }
    let changed_at = weights.and_then(|weights| weights.changed_at);
    let Some(drained) = changed_at.map(|at| pass.drained_at(at)) else {
        return true;
    };
    if pass.now() < drained {
        pass.look_again(drained);
        return false;
    }
    true
}

/// Canary Ingresses of this Rollout that the spec no longer asks for: without a router the stable Service has all traffic.
fn delete_unwanted_ingresses(pass: &mut Pass<'_>) {
    let rollout = &pass.snapshot.rollout;
    let wanted: Vec<String> = pass
        .strategy
        .traffic_routing()
        .and_then(|routing| routing.nginx.as_ref())
        .map(|nginx| {
            nginx
                .ingresses()
                .into_iter()
                .map(|stable| canary_ingress_name(&rollout.name, stable))
                .collect()
        })
        .unwrap_or_default();
    for ingress in pass.snapshot.ingresses.values() {
        if ingress.controller_uid.as_deref() == Some(&rollout.uid)
            && !wanted.contains(&ingress.name)
        {
            pass.actions.push(Action::DeleteIngress {
                target: Target {
                    name: ingress.name.clone(),
                    uid: String::new(),
                    resource_version: ingress.resource_version.clone(),
                },
            });
        }
    }
}
