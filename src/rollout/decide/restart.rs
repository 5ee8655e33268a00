//! `restartAt`: pods that are older are evicted, a few at a time and one version after the other, as PodDisruptionBudgets
//! allow. A pod that serves alone gets another one beside it first.
//!
//! Not here: carrying an eviction out, and what a refused one says (`crate::rollout::act`).

use jiff::{SignedDuration, Timestamp};

use super::{pass::Pass, pod_ratio, validate::FieldError};
use crate::{
    api::{rollout::RolloutSpec, strategy::Declared},
    rollout::{
        decision::{Action, Target, Wait},
        snapshot::{PodView, ReplicaSetView, ServiceView, Snapshot},
    },
};

/// A refused eviction is tried again after this time.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// What this pass does about a restart.
#[derive(Clone, Debug, Default)]
pub(super) struct Restart {
    /// There are pods to be restarted still.
    under_way: bool,
    /// Pods are evicted in this pass: nothing else may take pods away on top of it.
    evicting: bool,
}

fn time(spec: &RolloutSpec) -> Option<Timestamp> {
    spec.restart_at.as_deref()?.parse().ok()
}

/// What is wrong with the field.
pub(super) fn problems(spec: &RolloutSpec) -> Option<FieldError> {
    let text = spec.restart_at.as_deref()?;
    time(spec).is_none().then(|| FieldError {
        path: "spec.restartAt".to_owned(),
        message: format!("{text} is not a time; write it as 2026-01-31T12:00:00Z"),
    })
}

/// The time of a restart that is not done.
fn asked(spec: &RolloutSpec, restarted: Option<Timestamp>) -> Option<Timestamp> {
    time(spec).filter(|at| restarted.is_none_or(|restarted| restarted < *at))
}

/// Whether the pods have to be looked at for this decision.
pub fn wants_pods(snapshot: &Snapshot) -> bool {
    let Ok(spec) = &snapshot.rollout.spec else {
        return false;
    };
    let asked = asked(spec, snapshot.rollout.status.restarted_at);
    !snapshot.rollout.deleting && asked.is_some_and(|at| at <= snapshot.now)
}

/// Whether pods are being restarted.
pub(super) fn under_way(pass: &Pass<'_>) -> bool {
    pass.restart.under_way
}

/// Evicts what may go now; one version after the other.
pub(super) fn advance(pass: &mut Pass<'_>) {
    let Some(at) = asked(pass.spec, pass.status.restarted_at) else {
        pass.status.restart_surge = None;
        return;
    };
    if pass.now() < at {
        pass.look_again(at);
        return;
    }
    let snapshot = pass.snapshot;
    let Some(pods) = &snapshot.pods else {
        return;
    };
    let versions: Vec<&ReplicaSetView> = pass
        .revisions
        .new
        .into_iter()
        .chain(pass.revisions.old.iter().copied())
        .filter(|set| set.replicas > 0)
        .collect();
    let mut before = None;
    for set in versions {
        let own = Own::of(set, pods, at);
        if own.old.is_empty() {
            if own.available < set.replicas {
                before = Some(set);
            }
            continue;
        }
        pass.restart.under_way = true;
        if pass.hold.is_some() {
            return;
        }
        if let Some(before) = before {
            tell(
                pass,
                format!("restarted pods of {} to be available", before.name),
                None,
            );
            return;
        }
        return restart(pass, set, &own);
    }
    pass.status.restart_surge = None;
    pass.status.restarted_at = Some(at);
}

/// The pods of one version.
struct Own<'a> {
    /// Older than the restart, and not on their way out: those first that serve nobody.
    old: Vec<&'a PodView>,
    /// Pods that serve.
    available: i32,
    /// Newer pods that serve.
    available_new: i32,
    /// Newer pods that do not serve yet.
    starting: i32,
    /// Pods that are there to stay.
    there: i32,
}

impl<'a> Own<'a> {
    fn of(set: &ReplicaSetView, pods: &'a [PodView], at: Timestamp) -> Self {
        let staying = || {
            pods.iter()
                .filter(|pod| pod.replica_set_uid == set.uid && !pod.terminating)
        };
        let count = |wanted: &dyn Fn(&PodView) -> bool| {
            i32::try_from(staying().filter(|pod| wanted(pod)).count()).unwrap_or(i32::MAX)
        };
        let mut old: Vec<&PodView> = staying().filter(|pod| pod.created < at).collect();
        old.sort_by_key(|pod| (pod.ready, pod.created, pod.name.clone()));
        let available = count(&|pod| pod.ready).min(set.available);
        Self {
            old,
            available,
            available_new: count(&|pod| pod.ready && pod.created >= at).min(available),
            starting: count(&|pod| !pod.ready && pod.created >= at),
            there: count(&|_| true),
        }
    }
}

