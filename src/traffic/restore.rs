//! Puts back what a Rollout that is gone, or no longer names a Service or a route (`routes`), has left on it. Level-triggered: there is no
//! finalizer, which would block a namespace once the controller is gone.
//!
//! Pins go when at most one version still has pods: until then they keep stable serving alone, also after a deletion
//! that orphans. Not here: canary Ingresses of a Rollout that is there (`rollout::decide::services`).

pub mod routes;

use std::{sync::Arc, time::Duration};

use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    runtime::controller::Action as Requeue,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    api::{
        names::{ApiNames, FIELD_MANAGER},
        object::CachedObject,
        strategy::{ServiceRole, services_named},
    },
    caches::{self, Caches},
    rollout::act::{ActError, Writer},
    runtime::{
        client::{ApiError, Failure, with_deadline},
        lease::LostLease,
    },
};

const DEADLINE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(5);

/// What every look shares.
pub struct Context {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub caches: Caches,
}

/// Why a Service could not be put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The API server.
    #[error("putting {name} back: {source}")]
    Api {
        /// The object.
        name: String,
        /// Why not.
        source: ApiError,
    },
    /// What there is now could not be asked for.
    #[error(transparent)]
    Unknown(#[from] ActError),
    /// Another replica may lead by now.
    #[error(transparent)]
    Fenced(#[from] LostLease),
}

/// What to do with a Service whose Rollout is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restore {
    /// Nothing: its Rollout names it, or its pin is still needed.
    Keep,
    /// Lead it to the version that the stable Service of the same Rollout selects.
    Follow(String),
    /// Take the pin and the marks away.
    Unpin,
}

/// A marked Service and what there is around it.
#[derive(Clone, Debug, Default)]
pub struct Marked<'a> {
    /// The version in its selector.
    pub pinned: Option<&'a str>,
    /// What it was to the Rollout.
    pub role: Option<ServiceRole>,
    /// Whether a Rollout with the name on the mark exists and names this Service.
    pub in_use: bool,
    /// The version that the stable Service with the same mark selects.
    pub stable: Option<&'a str>,
    /// Versions of the former Rollout that still have pods.
    pub alive: Vec<&'a str>,
}

/// Decides.
pub fn restore(service: &Marked<'_>) -> Restore {
    if service.in_use {
        return Restore::Keep;
    }
    if service.alive.len() <= 1 {
        return Restore::Unpin;
    }
    match (service.role, service.stable) {
        (Some(ServiceRole::Canary | ServiceRole::Preview), Some(stable))
            if service.pinned != Some(stable) =>
        {
            Restore::Follow(stable.to_owned())
        }
        _ => Restore::Keep,
    }
}

/// One look at a marked Service.
pub async fn reconcile(
    service: Arc<CachedObject>,
    context: Arc<Context>,
) -> Result<Requeue, RestoreError> {
    let log = &context.writer.write_log;
    if !caches::shows_own_write(log, "Service", &service) {
        return Ok(Requeue::requeue(AGAIN));
    }
    let names = &context.writer.names;
    let value = service.value();
    let Some(rollout) = label(&value, &names.managed_by_rollout) else {
        return Ok(Requeue::await_change());
    };
    let namespace = service.namespace();
    let owner = context.caches.rollouts.get(namespace, rollout);
    let names_it = |owner: &CachedObject| names_service(owner, service.name());
    if owner.as_deref().is_some_and(names_it) {
        return Ok(Requeue::await_change());
    }
    let stable = stable_pin(&service, rollout, &context);
    let decide = |sets: &mut dyn Iterator<Item = &CachedObject>| {
        let alive = alive(&value, names, sets);
        restore(&Marked {
            pinned: pin(&value, names),
            role: annotation(&value, &names.role).and_then(ServiceRole::named),
            in_use: false,
            stable: stable.as_deref(),
            alive: alive.iter().map(String::as_str).collect(),
        })
    };
    let cached = context.caches.replica_sets.select(namespace, |_| true);
    let orphans = match owner {
        Some(_) => Vec::new(),
        None => canary_ingresses(namespace, rollout, &context),
    };
    if decide(&mut cached.iter().map(Arc::as_ref)) == Restore::Keep && orphans.is_empty() {
        return Ok(Requeue::requeue(AGAIN));
    }
    let owner = context.writer.newest_rollout(namespace, rollout).await?;
    if owner.as_ref().is_some_and(names_it) {
        return Ok(Requeue::requeue(AGAIN));
    }
    if owner.is_none() {
        delete(orphans, &context).await?;
    }
    let sets = context.writer.newest_replica_sets(namespace).await?;
    let patch = match decide(&mut sets.iter()) {
        Restore::Keep => return Ok(Requeue::requeue(AGAIN)),
        Restore::Follow(stable) => {
            json!({ "spec": { "selector": { (names.pod_template_hash.clone()): stable } } })
        }
        Restore::Unpin => unpinned(names),
    };
    tracing::info!(
        namespace = service.namespace(),
        service = service.name(),
        rollout,
        "putting the Service of a former Rollout back"
    );
    write(&service, patch, &context).await?;
    Ok(Requeue::await_change())
}

/// The merge patch that takes pin and marks off a Service.
fn unpinned(names: &ApiNames) -> Value {
    let mut annotations = json!({ (names.role.clone()): null });
    if let Some(key) = &names.managed_by {
        annotations[key] = Value::Null;
    }
    json!({
        "metadata": {
            "labels": { (names.managed_by_rollout.clone()): null },
            "annotations": annotations,
        },
        "spec": { "selector": { (names.pod_template_hash.clone()): null } },
    })
}

