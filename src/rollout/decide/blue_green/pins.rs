//! Where the active and the preview Service lead.
//!
//! Not here: when the switch is decided (`blue_green`).

use super::{has_switched, size};
use crate::{
    api::{blue_green::BlueGreenStrategy, strategy::ServiceRole},
    rollout::{
        decide::{
            pass::{Mode, Pass},
            services::{self, pinned, taken_out},
        },
        snapshot::{ReplicaSetView, ServiceView},
    },
};

/// Points both Services where they belong now.
pub(in crate::rollout::decide) fn pin(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) {
    if let Some(service) = services::stable_service(pass) {
        pin_active(pass, service);
    }
    if let Some(service) = services::canary_service(pass) {
        pin_preview(pass, service, strategy);
    }
}

fn pin_active(pass: &mut Pass<'_>, service: &ServiceView) {
    let at = pinned(pass, service).cloned();
    let target = active_target(pass, at.as_ref());
    if at.as_ref() == Some(&target) {
        services::mark(pass, service, &target, ServiceRole::Active);
    } else {
        let need = needed(pass, service, &target);
        let available = pass
            .revisions
            .by_hash(&target)
            .map_or(0, |set| set.available);
        if available < need {
            if pass.replicas() > 0 {
                pass.wait(
                    format!(
                        "pods to be available before Service {} selects them: {available} of {need} are",
                        service.name
                    ),
                    None,
                );
            }
            pass.status.blue_green.active_selector = at;
            return;
        }
        services::repin(pass, service, &target, ServiceRole::Active);
    }
    pass.status.blue_green.active_selector = Some(target);
}

fn active_target(pass: &Pass<'_>, at: Option<&String>) -> String {
    let (stable, new) = (
        pass.status.stable_rs.clone(),
        pass.revisions.new_hash.clone(),
    );
    match pass.mode() {
        Mode::Stepping | Mode::Full if has_switched(pass) => {
            let serves = |set: Option<&ReplicaSetView>, least: i32| {
                set.is_some_and(|set| set.available >= least)
            };
            let whole = pass.replicas().max(1);
            // All pods of the new version are gone: the old one is still whole, and it is what it is kept for.
            if !serves(pass.revisions.new, 1) && serves(pass.revisions.stable(), whole) {
                stable
            } else {
                new
            }
        }
        // Held right after the switch, before it was recorded: it is no time to move anything.
        Mode::Stepping | Mode::Full if pass.frozen() && at == Some(&new) => new,
        Mode::Stable | Mode::Aborted | Mode::Stepping | Mode::Full => stable,
    }
}

/// Pods that a version must have before the active Service leads to it.
fn needed(pass: &Pass<'_>, service: &ServiceView, target: &str) -> i32 {
    let one = pass.replicas().min(1);
    if service.managed_by.is_none() {
        // Until it is pinned for the first time it is the user's.
        return pass.replicas().max(1);
    }
    let back = target == pass.status.stable_rs;
    match pass.mode() {
        // Nothing stays on a version that was given up.
        Mode::Aborted => one,
        // Until the pin is back, other versions get traffic that is not theirs.
        Mode::Stable | Mode::Stepping | Mode::Full
            if taken_out(pass, service) && (back || has_switched(pass)) =>
        {
            one
        }
        Mode::Stable | Mode::Stepping | Mode::Full => pass.replicas(),
    }
}

fn pin_preview(pass: &mut Pass<'_>, service: &ServiceView, strategy: &BlueGreenStrategy) {
    let at = pinned(pass, service).cloned();
    let target = preview_target(pass, at.as_ref(), strategy);
    if let Some(target) = &target {
        if at.as_ref() == Some(target) {
            services::mark(pass, service, target, ServiceRole::Preview);
        } else {
            services::repin(pass, service, target, ServiceRole::Preview);
        }
    }
    pass.status.blue_green.preview_selector = target.or(at);
}

/// The preview leads to the new version as soon as there is a ReplicaSet, before it has pods: load balancers that take part
/// in the readiness of pods must know them from the start. `None` leaves it as it is.
fn preview_target(
    pass: &mut Pass<'_>,
    at: Option<&String>,
    strategy: &BlueGreenStrategy,
) -> Option<String> {
    let new = pass.revisions.new.map(|_| pass.revisions.new_hash.clone());
    match pass.mode() {
        Mode::Stepping | Mode::Full if pass.hold.is_some() && at.is_some() => None,
        Mode::Stable | Mode::Stepping | Mode::Full => new,
        Mode::Aborted if at == new.as_ref() && at.is_some() => {
            // What was given up can be looked at as long as its pods are kept.
            let kept = size::kept_until(pass, strategy);
            (pass.now() >= kept).then(|| pass.status.stable_rs.clone())
        }
        Mode::Aborted => Some(pass.status.stable_rs.clone()),
    }
}