fn restart(pass: &mut Pass<'_>, set: &ReplicaSetView, own: &Own<'_>) {
    if let Some(refused) = &pass.snapshot.eviction_refused {
        let again = refused.at.saturating_add(AGAIN).unwrap_or(Timestamp::MAX);
        if pass.now() < again {
            let why = format!("the eviction of a pod to be allowed: {}", refused.message);
            return tell(pass, why, Some(again));
        }
    }
    if let Some(service) = lags(pass, set, own.available) {
        let why = format!(
            "Service {service} to lead to the restarted pods of {}",
            set.name
        );
        return tell(pass, why, None);
    }
    let surged = pass.status.restart_surge.as_ref() == Some(&set.pod_template_hash);
    let serves_alone = set.replicas == 1 && own.available == 1;
    if surged || serves_alone {
        pass.status.restart_surge = Some(set.pod_template_hash.clone());
        if own.available_new == 0 {
            let why = format!(
                "another pod of {} to serve before its only one is restarted",
                set.name
            );
            return tell(pass, why, None);
        }
        return evict(pass, &own.old);
    }
    let budget = budget(pass, set.replicas);
    let idle = own.old.iter().filter(|pod| !pod.ready).count();
    let under_way = own.starting + (set.replicas - own.there).max(0);
    let may = if idle > 0 {
        // They serve nobody: only so many at a time, as all of them.
        usize::try_from(budget - under_way).unwrap_or(0).min(idle)
    } else {
        usize::try_from(budget - (set.replicas - own.available)).unwrap_or(0)
    };
    if may == 0 {
        let why = format!("restarted pods of {} to be available", set.name);
        return tell(pass, why, None);
    }
    evict(pass, own.old.get(..may).unwrap_or(&own.old));
}

/// A Service that leads to the version, and does not have all of its available pods as endpoints yet. If others went
/// before these are known to proxies, nobody might answer.
fn lags(pass: &Pass<'_>, set: &ReplicaSetView, available: i32) -> Option<String> {
    let key = &pass.snapshot.names.pod_template_hash;
    let leads = |service: &&ServiceView| {
        let pin = service.selector.get(key);
        pin.is_none_or(|pin| *pin == set.pod_template_hash)
    };
    let mut services = pass.snapshot.services.values().filter(leads);
    services
        .find(|service| service.ready_endpoints_of(&set.name) < available)
        .map(|service| service.name.clone())
}

/// Says what the restart waits for before what a step does: a pause goes on for long, and is known.
fn tell(pass: &mut Pass<'_>, why: String, until: Option<Timestamp>) {
    if let Some(until) = until {
        pass.look_again(until);
    }
    pass.waits.insert(0, Wait { why, until });
}

/// How many of a version's pods may be away at a time: `maxUnavailable`, at least one and never all.
fn budget(pass: &Pass<'_>, replicas: i32) -> i32 {
    let declared = match pass.strategy {
        Declared::Canary(canary) => canary.max_unavailable.as_ref(),
        Declared::BlueGreen(blue_green) => blue_green.max_unavailable.as_ref(),
    };
    let surge = crate::api::rollout::Amount::Int(1);
    let (_, unavailable) = pod_ratio::bounds(Some(&surge), declared, pass.replicas());
    unavailable.min(replicas - 1).max(1)
}

fn evict(pass: &mut Pass<'_>, pods: &[&PodView]) {
    pass.restart.evicting = true;
    for pod in pods {
        pass.actions.push(Action::EvictPod {
            target: Target {
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                resource_version: String::new(),
            },
        });
    }
    let why = format!(
        "{} older than spec.restartAt to be restarted",
        counted(pods)
    );
    tell(pass, why, None);
}

fn counted(pods: &[&PodView]) -> String {
    match pods {
        [pod] => format!("pod {}", pod.name),
        several => format!("{} pods", several.len()),
    }
}

/// The size that a version is to have beside the restart: one pod more where it serves with one; and nothing goes in the
/// pass that evicts.
pub(super) fn size(pass: &Pass<'_>, set: &ReplicaSetView, want: i32) -> i32 {
    let surged = pass.status.restart_surge.as_ref() == Some(&set.pod_template_hash);
    let want = want.saturating_add(i32::from(surged && want > 0));
    if pass.restart.evicting {
        want.max(set.replicas)
    } else {
        want
    }
}
