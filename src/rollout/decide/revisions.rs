//! Which ReplicaSet is new, which is stable, which are left over.
//!
//! Not here: creating one (`replica_set`) or sizing one (`scale`).

use std::cmp::Reverse;

use super::{analyses, pass::Pass, workload};
use crate::{
    api::{
        bake::BakeStatus,
        conditions::{self, ConditionType},
        rollout::RolloutSpec,
        rollout_status::RolloutStatus,
        strategy::Declared,
        template_hash,
    },
    rollout::snapshot::{ReplicaSetView, Snapshot},
};

/// The ReplicaSets by role.
#[derive(Clone, Debug)]
pub(super) struct Revisions<'a> {
    /// Hash of the declared pod template.
    pub(super) new_hash: String,
    /// The ReplicaSet of the declared pod template; absent until created.
    pub(super) new: Option<&'a ReplicaSetView>,
    /// All others, newest revision first; the stable one among them unless it is the new one.
    pub(super) old: Vec<&'a ReplicaSetView>,
    /// Hash of the stable version; empty when there never was one.
    pub(super) stable_hash: String,
}

/// The hash of the declared pod template.
pub fn pod_template_hash(spec: &RolloutSpec, status: &RolloutStatus) -> String {
    let template = spec.template.as_ref().map(|template| &template.0);
    template_hash::pod_template_hash(
        template.unwrap_or(&serde_json::Value::Null),
        status.collision_count.unwrap_or(0),
    )
}

impl<'a> Revisions<'a> {
    pub(super) fn identify(
        snapshot: &'a Snapshot,
        spec: &RolloutSpec,
        strategy: Declared<'_>,
        status: &RolloutStatus,
    ) -> Self {
        let mut live: Vec<&ReplicaSetView> = snapshot
            .replica_sets
            .iter()
            .filter(|set| !set.deleting)
            .collect();
        live.sort_by_key(|set| (Reverse(set.revision), set.name.clone()));
        let stable_hash = if status.stable_rs.is_empty() {
            recover_stable(snapshot, strategy, &live).unwrap_or_default()
        } else {
            status.stable_rs.clone()
        };
        let declared = workload::new_hash(snapshot, spec, status, &stable_hash);
        let by_label = live.iter().find(|set| set.pod_template_hash == declared);
        // One that was taken over has a hash of another making.
        let new = by_label.or_else(|| {
            live.iter()
                .find(|set| set.declared_hash.as_deref() == Some(declared.as_str()))
        });
        let new = new.copied();
        let new_hash = new.map_or(declared, |new| new.pod_template_hash.clone());
        Self {
            new,
            old: live
                .into_iter()
                .filter(|set| set.pod_template_hash != new_hash)
                .collect(),
            new_hash,
            stable_hash,
        }
    }

    /// The stable ReplicaSet, if it exists.
    pub(super) fn stable(&self) -> Option<&'a ReplicaSetView> {
        self.by_hash(&self.stable_hash)
    }

    pub(super) fn by_hash(&self, hash: &str) -> Option<&'a ReplicaSetView> {
        self.new
            .iter()
            .chain(&self.old)
            .copied()
            .find(|set| set.pod_template_hash == hash)
    }

    /// Neither new nor stable, newest first.
    pub(super) fn leftovers(&self) -> impl Iterator<Item = &'a ReplicaSetView> + '_ {
        self.old
            .iter()
            .copied()
            .filter(|set| set.pod_template_hash != self.stable_hash)
    }

    /// The highest revision number of all ReplicaSets.
    pub(super) fn highest(&self) -> i64 {
        self.new
            .iter()
            .chain(&self.old)
            .map(|set| set.revision)
            .max()
            .unwrap_or(0)
    }
}

/// A lost status is never a first deploy while ReplicaSets exist: stable is what the stable Service selects,
/// else the one with the most available pods.
fn recover_stable(
    snapshot: &Snapshot,
    strategy: Declared<'_>,
    live: &[&ReplicaSetView],
) -> Option<String> {
    let pinned = strategy
        .stable_service()
        .and_then(|name| snapshot.services.get(name))
        .and_then(|service| service.selector.get(&snapshot.names.pod_template_hash))
        .filter(|hash| live.iter().any(|set| set.pod_template_hash == **hash));
    pinned.cloned().or_else(|| {
        // `live` is sorted newest first; among equals the oldest has served longest, and `max_by_key` takes the last.
        live.iter()
            .max_by_key(|set| set.available)
            .map(|set| set.pod_template_hash.clone())
    })
}

