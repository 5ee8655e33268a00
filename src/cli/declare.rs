//! Writing what a Rollout declares, bound to the version that was looked at.
//!
//! Not here: what is declared (`set_image`, `undo`).

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    CliError,
    cluster::Cluster,
    request::{FIELD_MANAGER, is_conflict},
    rollout::Rollout,
};
use crate::api::names::Kind;

/// Writes these JSON patch operations. `false`: somebody else has changed the Rollout since, and it has to be looked at
/// again. `action` is for the error, as in "set the image of".
pub(super) async fn declare(
    cluster: &Cluster,
    rollout: &Rollout,
    operations: Vec<Value>,
    action: &str,
) -> Result<bool, CliError> {
    let name = &rollout.name;
    let version = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": rollout.resource_version });
    let operations = std::iter::once(version).chain(operations).collect();
    let patch = serde_json::from_value(Value::Array(operations)).map_err(|source| {
        CliError::Unreadable {
            name: name.clone(),
            source,
        }
    })?;
    let written = cluster
        .api(Kind::Rollout)
        .patch(
            name,
            &PatchParams::apply(FIELD_MANAGER),
            &Patch::<()>::Json(patch),
        )
        .await;
    match written {
        Ok(_) => Ok(true),
        Err(error) if is_conflict(&error) => Ok(false),
        Err(error) => Err(CliError::api(format!("{action} Rollout {name}"))(error)),
    }
}
