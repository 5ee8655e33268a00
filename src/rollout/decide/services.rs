//! The selectors of the stable and the canary Service: which version each leads to, and when that changes.
//!
//! Not here: putting them back when the Rollout is gone (`crate::traffic::restore`).

use super::{
    conditions,
    pass::{Mode, Pass},
    scale, steps, traffic,
};
use crate::{
    rollout::{
        decision::{Action, Target},
        snapshot::ServiceView,
    },
    traffic::ingress_nginx::canary_ingress_name,
};

const STABLE: &str = "stable";
const CANARY: &str = "canary";

fn service<'a>(pass: &Pass<'a>, name: Option<&'a String>) -> Option<&'a ServiceView> {
    pass.snapshot.services.get(name?)
}

fn stable_service<'a>(pass: &Pass<'a>) -> Option<&'a ServiceView> {
    service(pass, pass.strategy.stable_service.as_ref())
}

fn canary_service<'a>(pass: &Pass<'a>) -> Option<&'a ServiceView> {
    service(pass, pass.strategy.canary_service.as_ref())
}

fn pinned<'a>(pass: &Pass<'a>, service: &'a ServiceView) -> Option<&'a String> {
    service.selector.get(&pass.snapshot.names.pod_template_hash)
}

/// The version that the canary Service leads to.
pub(super) fn behind_canary(pass: &Pass<'_>) -> Option<String> {
    canary_service(pass)
        .and_then(|service| pinned(pass, service))
        .cloned()
}

/// Whether somebody answers when no weight is left on the canary: the stable Service has a ready pod of any version.
pub(super) fn falls_back(pass: &Pass<'_>) -> bool {
    pass.replicas() == 0
        || stable_service(pass).is_some_and(|service| {
            service
                .endpoints
                .iter()
                .any(|endpoint| endpoint.ready && !endpoint.terminating)
        })
}

/// The stable Service selects the stable version, and its endpoints are that version's pods and no others.
pub(super) fn stable_serves(pass: &Pass<'_>) -> bool {
    if pass.replicas() == 0 {
        // Without pods there is nobody to wait for.
        return true;
    }
    let Some(service) = stable_service(pass) else {
        return pass.strategy.stable_service.is_none();
    };
    let Some(stable) = pass.revisions.stable() else {
        return false;
    };
    let need = stable.available.min(pass.replicas());
    pinned(pass, service) == Some(&stable.pod_template_hash)
        && (need == 0 || service.ready_endpoints_of(&stable.name) >= need)
        && foreign_endpoints(pass, service, &stable.pod_template_hash) == 0
}

/// The canary Service selects the new version, and at least `need` of its pods are ready endpoints and no others.
pub(super) fn canary_serves(pass: &Pass<'_>, need: i32) -> bool {
    let Some(service) = canary_service(pass) else {
        return pass.strategy.canary_service.is_none();
    };
    let Some(new) = pass.revisions.new else {
        return false;
    };
    pinned(pass, service) == Some(&new.pod_template_hash)
        && service.ready_endpoints_of(&new.name) >= need
        && foreign_endpoints(pass, service, &new.pod_template_hash) == 0
}

fn foreign_endpoints(pass: &Pass<'_>, service: &ServiceView, hash: &str) -> i32 {
    pass.snapshot
        .replica_sets
        .iter()
        .filter(|set| set.pod_template_hash != hash)
        .map(|set| service.ready_endpoints_of(&set.name))
        .sum()
}

/// Points both Services where they belong now.
pub(super) fn pin(pass: &mut Pass<'_>) {
    if let Some(service) = stable_service(pass) {
        pin_stable(pass, service);
    }
    if let Some(service) = canary_service(pass) {
        pin_canary(pass, service);
    }
}

/// Pods that a version must have before a Service leads to it: all of them when the Service is pinned for the first
/// time, for until then it is the user's; one when it only comes back.
fn needed(pass: &Pass<'_>, first: bool) -> i32 {
    if first {
        pass.replicas().max(1)
    } else {
        pass.replicas().min(1)
    }
}

/// Somebody else took our pin out, or set another one.
fn taken_out(pass: &Pass<'_>, service: &ServiceView) -> bool {
    service.managed_by.is_some()
        && (pinned(pass, service).is_none() || service.selector_written_by.is_some())
}

fn pin_stable(pass: &mut Pass<'_>, service: &ServiceView) {
    let target = pass.status.stable_rs.clone();
    let Some(stable) = pass.revisions.stable() else {
        return;
    };
    if pinned(pass, service) == Some(&target) {
        return mark(pass, service, &target, STABLE);
    }
    let release_ends = pass.mode() == Mode::Stable && pass.observed.highest > 0;
    let need = if service.managed_by.is_none() {
        needed(pass, true)
    } else if taken_out(pass, service) && !release_ends {
        // Until it is back, other versions get traffic that is not theirs.
        needed(pass, false)
    } else {
        pass.replicas()
    };
    if stable.available >= need {
        repin(pass, service, &target, STABLE);
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
            mark(pass, service, &target, CANARY);
        }
        Some(target) => repin(pass, service, &target, CANARY),
        None => {}
    }
}

