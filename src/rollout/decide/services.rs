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

/// The stable Service selects the stable version, and its endpoints are that version's pods and no others.
pub(super) fn stable_serves(pass: &Pass<'_>) -> bool {
    let Some(service) = stable_service(pass) else {
        return true;
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
        return true;
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

fn pin_stable(pass: &mut Pass<'_>, service: &ServiceView) {
    let target = pass.status.stable_rs.clone();
    let Some(stable) = pass.revisions.stable() else {
        return;
    };
    if pinned(pass, service) == Some(&target) {
        return mark(pass, service, &target, STABLE);
    }
    let was_ours = service.managed_by.is_some();
    let need = if was_ours && pinned(pass, service).is_none() {
        // Somebody took our pin out: until it is back, other versions get traffic that is not theirs.
        tell_overwritten(pass, service);
        pass.replicas().min(1)
    } else {
        pass.replicas()
    };
    if stable.available >= need {
        pin_to(pass, service, &target, STABLE);
    } else {
        pass.wait(
            format!("pods of the stable version to be available before Service {} selects them: {} of {need} are", service.name, stable.available),
            None,
        );
    }
}

fn pin_canary(pass: &mut Pass<'_>, service: &ServiceView) {
    let now_at = pinned(pass, service).cloned();
    if now_at.is_none() && service.managed_by.is_some() {
        tell_overwritten(pass, service);
    }
    let stable_hash = pass.status.stable_rs.clone();
    let stable_ready = pass
        .revisions
        .stable()
        .is_some_and(|stable| stable.available >= pass.replicas().min(1));
    let new_ready = pass.revisions.new.is_some_and(|new| {
        let want =
            scale::canary_share(pass.replicas(), steps::goal_weight(pass), pass.max_weight());
        new.available >= want.max(1)
    });
    let target = match pass.mode() {
        Mode::Stable | Mode::Aborted => {
            let keep = now_at.as_ref().is_some_and(|hash| *hash != stable_hash)
                && !traffic::canary_drained(pass);
            let whole = now_at.is_some()
                || pass
                    .revisions
                    .stable()
                    .is_some_and(|stable| stable.available >= pass.replicas());
            (!keep && stable_ready && (whole || service.managed_by.is_some()))
                .then_some(stable_hash)
        }
        Mode::Stepping | Mode::Full => {
            let new_hash = pass.revisions.new_hash.clone();
            let free = now_at.as_ref() == Some(&new_hash)
                || now_at.as_ref().is_none_or(|hash| *hash == stable_hash)
                || traffic::canary_drained(pass);
            if now_at.as_ref() == Some(&new_hash) {
                Some(new_hash)
            } else if new_ready && free && pass.hold.is_none() {
                Some(new_hash)
            } else if now_at.is_none() && stable_ready && pass.observed.highest == 0 {
                Some(stable_hash)
            } else if now_at.is_none()
                && pass.observed.highest > 0
                && pass.revisions.new.is_some_and(|new| new.available > 0)
            {
                // Our pin was taken out while the new version has traffic.
                Some(new_hash)
            } else {
                None
            }
        }
    };
    match target {
        Some(target) if now_at.as_ref() == Some(&target) => mark(pass, service, &target, CANARY),
        Some(target) => pin_to(pass, service, &target, CANARY),
        None => {}
    }
}

fn tell_overwritten(pass: &mut Pass<'_>, service: &ServiceView) {
    let by = service
        .selector_written_by
        .clone()
        .unwrap_or_else(|| "an unknown writer".to_owned());
    conditions::overwritten(
        pass,
        by,
        &format!("the selector of Service {}", service.name),
    );
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

/// At rest both Services lead to the stable version.
pub(super) fn pinned_at_rest(pass: &Pass<'_>) -> bool {
    [stable_service(pass), canary_service(pass)]
        .into_iter()
        .flatten()
        .all(|service| pinned(pass, service) == Some(&pass.status.stable_rs))
}
