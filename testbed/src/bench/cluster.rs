//! What is done to the cluster: namespaces, manifests, images, and waiting until a Rollout says something.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, TypeMeta},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{audit::AuditLog, metric_server::MetricServer};
use crate::{Testbed, installation, process::Process, progress::Progress};

/// Between two looks at the same thing.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// The label that says which version a pod is.
const HASH: &str = "tidegate.dev/pod-template-hash";

/// The testbed and what is measured in it.
pub(super) struct Cluster<'a> {
    pub(super) testbed: &'a Testbed,
    pub(super) tidegate: &'a Path,
    pub(super) metrics: &'a MetricServer,
    pub(super) progress: Progress,
}

impl Cluster<'_> {
    /// A controller with the rights of the chart, ready. It ends when it is dropped.
    pub(super) async fn controller(&self) -> Result<Process> {
        installation::start_controller(self.testbed, self.tidegate, self.metrics.url()).await
    }

    /// What the controllers have asked so far.
    pub(super) fn audit(&self) -> AuditLog {
        AuditLog::new(self.testbed.audit_log_path())
    }

    pub(super) async fn namespace(&self, name: &str) -> Result<()> {
        let object = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let all = Api::all(self.testbed.client());
        let created = all.create(&PostParams::default(), &object).await;
        created
            .map(drop)
            .with_context(|| format!("cannot create namespace {name}"))
    }

    /// Deletes a namespace and waits until all that was in it is gone.
    pub(super) async fn delete_namespace(&self, name: &str) -> Result<()> {
        let all = Api::<Namespace>::all(self.testbed.client());
        let deleted = all.delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("cannot delete namespace {name}"))?;
        let deadline = Instant::now() + Duration::from_mins(15);
        while all
            .get_opt(name)
            .await
            .context("cannot read a namespace")?
            .is_some()
        {
            if Instant::now() > deadline {
                bail!("namespace {name} does not go away");
            }
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Creates one object.
    pub(super) async fn create(&self, namespace: &str, object: &Value) -> Result<()> {
        let object: DynamicObject =
            serde_json::from_value(object.clone()).context("a manifest of the benchmark")?;
        let types = object.types.clone().unwrap_or_default();
        let api = self.api(namespace, &types)?;
        let created = api.create(&PostParams::default(), &object).await;
        created
            .map(drop)
            .with_context(|| format!("cannot create {} {}", types.kind, object.name_any()))
    }

    fn api(&self, namespace: &str, types: &TypeMeta) -> Result<Api<DynamicObject>> {
        let kind = GroupVersionKind::try_from(types).context("a manifest of the benchmark")?;
        let resource = ApiResource::from_gvk(&kind);
        Ok(Api::namespaced_with(
            self.testbed.client(),
            namespace,
            &resource,
        ))
    }

    pub(super) fn rollouts(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("tidegate.dev", "v1alpha1", "Rollout");
        let resource = ApiResource::from_gvk_with_plural(&kind, "rollouts");
        Api::namespaced_with(self.testbed.client(), namespace, &resource)
    }

    /// Declares another image.
    pub(super) async fn set_image(&self, namespace: &str, name: &str, image: &str) -> Result<()> {
        let containers = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]);
        let patch = serde_json::from_value(containers).context("a patch of the benchmark")?;
        let rollouts = self.rollouts(namespace);
        rollouts
            .patch(name, &PatchParams::default(), &Patch::<()>::Json(patch))
            .await
            .map(drop)
            .with_context(|| format!("cannot change the image of {name}"))
    }

    /// Waits until the Rollout is as wanted, at most for `patience`.
    pub(super) async fn until(
        &self,
        (namespace, name): (&str, &str),
        patience: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + patience;
        let rollouts = self.rollouts(namespace);
        loop {
            let object = rollouts
                .get(name)
                .await
                .with_context(|| format!("cannot read Rollout {name}"))?;
            let object = serde_json::to_value(object).context("a Rollout is no JSON")?;
            let generation = object.pointer("/metadata/generation");
            if generation == object.pointer("/status/observedGeneration") && wanted(&object) {
                return Ok(object);
            }
            if Instant::now() > deadline {
                let seconds = patience.as_secs();
                bail!(
                    "{name} is not {what} after {seconds} s: {}",
                    object["status"]
                );
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Waits until what is declared is stable and healthy.
    pub(super) async fn healthy(&self, namespace: &str, name: &str) -> Result<Value> {
        let patience = Duration::from_mins(3);
        self.until((namespace, name), patience, "healthy", is_healthy)
            .await
    }

    /// Waits until all pods of the namespace are of this version and stay.
    pub(super) async fn only_pods_of(&self, namespace: &str, hash: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(2);
        let pods = Api::<Pod>::namespaced(self.testbed.client(), namespace);
        loop {
            let all = pods.list(&ListParams::default()).await;
            let others = all.context("cannot list the pods")?.into_iter().any(|pod| {
                pod.metadata.deletion_timestamp.is_some()
                    || pod.labels().get(HASH).is_none_or(|of| of != hash)
            });
            if !others {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("old pods are still in {namespace}");
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

/// Whether what is declared is stable and serves.
pub(super) fn is_healthy(object: &Value) -> bool {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    text("/status/phase") == Some("Healthy")
        && text("/status/stableRS") == text("/status/currentPodHash")
}

/// A text in an object; empty if it is not there.
pub(super) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = object.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}
