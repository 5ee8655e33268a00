//! Where the stable and the canary Service lead.
//!
//! Not here: how they are pointed elsewhere (`services`).

use crate::api::strategy::ServiceRole;
use crate::mutants::{Mutant, mutated};
use crate::rollout::{
    decide::{
        pass::{Mode, Pass},
        scale,
        services::{self, pinned, taken_out},
        steps, threshold, traffic,
    },
    snapshot::ServiceView,
};

/// Points both Services where they belong now.
pub(in crate::rollout::decide) fn pin(pass: &mut Pass<'_>) {
    if let Some(service) = services::stable_service(pass) {
        pin_stable(pass, service);
    }
    if let Some(service) = services::canary_service(pass) {
        pin_canary(pass, service);
    }
    services::tell_misfit(pass);
}

fn pin_stable(pass: &mut Pass<'_>, service: &ServiceView) {
    let target = pass.status.stable_rs.clone();
    let Some(stable) = pass.revisions.stable() else {
        return;
    };
    if pinned(pass, service) == Some(&target) {
        return services::mark(pass, service, &target, ServiceRole::Stable);
    }
    let release_ends = pass.mode() == Mode::Stable && pass.observed.highest > 0;
    let need = if service.managed_by.is_none() {
        services::needed(pass, true)
    } else if taken_out(pass, service) && !release_ends {
        // Until it is back, other versions get traffic that is not theirs.
        services::needed(pass, false)
    } else {
        threshold::enough(pass, pass.replicas())
    };
    if stable.available >= need || mutated(Mutant::A1ServiceBeforePods) {
        services::repin(pass, service, &target, ServiceRole::Stable);
    } else if pass.replicas() > 0 {
        pass.wait(
            format!("pods of the stable version to be available before Service {} selects them: {} of {need} are", service.name, stable.available),
            None,
        );
    }
}

fn pin_canary(pass: &mut Pass<'_>, service: &ServiceView) {
    match canary_target(pass, service) {
        Some(target) if pinned(pass, service) == Some(&target) => {
            services::mark(pass, service, &target, ServiceRole::Canary);
        }
        Some(target) => services::repin(pass, service, &target, ServiceRole::Canary),
        None => {}
    }
}

/// The version that the canary Service leads to from now on; `None` leaves it as it is.
fn canary_target(pass: &mut Pass<'_>, service: &ServiceView) -> Option<String> {
    let at = pinned(pass, service).cloned();
    let weight = pass.observed.highest;
    let drained = traffic::canary_drained(pass);
    // What the user declared for times of rest has to be off first, and proxies have to know.
    let free = weight == 0 && !pass.observed.by_header && (!pass.observed.confirms || drained);
    let stable_hash = pass.status.stable_rs.clone();
    let new_hash = pass.revisions.new_hash.clone();
    let need = services::needed(pass, service.managed_by.is_none());
    let stable = pass
        .revisions
        .stable()
        .is_some_and(|stable| stable.available >= need)
        .then(|| stable_hash.clone());
    match pass.mode() {
        Mode::Aborted if mutated(Mutant::A17RouteAfterAbort) => at,
        Mode::Stable | Mode::Aborted => match at {
            Some(at) if at == stable_hash => Some(at),
            // Proxies may still send there.
            Some(_) if !drained => None,
            Some(_) | None => stable,
        },
        Mode::Stepping | Mode::Full => {
            let available = pass.revisions.new.map_or(0, |new| {
                if mutated(Mutant::A3DesiredForAvailable) {
                    new.replicas
                } else {
                    new.available
                }
            });
            let want = threshold::enough(pass, scale::pods_for(pass, steps::goal_weight(pass)));
            let new =
                (want > 0 && available >= want && pass.hold.is_none()).then(|| new_hash.clone());
            let declared = scale::declared_pods(pass);
            match at {
                // A step without pods, or a Rollout scaled to 0: its pods may go.
                Some(at) if at == new_hash && declared == 0 && drained => stable.or(Some(at)),
                Some(at) if at == new_hash => Some(at),
                Some(at) if at == stable_hash => new.filter(|_| free),
                Some(_) if mutated(Mutant::A8ServiceBeforeWeight) => new.or(stable),
                // A version that was superseded.
                Some(_) => new.or(stable).filter(|_| drained),
                None if weight > 0 || pass.observed.by_header => {
                    led_before(pass).or((available > 0).then_some(new_hash))
                }
                None => new.filter(|_| free).or(stable),
            }
        }
    }
}

/// Where a canary Service that somebody has let loose led before, if that has pods. A version that was declared meanwhile is not
/// given the weight that was another's.
fn led_before(pass: &Pass<'_>) -> Option<String> {
    let weights = pass.snapshot.rollout.status.canary.weights.as_ref()?;
    let before = &weights.canary.pod_template_hash;
    let mut sets = pass.snapshot.replica_sets.iter();
    sets.any(|set| set.pod_template_hash == *before && set.available > 0)
        .then(|| before.clone())
}
