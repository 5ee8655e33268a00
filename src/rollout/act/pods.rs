//! Pods: listing them on demand, changing their metadata, evicting them. No watch holds all pods.
//!
//! Not here: which pods, and why (`decide::ephemeral_metadata`, `decide::restart`).

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, Preconditions},
};
use serde_json::Value;

use super::{ActError, Acted, Writer};
use crate::{
    api::{names::FIELD_MANAGER, object::CachedObject},
    caches,
    rollout::decision::Target,
    runtime::client::{ApiError, Failure, with_deadline},
};

/// So many pods are changed at a time.
const AT_A_TIME: usize = 8;

/// The pods of a ReplicaSet.
pub(super) struct Pods<'a> {
    pub(super) namespace: &'a str,
    pub(super) replica_set: &'a Target,
    /// A selector that all of them match.
    pub(super) label: String,
}

/// Pods with these labels, in one namespace.
pub async fn list(
    writer: &Writer,
    namespace: &str,
    label: &str,
) -> Result<Vec<CachedObject>, ActError> {
    const ACTION: &str = "list_pods";
    let limit = writer.bound(ACTION, label)?;
    let api: Api<CachedObject> = writer.api(&caches::pods(), namespace);
    let params = ListParams::default().labels(label);
    let list = with_deadline(limit, api.list(&params)).await;
    let list = list.map_err(|source| failed(ACTION, label, source))?;
    Ok(list.items)
}

fn failed(action: &'static str, name: &str, source: ApiError) -> ActError {
    ActError::Api {
        action,
        name: name.to_owned(),
        source,
    }
}

/// Whether a merge patch would change the object.
fn differs(object: &Value, patch: &Value) -> bool {
    let mut patched = object.clone();
    json_patch::merge(&mut patched, patch);
    patched != *object
}

impl Writer {
    /// Patches those that differ. One that is gone needs nothing any more.
    pub(super) async fn patch_pods(
        &self,
        action: &'static str,
        pods: &Pods<'_>,
        patch: &Value,
    ) -> Result<Acted, ActError> {
        let all = list(self, pods.namespace, &pods.label).await?;
        let mut behind = Vec::new();
        for pod in all {
            let is_own = pod
                .controller()
                .is_some_and(|owner| owner.uid == pods.replica_set.uid);
            if is_own && differs(&pod.value(), patch) {
                behind.push(pod);
            }
        }
        for pods_at_once in behind.chunks(AT_A_TIME) {
            let mut writes = Vec::new();
            for pod in pods_at_once {
                writes.push(self.patch_pod(action, pods.namespace, pod, patch));
            }
            try_join_all(writes).await?;
        }
        Ok(if behind.is_empty() {
            Acted::Nothing
        } else {
            Acted::Done
        })
    }

    /// Bound to the pod, not to its version: kubelets write all the time, and these keys are ours.
    async fn patch_pod(
        &self,
        action: &'static str,
        namespace: &str,
        pod: &CachedObject,
        patch: &Value,
    ) -> Result<(), ActError> {
        let mut patch = patch.clone();
        patch["metadata"]["uid"] = pod.uid().into();
        let limit = self.bound(action, pod.name())?;
        let api: Api<CachedObject> = self.api(&caches::pods(), namespace);
        let params = PatchParams::apply(FIELD_MANAGER);
        match with_deadline(limit, api.patch(pod.name(), &params, &Patch::Merge(&patch))).await {
            Ok(_) => Ok(()),
            Err(error) if error.failure() == Failure::NotFound => Ok(()),
            Err(source) => Err(failed(action, pod.name(), source)),
        }
    }

    pub(super) async fn evict(
        &self,
        action: &'static str,
        namespace: &str,
        target: &Target,
    ) -> Result<Acted, ActError> {
        let params = EvictParams {
            delete_options: Some(DeleteParams {
                preconditions: Some(Preconditions {
                    uid: Some(target.uid.clone()),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            }),
            ..EvictParams::default()
        };
        let limit = self.bound(action, &target.name)?;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        match with_deadline(limit, api.evict(&target.name, &params)).await {
            Ok(_) => Ok(Acted::Done),
            Err(error) if error.failure() == Failure::NotFound => Ok(Acted::Nothing),
            Err(source) => Err(failed(action, &target.name, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_pods_that_differ_are_written() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "demo", "role": "canary"}}});
        for (metadata, expected) in [
            (json!({"labels": {"role": "canary"}}), false),
            (json!({"labels": {"role": "stable"}}), true),
            (json!({"labels": {"gone": null}}), false),
            (json!({"labels": {"role": null}}), true),
        ] {
            let patch = json!({ "metadata": metadata });
            assert_eq!(differs(&pod, &patch), expected, "{patch}");
        }
    }
}
