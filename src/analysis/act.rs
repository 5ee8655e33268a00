//! Writes the status of an AnalysisRun: only what changed, and only over the version that was decided on.

use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::observe::ObservedRun;
use crate::api::analysis::AnalysisRunStatus;
use crate::api::merge_patch;
use crate::api::names::FIELD_MANAGER;
use crate::runtime::client::{ApiError, with_deadline};

/// How long one write may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// The merge patch from the status that was read to `status`. `None` when they say the same. Fields we do not know stay.
pub fn status_patch(
    run: &ObservedRun,
    status: &AnalysisRunStatus,
) -> Result<Option<Value>, serde_json::Error> {
    let old = match &run.status {
        Ok(old) => serde_json::to_value(old)?,
        // What cannot be read must not stand in the way any longer.
        Err(_) => run.raw_status.clone(),
    };
    let changes = merge_patch::difference(&old, &serde_json::to_value(status)?);
    Ok(changes.map(|changes| {
        json!({
            "metadata": {"resourceVersion": run.resource_version},
            "status": changes,
        })
    }))
}

/// Where the status of a kind is written.
#[derive(Clone, Debug)]
pub struct StatusResource {
    /// The kind.
    pub resource: ApiResource,
    /// It has a status subresource.
    pub subresource: bool,
}

/// Sends the patch, within `limit`. The answer is the object's new resourceVersion.
pub async fn write_status(
    client: &Client,
    StatusResource {
        resource,
        subresource,
    }: &StatusResource,
    run: &ObservedRun,
    patch: &Value,
    limit: Duration,
) -> Result<String, ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &run.namespace, resource);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(patch);
    let written = if *subresource {
        with_deadline(limit, api.patch_status(&run.name, &params, &patch)).await?
    } else {
        with_deadline(limit, api.patch(&run.name, &params, &patch)).await?
    };
    Ok(written.metadata.resource_version.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::observe::observe;
    use crate::api::analysis::AnalysisPhase;

    fn run(status: &Value) -> ObservedRun {
        observe(&json!({"metadata": {"name": "r", "namespace": "n", "resourceVersion": "7"}, "status": status})).unwrap()
    }

    #[test]
    fn only_what_changed_is_written_and_only_over_what_was_read() {
        let failed = AnalysisRunStatus {
            phase: Some(AnalysisPhase::Failed),
            ..AnalysisRunStatus::default()
        };
        for (before, patch) in [
            (json!({"phase": "Failed"}), None),
            (json!({"phase": "Failed", "theirs": 1}), None),
            (Value::Null, Some(json!({"phase": "Failed"}))),
            (
                json!({"phase": "Running", "message": "old"}),
                Some(json!({"phase": "Failed", "message": null})),
            ),
        ] {
            let found = status_patch(&run(&before), &failed).unwrap();
            let expected =
                patch.map(|status| json!({"metadata": {"resourceVersion": "7"}, "status": status}));
            assert_eq!(found, expected, "{before}");
        }
    }
}
