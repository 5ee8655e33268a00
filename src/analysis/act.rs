//! Writes of an AnalysisRun: its status (only what changed, and only over the version that was decided on), its Jobs, its end.

use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, Request};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::decide::JobTarget;
use super::observe::ObservedRun;
use crate::api::analysis::AnalysisRunStatus;
use crate::api::merge_patch;
use crate::api::names::FIELD_MANAGER;
use crate::caches;
use crate::runtime::client::{ApiError, Failure, with_deadline};

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

/// What a created object is known by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Created {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

/// Creates a Job, within `limit`. The server refuses fields it does not know, as it would drop them otherwise.
pub async fn create_job(
    client: &Client,
    namespace: &str,
    job: &Value,
    limit: Duration,
) -> Result<Created, ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &caches::jobs());
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let body = serde_json::to_vec(job).map_err(kube::Error::SerdeError)?;
    let mut request = Request::new(api.resource_url())
        .create(&params, body)
        .map_err(kube::Error::BuildRequest)?;
    if let Ok(uri) = format!("{}&fieldValidation=Strict", request.uri()).parse() {
        *request.uri_mut() = uri;
    }
    let created = with_deadline(limit, client.request::<DynamicObject>(request)).await?;
    Ok(Created {
        name: created.metadata.name.unwrap_or_default(),
        uid: created.metadata.uid.unwrap_or_default(),
        resource_version: created.metadata.resource_version.unwrap_or_default(),
    })
}

/// Deletes a Job with its pods, within `limit`. One that is gone is gone.
pub async fn delete_job(
    client: &Client,
    namespace: &str,
    job: &JobTarget,
    limit: Duration,
) -> Result<(), ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &caches::jobs());
    let preconditions = Preconditions {
        uid: Some(job.uid.clone()),
        resource_version: None,
    };
    delete(&api, &job.name, preconditions, limit).await
}

/// Deletes a run as it was looked at, within `limit`. Its Jobs go with it.
pub async fn delete_run(
    client: &Client,
    resource: &ApiResource,
    run: &ObservedRun,
    limit: Duration,
) -> Result<(), ApiError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &run.namespace, resource);
    let preconditions = Preconditions {
        uid: Some(run.uid.clone()),
        resource_version: Some(run.resource_version.clone()),
    };
    delete(&api, &run.name, preconditions, limit).await
}

async fn delete(
    api: &Api<DynamicObject>,
    name: &str,
    preconditions: Preconditions,
    limit: Duration,
) -> Result<(), ApiError> {
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::background()
    };
    match with_deadline(limit, api.delete(name, &params)).await {
        Err(error) if error.failure() != Failure::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::observe::observe;
    use crate::api::analysis::AnalysisPhase;

    fn run(status: &Value) -> ObservedRun {
        observe(&json!({"metadata": {"name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7"}, "status": status})).unwrap()
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
