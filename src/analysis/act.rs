//! Writes the status of an AnalysisRun: only what changed, and only over the version that was decided on.

use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use super::observe::ObservedRun;
use crate::api::analysis::AnalysisRunStatus;
use crate::api::names::FIELD_MANAGER;
use crate::runtime::client::{ApiError, with_deadline};

/// How long one write may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// The merge patch from one status to the other. `None` when they say the same.
pub fn status_patch(
    run: &ObservedRun,
    status: &AnalysisRunStatus,
) -> Result<Option<Value>, serde_json::Error> {
    let new = serde_json::to_value(status)?;
    let (empty, none) = (Map::new(), Map::new());
    let new = new.as_object().unwrap_or(&none);
    let old = run.raw_status.as_object().unwrap_or(&empty);
    let mut changes = Map::new();
    for (field, value) in new {
        if old.get(field) != Some(value) {
            changes.insert(field.clone(), value.clone());
        }
    }
    // A field that is gone is said to be gone; what a merge patch does not name stays.
    for field in FIELDS
        .iter()
        .filter(|field| old.contains_key(**field) && !new.contains_key(**field))
    {
        changes.insert((*field).to_owned(), Value::Null);
    }
    Ok((!changes.is_empty()).then(|| {
        json!({
            "metadata": {"resourceVersion": run.resource_version},
            "status": changes,
        })
    }))
}

/// The optional fields of a status. Fields we do not know are left alone.
const FIELDS: &[&str] = &[
    "phase",
    "message",
    "startedAt",
    "completedAt",
    "runSummary",
    "dryRunSummary",
    "metricResults",
];

/// Sends the patch, within `limit`. The answer is the object's new resourceVersion.
pub async fn write_status(
    client: &Client,
    resource: &ApiResource,
    run: &ObservedRun,
    patch: &Value,
    limit: Duration,
) -> Result<String, ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &run.namespace, resource);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let written = with_deadline(
        limit,
        api.patch_status(&run.name, &params, &Patch::Merge(patch)),
    )
    .await?;
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
