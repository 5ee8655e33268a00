//! Gives a Deployment its replicas back when the Rollout that scaled it down is gone, or no longer asks for it.
//! Level-triggered by the mark on the Deployment: there is no finalizer, which would block a namespace.
//!
//! Not here: scaling it down (`decide::workload_scale`).

use std::{sync::Arc, time::Duration};

use kube::runtime::controller::Action as Requeue;
use serde_json::Value;

use super::{
    act::{ActError, Writer},
    decision::{Action, Target},
};
use crate::{
    api::{
        object::CachedObject,
        rollout::WorkloadRef,
        workload::{AtRest, ScaleDown, WorkloadKind},
    },
    caches::{self, Caches},
    runtime::client::Failure,
};

const AGAIN: Duration = Duration::from_secs(5);

/// What every look shares.
pub struct Context {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub caches: Caches,
}

/// Whether a Rollout asks for this Deployment to be scaled down: one that is being deleted asks for nothing.
pub fn asks_for(rollout: &Value, deployment: &str) -> bool {
    if rollout.pointer("/metadata/deletionTimestamp").is_some() {
        return false;
    }
    let reference = rollout
        .pointer("/spec/workloadRef")
        .and_then(|reference| serde_json::from_value::<WorkloadRef>(reference.clone()).ok());
    reference.is_some_and(|reference| {
        reference.workload_kind() == Some(WorkloadKind::Deployment)
            && reference.name.as_deref() == Some(deployment)
            && reference.scale_down() != Some(ScaleDown::Never)
    })
}

/// What gives a marked Deployment back: its size only if it is still as we left it.
pub fn give_back(at_rest: Option<AtRest>, replicas: i32, target: Target) -> Action {
    let known = at_rest.filter(|known| known.scaled_to == replicas);
    Action::RestoreWorkload {
        target,
        replicas: known.map(|known| known.replicas),
    }
}

/// One look at a marked Deployment.
pub async fn reconcile(
    deployment: Arc<CachedObject>,
    context: Arc<Context>,
) -> Result<Requeue, ActError> {
    let names = &context.writer.names;
    let namespace = deployment.namespace();
    let kind = WorkloadKind::Deployment.name();
    let log = &context.writer.write_log;
    if !caches::shows_own_write(log, kind, &deployment) {
        return Ok(Requeue::requeue(AGAIN));
    }
    let value = deployment.value();
    let text = |part: &str, key: &str| {
        let text = value.pointer(part)?.get(key)?.as_str()?;
        Some(text.to_owned())
    };
    let Some(rollout) = text("/metadata/labels", &names.managed_by_rollout) else {
        return Ok(Requeue::await_change());
    };
    let wanted = context.caches.rollouts.get(namespace, &rollout);
    if wanted.is_some_and(|rollout| asks_for(&rollout.value(), deployment.name())) {
        return Ok(Requeue::await_change());
    }
    let at_rest = text("/metadata/annotations", &names.replicas_at_rest);
    let replicas = value.pointer("/spec/replicas").and_then(Value::as_i64);
    let target = Target {
        name: deployment.name().to_owned(),
        uid: deployment.uid().to_owned(),
        resource_version: deployment.resource_version().to_owned(),
    };
    let action = give_back(
        at_rest.as_deref().and_then(AtRest::read),
        replicas
            .and_then(|replicas| i32::try_from(replicas).ok())
            .unwrap_or(1),
        target,
    );
    tracing::info!(
        namespace,
        deployment = deployment.name(),
        rollout,
        "giving the Deployment of a former Rollout back"
    );
    context
        .writer
        .act(&action, namespace, "", &context.caches)
        .await?;
    Ok(Requeue::await_change())
}

/// After a failure: a conflict is solved by the next event.
pub fn after_failure(error: &ActError) -> Requeue {
    if error.failure() != Failure::Conflict {
        tracing::warn!("{error}");
    }
    Requeue::requeue(AGAIN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_kept_small_as_long_as_a_rollout_asks_for_it() {
        let reference = |name: &str, scale_down: &str| {
            json!({"spec": {"workloadRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "scaleDown": scale_down,
            }}})
        };
        let mut going = reference("demo", "onsuccess");
        going["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        for (rollout, expected) in [
            (reference("demo", "onsuccess"), true),
            (reference("demo", "progressively"), true),
            (reference("demo", "never"), false),
            (reference("other", "onsuccess"), false),
            (json!({"spec": {"template": {}}}), false),
            (going, false),
        ] {
            assert_eq!(asks_for(&rollout, "demo"), expected, "{rollout}");
        }
    }

    #[test]
    fn argo_3855_the_size_comes_back_unless_somebody_has_set_another_one() {
        let at_rest = AtRest {
            replicas: 5,
            scaled_to: 0,
        };
        for (known, replicas, expected) in [
            (Some(at_rest), 0, Some(5)),
            (Some(at_rest), 3, None),
            (None, 0, None),
        ] {
            let action = give_back(known, replicas, Target::default());
            let expected = Action::RestoreWorkload {
                target: Target::default(),
                replicas: expected,
            };
            assert_eq!(action, expected, "{known:?} {replicas}");
        }
    }
}