/// The version that the canary Service leads to from now on; `None` leaves it as it is.
fn canary_target(pass: &mut Pass<'_>, service: &ServiceView) -> Option<String> {
    let at = pinned(pass, service).cloned();
    let weight = pass.observed.highest;
    let drained = traffic::canary_drained(pass);
    // What the user declared for times of rest has to be off first, and proxies have to know.
    let free = weight == 0 && (!pass.observed.confirms || drained);
    let stable_hash = pass.status.stable_rs.clone();
    let new_hash = pass.revisions.new_hash.clone();
    let need = needed(pass, service.managed_by.is_none());
    let stable = pass
        .revisions
        .stable()
        .is_some_and(|stable| stable.available >= need)
        .then(|| stable_hash.clone());
    match pass.mode() {
        Mode::Stable | Mode::Aborted => match at {
            Some(at) if at == stable_hash => Some(at),
            // Proxies may still send there.
            Some(_) if !drained => None,
            Some(_) | None => stable,
        },
        Mode::Stepping | Mode::Full => {
            let available = pass.revisions.new.map_or(0, |new| new.available);
            let want =
                scale::canary_share(pass.replicas(), steps::goal_weight(pass), pass.max_weight());
            let new =
                (want > 0 && available >= want && pass.hold.is_none()).then(|| new_hash.clone());
            let declared = scale::canary_share(
                pass.replicas(),
                steps::declared_weight(pass),
                pass.max_weight(),
            );
            match at {
                // A step without weight, or a Rollout scaled to 0: its pods may go.
                Some(at) if at == new_hash && declared == 0 && drained => stable.or(Some(at)),
                Some(at) if at == new_hash => Some(at),
                Some(at) if at == stable_hash => new.filter(|_| free),
                // A version that was superseded.
                Some(_) => new.or(stable).filter(|_| drained),
                None if weight > 0 => (available > 0).then_some(new_hash),
                None => new.filter(|_| free).or(stable),
            }
        }
    }
}

/// Points the Service at a version. Says who, if somebody else had changed it.
fn repin(pass: &mut Pass<'_>, service: &ServiceView, target: &str, role: &'static str) {
    if taken_out(pass, service) {
        let by = service
            .selector_written_by
            .clone()
            .unwrap_or_else(|| "an unknown writer".to_owned());
        let what = format!("the selector of Service {}", service.name);
        conditions::overwritten(pass, by, &what);
    }
    pin_to(pass, service, target, role);
}

/// A Service that leads where it should but lost its mark gets the mark back.
fn mark(pass: &mut Pass<'_>, service: &ServiceView, hash: &str, role: &'static str) {
    if service.managed_by.as_deref() != Some(&pass.snapshot.rollout.name)
        || service.role.as_deref() != Some(role)
    {
        pin_to(pass, service, hash, role);
    }
}

fn pin_to(pass: &mut Pass<'_>, service: &ServiceView, hash: &str, role: &'static str) {
    pass.actions.push(Action::PinService {
        target: Target {
            name: service.name.clone(),
            uid: String::new(),
            resource_version: service.resource_version.clone(),
        },
        pod_template_hash: hash.to_owned(),
        role,
        rollout: pass.snapshot.rollout.name.clone(),
    });
}

/// Canary Ingresses of this Rollout that the spec no longer asks for: without a router the stable Service has all traffic.
pub(super) fn delete_unwanted_ingresses(pass: &mut Pass<'_>) {
    let rollout = &pass.snapshot.rollout;
    let wanted: Vec<String> = pass
        .strategy
        .traffic_routing
        .as_ref()
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

/// Both Services lead to the stable version alone and have its pods behind them: any split between them is harmless.
pub(super) fn any_split_is_harmless(pass: &Pass<'_>) -> bool {
    let (Some(service), Some(stable)) = (canary_service(pass), pass.revisions.stable()) else {
        return false;
    };
    let need = stable.available.min(pass.replicas());
    stable_serves(pass)
        && pinned(pass, service) == Some(&stable.pod_template_hash)
        && service.ready_endpoints_of(&stable.name) >= need
        && foreign_endpoints(pass, service, &stable.pod_template_hash) == 0
}

/// At rest both Services lead to the stable version. Without pods there is nothing to lead to.
pub(super) fn pinned_at_rest(pass: &Pass<'_>) -> bool {
    if pass.replicas() == 0 {
        return true;
    }
    [stable_service(pass), canary_service(pass)]
        .into_iter()
        .flatten()
        .all(|service| pinned(pass, service) == Some(&pass.status.stable_rs))
}
