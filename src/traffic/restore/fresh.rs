//! What the API server holds now. A cache that is late shows a Rollout as gone that is there again, or one version where there
//! are two: before anything is put back because of it, whoever knows is asked. It happens once for each Rollout that goes.

use kube::{Api, api::ListParams, core::ApiResource};

use super::{Context, DEADLINE, RestoreError};
use crate::{
    api::{names::Kind, object::CachedObject},
    caches,
    runtime::client::with_deadline,
};

/// The Rollout of this name.
pub(super) async fn rollout(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<CachedObject>, RestoreError> {
    // A list, because that is what we may do.
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let resource = context.writer.names.resource(Kind::Rollout);
    let found = list(context, &resource, namespace, &params, || {
        format!("Rollout {name}")
    })
    .await?;
    Ok(found.into_iter().next())
}

/// The ReplicaSets that are versions of something.
pub(super) async fn replica_sets(
    context: &Context,
    namespace: &str,
) -> Result<Vec<CachedObject>, RestoreError> {
    let params = ListParams::default().labels(&context.writer.names.pod_template_hash);
    let resource = caches::replica_sets();
    list(context, &resource, namespace, &params, || {
        "ReplicaSets".to_owned()
    })
    .await
}

async fn list(
    context: &Context,
    resource: &ApiResource,
    namespace: &str,
    params: &ListParams,
    what: impl FnOnce() -> String,
) -> Result<Vec<CachedObject>, RestoreError> {
    let limit = context.writer.fence.bound(DEADLINE)?;
    let client = context.writer.client.clone();
    let api: Api<CachedObject> = Api::namespaced_with(client, namespace, resource);
    with_deadline(limit, api.list(params))
        .await
        .map(|found| found.items)
        .map_err(|source| RestoreError::Api {
            name: what(),
            source,
        })
}