/// After a failure: a conflict is solved by the next event.
pub fn after_failure(error: &RestoreError) -> Requeue {
    match error {
        RestoreError::Api { source, .. } if source.failure() == Failure::Conflict => {}
        RestoreError::Api { .. } | RestoreError::Unknown(_) | RestoreError::Fenced(_) => {
            tracing::warn!("{error}");
        }
    }
    Requeue::requeue(AGAIN)
}

async fn write(
    service: &CachedObject,
    mut patch: Value,
    context: &Context,
) -> Result<(), RestoreError> {
    patch["metadata"]["resourceVersion"] = json!(service.resource_version());
    let limit = context.writer.fence.bound(DEADLINE)?;
    let api: Api<CachedObject> = Api::namespaced_with(
        context.writer.client.clone(),
        service.namespace(),
        &caches::services(),
    );
    let params = PatchParams::apply(FIELD_MANAGER);
    let patched = with_deadline(
        limit,
        api.patch(service.name(), &params, &Patch::Merge(&patch)),
    )
    .await
    .map_err(|source| RestoreError::Api {
        name: format!("Service {}", service.name()),
        source,
    })?;
    context.writer.write_log.wrote(
        "Service",
        service.namespace(),
        service.name(),
        service.uid(),
        patched.resource_version(),
        Instant::now(),
    );
    Ok(())
}

/// Our Ingresses of a former Rollout: with a normal deletion they go by their owner; an orphaning one leaves them.
fn canary_ingresses(namespace: &str, rollout: &str, context: &Context) -> Vec<Arc<CachedObject>> {
    let mark = &context.writer.names.managed_by_rollout;
    context
        .caches
        .ingresses
        .select(namespace, |ingress| ingress.label(mark) == Some(rollout))
}

async fn delete(ingresses: Vec<Arc<CachedObject>>, context: &Context) -> Result<(), RestoreError> {
    for ingress in ingresses {
        let api: Api<CachedObject> = Api::namespaced_with(
            context.writer.client.clone(),
            ingress.namespace(),
            &caches::ingresses(),
        );
        let limit = context.writer.fence.bound(DEADLINE)?;
        let preconditions = Preconditions {
            uid: Some(ingress.uid().to_owned()),
            resource_version: Some(ingress.resource_version().to_owned()),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        match with_deadline(limit, api.delete(ingress.name(), &params)).await {
            Ok(_) => {}
            Err(error) if error.failure() == Failure::NotFound => {}
            Err(source) => {
                return Err(RestoreError::Api {
                    name: format!("Ingress {}", ingress.name()),
                    source,
                });
            }
        }
    }
    Ok(())
}

/// Hashes of ReplicaSets with pods that the Service would select without its pin.
fn alive<'a>(
    service: &Value,
    names: &ApiNames,
    sets: impl Iterator<Item = &'a CachedObject>,
) -> Vec<String> {
    let hash = &names.pod_template_hash;
    let selector = service
        .pointer("/spec/selector")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    sets.filter(|set| {
        selector
            .iter()
            .filter(|(key, _)| *key != hash)
            .all(|(key, value)| set.label(key) == value.as_str())
    })
    .filter(|set| {
        let value = set.value();
        let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        count("/spec/replicas") > 0 || count("/status/replicas") > 0
    })
    .filter_map(|set| set.label(hash).map(str::to_owned))
    .collect()
}

/// What the stable Service with the same mark selects.
fn stable_pin(service: &CachedObject, rollout: &str, context: &Context) -> Option<String> {
    let names = &context.writer.names;
    let services = context
        .caches
        .services
        .select(service.namespace(), |other| {
            other.label(&names.managed_by_rollout) == Some(rollout)
        });
    services
        .iter()
        .map(|other| other.value())
        .find(|value| {
            annotation(value, &names.role)
                .and_then(ServiceRole::named)
                .is_some_and(ServiceRole::serves)
        })
        .and_then(|value| pin(&value, names).map(str::to_owned))
}

fn names_service(rollout: &CachedObject, service: &str) -> bool {
    let value = rollout.value();
    services_named(&value).any(|name| name == service)
}

fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(key)?.as_str()
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

fn pin<'a>(object: &'a Value, names: &ApiNames) -> Option<&'a str> {
    object
        .pointer("/spec/selector")?
        .get(&names.pod_template_hash)?
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_put_back_when_it_cannot_send_to_two_versions() {
        let former = |role, pinned, alive: &'static [&'static str]| Marked {
            pinned: Some(pinned),
            role: Some(role),
            in_use: false,
            stable: Some("s"),
            alive: alive.to_vec(),
        };
        for (service, expected) in [
            (
                Marked {
                    in_use: true,
                    ..former(ServiceRole::Stable, "s", &[])
                },
                Restore::Keep,
            ),
            (former(ServiceRole::Stable, "s", &["s"]), Restore::Unpin),
            (former(ServiceRole::Stable, "s", &[]), Restore::Unpin),
            (former(ServiceRole::Stable, "s", &["s", "c"]), Restore::Keep),
            (
                former(ServiceRole::Canary, "c", &["s", "c"]),
                Restore::Follow("s".to_owned()),
            ),
            (former(ServiceRole::Canary, "s", &["s", "c"]), Restore::Keep),
        ] {
            assert_eq!(restore(&service), expected, "{service:?}");
        }
    }
}
