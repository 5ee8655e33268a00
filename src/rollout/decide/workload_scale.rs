//! How large the Deployment of `spec.workloadRef` is: it is scaled down when the Rollout serves in its place, in every
//! revision anew, and never below what the Rollout does not yet serve.
//!
//! Not here: giving it back when the Rollout is gone (`crate::rollout::workload_restore`).

use super::{
    pass::{Mode, Pass},
    services,
};
use crate::{
    api::{
        conditions::{self, ConditionStatus, ConditionType},
        workload::{AtRest, ScaleDown, WorkloadKind},
    },
    rollout::{
        decision::{Action, Target},
        snapshot::{Workload, WorkloadView},
    },
};

/// Scales it, or gives it back when it is to be left alone.
pub(super) fn size(pass: &mut Pass<'_>) {
    let snapshot = pass.snapshot;
    let Workload::Found(workload) = &snapshot.workload else {
        return;
    };
    let Some(reference) = &pass.spec.workload_ref else {
        return;
    };
    if reference.workload_kind() != Some(WorkloadKind::Deployment) {
        return;
    }
    let wanted = match reference.scale_down() {
        None => return,
        Some(ScaleDown::Never) => return restore(pass, workload),
        Some(ScaleDown::OnSuccess) => on_success(pass, workload),
        Some(ScaleDown::Progressively) => progressively(pass, workload),
    };
    if pass.hold.is_some() || wanted >= workload.replicas {
        return;
    }
    pass.actions.push(Action::ScaleWorkload {
        target: target(workload),
        from: workload.replicas,
        at_rest: AtRest {
            replicas: at_rest(workload),
            scaled_to: wanted,
        },
        rollout: snapshot.rollout.name.clone(),
    });
}

/// The size that somebody else gave it last.
fn at_rest(workload: &WorkloadView) -> i32 {
    match workload.at_rest {
        Some(known) if known.scaled_to == workload.replicas => known.replicas,
        Some(_) | None => workload.replicas,
    }
}

fn on_success(pass: &mut Pass<'_>, workload: &WorkloadView) -> i32 {
    if replaced(pass) { 0 } else { workload.replicas }
}

/// As many fewer as pods of the Rollout serve beside it. The last ones go when they are not needed at all.
fn progressively(pass: &mut Pass<'_>, workload: &WorkloadView) -> i32 {
    if replaced(pass) {
        return 0;
    }
    let serving = pass
        .revisions
        .stable()
        .map_or(0, |stable| stable.available.min(stable.replicas));
    let whole = at_rest(workload).max(pass.replicas());
    workload.replicas.min((whole - serving).max(1))
}

/// Whether the Rollout serves alone: all of stable's pods are available, its Services lead to them and to nobody else,
/// and proxies had the time to follow. A Rollout without pods replaces nobody.
fn replaced(pass: &mut Pass<'_>) -> bool {
    let whole = pass
        .revisions
        .stable()
        .is_some_and(|stable| stable.available >= pass.replicas());
    if pass.replicas() == 0 || !whole || !services::stable_serves(pass) {
        return false;
    }
    // A first deploy ends with all Services where they belong; what came after it was served by stable all along.
    let conditions = &pass.snapshot.rollout.status.conditions;
    let Some(completed) = conditions::find(conditions, ConditionType::Completed) else {
        return false;
    };
    if pass.mode() == Mode::Stable && completed.status != ConditionStatus::True {
        return false;
    }
    let drained = completed
        .last_transition_time
        .map(|since| pass.drained_at(since));
    match drained {
        Some(drained) if pass.now() < drained => {
            pass.look_again(drained);
            false
        }
        Some(_) | None => true,
    }
}

fn restore(pass: &mut Pass<'_>, workload: &WorkloadView) {
    let ours = workload.managed_by.as_deref() == Some(&pass.snapshot.rollout.name);
    if ours && let Some(known) = workload.at_rest {
        pass.actions.push(Action::RestoreWorkload {
            target: target(workload),
            replicas: (known.scaled_to == workload.replicas).then_some(known.replicas),
        });
    }
}

fn target(workload: &WorkloadView) -> Target {
    Target {
        name: workload.name.clone(),
        uid: workload.uid.clone(),
        resource_version: workload.resource_version.clone(),
    }
}
