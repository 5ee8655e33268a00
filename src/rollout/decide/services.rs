//! The Services that lead to the stable and to the new version: whom they lead to now, and how one is pointed elsewhere.
//!
//! Not here: where they should lead (`canary::pins`, `blue_green::pins`), and putting them back when the Rollout is gone
//! (`crate::traffic::restore`).

use jiff::Timestamp;

use super::{conditions, pass::Pass};
use crate::{
    api::strategy::ServiceRole,
    rollout::{
        decision::{Action, Outcome, Target, Wait},
        snapshot::{ReplicaSetView, ServiceView},
    },
};

fn service<'a>(pass: &Pass<'a>, name: Option<&'a String>) -> Option<&'a ServiceView> {
    pass.snapshot.services.get(name?)
}

pub(super) fn stable_service<'a>(pass: &Pass<'a>) -> Option<&'a ServiceView> {
    service(pass, pass.strategy.stable_service())
}

pub(super) fn canary_service<'a>(pass: &Pass<'a>) -> Option<&'a ServiceView> {
    service(pass, pass.strategy.canary_service())
}

pub(super) fn pinned<'a>(pass: &Pass<'a>, service: &'a ServiceView) -> Option<&'a String> {
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
        return pass.strategy.stable_service().is_none();
    };
    let Some(stable) = pass.revisions.stable() else {
        return false;
    };
    leads_to_alone(pass, service, stable)
}

/// The active Service selects the new version, and its endpoints are that version's pods and no others.
pub(super) fn active_leads_to_new(pass: &Pass<'_>) -> bool {
    if pass.replicas() == 0 {
        return true;
    }
    let (Some(service), Some(new)) = (stable_service(pass), pass.revisions.new) else {
        return false;
    };
    leads_to_alone(pass, service, new)
}

/// The Service selects this version, all of whose available pods are its endpoints, and no others.
fn leads_to_alone(pass: &Pass<'_>, service: &ServiceView, set: &ReplicaSetView) -> bool {
    let need = set.available.min(pass.replicas());
    pinned(pass, service) == Some(&set.pod_template_hash)
        && (need == 0 || service.ready_endpoints_of(&set.name) >= need)
        && foreign_endpoints(pass, service, &set.pod_template_hash) == 0
}

/// The canary Service selects the new version, and at least `need` of its pods are ready endpoints and no others.
pub(super) fn canary_serves(pass: &Pass<'_>, need: i32) -> bool {
    let Some(service) = canary_service(pass) else {
        return pass.strategy.canary_service().is_none();
    };
    let Some(new) = pass.revisions.new else {
        return false;
    };
    pinned(pass, service) == Some(&new.pod_template_hash)
        && service.ready_endpoints_of(&new.name) >= need
        && foreign_endpoints(pass, service, &new.pod_template_hash) == 0
}

/// Until when proxies may not know yet that the canary Service has endpoints again. One that learns of a weight first would find nobody.
pub(super) fn canary_settles_at(pass: &Pass<'_>) -> Option<Timestamp> {
    let emptied = canary_service(pass)?.emptied?;
    let known = pass.drained_at(emptied);
    (pass.now() < known).then_some(known)
}

/// The same as what is waited for.
pub(super) fn canary_outcome(pass: &Pass<'_>, need: i32) -> Outcome {
    if canary_serves(pass, need) {
        return Outcome::Done;
    }
    Outcome::wait(format!(
        "Service {} to have {need} ready endpoints of the new version and no others",
        pass.strategy.canary_service().map_or("", String::as_str)
    ))
}

fn foreign_endpoints(pass: &Pass<'_>, service: &ServiceView, hash: &str) -> i32 {
    pass.snapshot
        .replica_sets
        .iter()
        .filter(|set| set.pod_template_hash != hash)
        .map(|set| service.ready_endpoints_of(&set.name))
        .sum()
}

/// Pods that a version must have before a Service leads to it: all of them when the Service is pinned for the first
/// time, for until then it is the user's; one when it only comes back.
pub(super) fn needed(pass: &Pass<'_>, first: bool) -> i32 {
    if first {
        pass.replicas().max(1)
    } else {
        pass.replicas().min(1)
    }
}

/// Somebody else took our pin out, or set another one.
pub(super) fn taken_out(pass: &Pass<'_>, service: &ServiceView) -> bool {
    service.managed_by.is_some()
        && (pinned(pass, service).is_none() || service.selector_written_by.is_some())
}

/// Points the Service at a version. Says who, if somebody else had changed it.
pub(super) fn repin(pass: &mut Pass<'_>, service: &ServiceView, target: &str, role: ServiceRole) {
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
pub(super) fn mark(pass: &mut Pass<'_>, service: &ServiceView, hash: &str, role: ServiceRole) {
    if service.managed_by.as_deref() != Some(&pass.snapshot.rollout.name)
        || service.role != Some(role)
    {
        pin_to(pass, service, hash, role);
    }
}

fn pin_to(pass: &mut Pass<'_>, service: &ServiceView, hash: &str, role: ServiceRole) {
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

/// Both Services lead to the stable version alone and have its pods behind them: any split between them is harmless.
pub(super) fn any_split_is_harmless(pass: &Pass<'_>) -> bool {
    let (Some(service), Some(stable)) = (canary_service(pass), pass.revisions.stable()) else {
        return false;
    };
    stable_serves(pass) && leads_to_alone(pass, service, stable)
}

/// A stable Service that leads to the stable version and selects none of its pods: somebody has given it a label that only
/// pods of another version have. Requests that are sent there are lost until it fits both.
pub(super) fn tell_misfit(pass: &mut Pass<'_>) {
    let (Some(service), Some(stable)) = (stable_service(pass), pass.revisions.stable()) else {
        return;
    };
    let leads = pinned(pass, service) == Some(&stable.pod_template_hash);
    let empty = service.ready_endpoints_of(&stable.name) == 0;
    // A Service that has just been pointed at its version, or pods that are just there, are seen a moment later.
    let updating = pass.revisions.new_hash != pass.status.stable_rs;
    if leads && empty && updating && stable.available > 0 {
        let why = format!(
            "Service {} to select pods of the stable version: {} are available and none is its endpoint; its selector must fit the pods of both versions",
            service.name, stable.available
        );
        pass.waits.insert(0, Wait { why, until: None });
    }
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
