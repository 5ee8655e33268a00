//! Puts back the weights of routes whose Rollout is gone or no longer names them.
//!
//! Not here: routes of a Rollout that is there and names them (`rollout::decide::traffic`).

use std::sync::Arc;

use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::controller::Action as Requeue,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{AGAIN, Context, DEADLINE, RestoreError, label, pin};
use crate::{
    api::{
        gateway_api::RouteKind, names::FIELD_MANAGER, object::CachedObject,
        traffic_routing::TrafficRouting,
    },
    caches,
    runtime::client::with_deadline,
    traffic::gateway_api::marks::{AtRest, put_back},
};

/// What looks at routes of one kind share.
pub struct RouteContext {
    /// The kind.
    pub kind: RouteKind,
    /// What all looks share.
    pub restore: Arc<Context>,
}

/// What to do with a marked route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restore {
    /// Nothing: its Rollout names it.
    Keep,
    /// Nothing yet: the declared weights would send to a version that is not stable.
    Later,
    /// Put the declared weights back and take the marks away.
    PutBack,
}

/// A marked route and what there is around it.
#[derive(Clone, Copy, Debug, Default)]
struct Marked<'a> {
    /// The Rollout on the mark exists and names the route.
    in_use: bool,
    /// The Rollout on the mark does not exist.
    gone: bool,
    /// The declared weights give the canary Service nothing.
    spares_canary: bool,
    /// The version that the stable Service is pinned to.
    stable: Option<&'a str>,
    /// The version that the canary Service is pinned to.
    canary: Option<&'a str>,
}

fn decide(route: &Marked<'_>) -> Restore {
    if route.in_use {
        return Restore::Keep;
    }
    // Services of a Rollout that is gone are led to the stable version first. Where it is still there, somebody took the
    // route out of its hands and gets what was declared.
    let harmless = route.spares_canary || route.canary.is_none() || route.canary == route.stable;
    if route.gone && !harmless {
        Restore::Later
    } else {
        Restore::PutBack
    }
}

/// One look at a marked route.
pub async fn reconcile(
    route: Arc<CachedObject>,
    context: Arc<RouteContext>,
) -> Result<Requeue, RestoreError> {
    let RouteContext { kind, restore } = &*context;
    let (namespace, name) = (route.namespace(), route.name());
    let log = &restore.writer.write_log;
    if !caches::shows_own_write(log, kind.name(), &route) {
        return Ok(Requeue::requeue(AGAIN));
    }
    let names = &restore.writer.names;
    let value = route.value();
    let at_rest = AtRest::read(names, &value);
    let by = at_rest.as_ref().map(|at_rest| at_rest.rollout.as_str());
    let Some(rollout) = by.or(label(&value, &names.managed_by_rollout)) else {
        return Ok(Requeue::await_change());
    };
    let owner = restore.caches.rollouts.get(namespace, rollout);
    let service = |name: Option<&String>| {
        let object = restore.caches.services.get(namespace, name?)?;
        pin(&object.value(), names).map(str::to_owned)
    };
    let stable = service(at_rest.as_ref().map(|at_rest| &at_rest.stable_service));
    let canary = service(at_rest.as_ref().map(|at_rest| &at_rest.canary_service));
    let decided = decide(&Marked {
        in_use: owner
            .as_ref()
            .is_some_and(|rollout| names_route(rollout, *kind, name)),
        gone: owner.is_none(),
        spares_canary: at_rest.as_ref().is_none_or(AtRest::spares_canary),
        stable: stable.as_deref(),
        canary: canary.as_deref(),
    });
    match decided {
        Restore::Keep => return Ok(Requeue::await_change()),
        Restore::Later => return Ok(Requeue::requeue(AGAIN)),
        Restore::PutBack => {}
    }
    let owner = restore.writer.newest_rollout(namespace, rollout).await?;
    if owner.is_some_and(|rollout| names_route(&rollout, *kind, name)) {
        return Ok(Requeue::requeue(AGAIN));
    }
    tracing::info!(
        namespace,
        route = name,
        rollout,
        "putting the {} of a former Rollout back",
        kind.name()
    );
    let patch = put_back(
        names,
        &value,
        route.resource_version(),
        at_rest.as_ref(),
        &[],
    )
    .finish();
    write(&route, &Patch::Json(patch), &context).await?;
    Ok(Requeue::await_change())
}

async fn write(
    route: &CachedObject,
    patch: &Patch<Value>,
    context: &RouteContext,
) -> Result<(), RestoreError> {
    let RouteContext { kind, restore } = context;
    let limit = restore.writer.fence.bound(DEADLINE)?;
    let client = restore.writer.client.clone();
    let api: Api<CachedObject> = Api::namespaced_with(client, route.namespace(), &kind.resource());
    let params = PatchParams::apply(FIELD_MANAGER);
    let patched = with_deadline(limit, api.patch(route.name(), &params, patch))
        .await
        .map_err(|source| RestoreError::Api {
            name: format!("{} {}", kind.name(), route.name()),
            source,
        })?;
    restore.writer.write_log.wrote(
        kind.name(),
        route.namespace(),
        route.name(),
        route.uid(),
        patched.resource_version(),
        Instant::now(),
    );
    Ok(())
}

/// A spec that cannot be read may name anything: then what it mentions is in use.
fn names_route(rollout: &CachedObject, kind: RouteKind, name: &str) -> bool {
    let value = rollout.value();
    let Some(routing) = value.pointer("/spec/strategy/canary/trafficRouting") else {
        return false;
    };
    TrafficRouting::deserialize(routing).map_or_else(
        |_| rollout.mentions(name),
        |routing| {
            let routes = routing.routes();
            routes
                .iter()
                .any(|route| route.kind == kind && route.name == name)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_put_back_when_what_was_declared_sends_nowhere_else() {
        let gone = Marked {
            gone: true,
            stable: Some("s"),
            canary: Some("c"),
            ..Marked::default()
        };
        for (route, expected) in [
            (
                Marked {
                    in_use: true,
                    ..Marked::default()
                },
                Restore::Keep,
            ),
            (gone, Restore::Later),
            (
                Marked {
                    spares_canary: true,
                    ..gone
                },
                Restore::PutBack,
            ),
            (
                Marked {
                    canary: Some("s"),
                    ..gone
                },
                Restore::PutBack,
            ),
            (
                Marked {
                    canary: None,
                    ..gone
                },
                Restore::PutBack,
            ),
            (
                Marked {
                    gone: false,
                    ..gone
                },
                Restore::PutBack,
            ),
        ] {
            assert_eq!(decide(&route), expected, "{route:?}");
        }
    }
}