/// Takes over a recovered stable version, starts a first deploy, or begins a new revision.
pub(super) fn begin(pass: &mut Pass<'_>) {
    let first_deploy_never_served = corrects_first_deploy(pass);
    if pass.revisions.stable_hash.is_empty() || first_deploy_never_served {
        pass.revisions
            .stable_hash
            .clone_from(&pass.revisions.new_hash);
    }
    pass.status
        .stable_rs
        .clone_from(&pass.revisions.stable_hash);

    let step_hash = step_hash(pass.strategy);
    let promoted = pass.revisions.new_hash == pass.status.stable_rs;
    let new_revision = pass.status.current_pod_hash != pass.revisions.new_hash;
    let new_steps = pass.status.current_step_hash != step_hash;
    if new_revision {
        restart(pass);
        pass.status.abort = false;
        pass.status.aborted_at = None;
        pass.status.abort_cause = None;
        pass.status.promote_full = false;
        pass.status
            .current_pod_hash
            .clone_from(&pass.revisions.new_hash);
    } else if new_steps && !pass.status.abort && !promoted {
        restart(pass);
        // What was measured for a step of the old list says nothing about the one that now has its index.
        pass.status.attempt = pass.status.attempt.saturating_add(1);
    }
    pass.status.current_step_hash = step_hash;
    if promoted {
        pass.status.abort = false;
        pass.status.aborted_at = None;
        pass.status.abort_cause = None;
        finish(pass);
    } else if pass.status.current_step_index.is_none() {
        pass.status.current_step_index = first_step(pass);
    }
    let highest = pass.revisions.highest();
    let revision = match pass.revisions.new {
        Some(new) if new.revision == highest && highest > 0 => highest,
        Some(_) | None => highest.saturating_add(1),
    };
    pass.status.revision = Some(revision);
    if new_revision {
        pass.status.attempt = analyses::fresh_attempt(pass, revision);
    }
}

/// The hash of the steps; empty for a strategy without any.
pub(super) fn step_hash(strategy: Declared<'_>) -> String {
    match strategy {
        Declared::Canary(canary) => template_hash::hash(&serde_json::json!(canary.steps)),
        Declared::BlueGreen(_) => String::new(),
    }
}

/// A first deploy whose pods never served is replaced by the next version without steps: there is nothing to protect.
fn corrects_first_deploy(pass: &Pass<'_>) -> bool {
    let status = &pass.status;
    !status.stable_rs.is_empty()
        && status.current_pod_hash == status.stable_rs
        && pass.revisions.new_hash != status.stable_rs
        && !conditions::holds(&status.conditions, ConditionType::Completed)
        && pass.revisions.old.iter().all(|old| old.available == 0)
        && pass.revisions.new.is_none_or(|new| new.available == 0)
}

/// Back to the first step, with nothing of what was paused or measured before.
pub(super) fn restart(pass: &mut Pass<'_>) {
    pass.status.current_step_index = first_step(pass);
    pass.status.pause_conditions.clear();
    pass.status.controller_pause = false;
    pass.status.blue_green.scale_up_preview_check_point = false;
    pass.status.blue_green.pre_promotion_analysis_run_status = None;
    pass.status.blue_green.post_promotion_analysis_run_status = None;
    pass.status.canary.current_step_analysis_run_status = None;
    pass.status.canary.current_experiment = None;
    pass.status.canary.current_background_analysis_run_status = None;
    pass.status.bake = BakeStatus::default();
    pass.status.progress = None;
}

/// Nothing is under way any more.
pub(super) fn finish(pass: &mut Pass<'_>) {
    pass.status.current_step_index = first_step(pass).map(|_| steps_len(pass));
    pass.status.promote_full = false;
    pass.status.pause_conditions.clear();
    pass.status.controller_pause = false;
    pass.status.blue_green.scale_up_preview_check_point = false;
    pass.status.blue_green.live_size = None;
    pass.status.bake = BakeStatus::default();
}

/// A blue-green release has no steps, and no index of one.
fn first_step(pass: &Pass<'_>) -> Option<i32> {
    match pass.strategy {
        Declared::Canary(_) => Some(0),
        Declared::BlueGreen(_) => None,
    }
}

/// The index after the last step.
pub(super) fn steps_len(pass: &Pass<'_>) -> i32 {
    i32::try_from(pass.strategy.steps().len()).unwrap_or(i32::MAX)
}
