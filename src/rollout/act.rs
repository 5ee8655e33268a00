//! Carries out actions in order. Each carries the version it was decided on, has a deadline shorter than the remaining
//! lease, and is skipped while the cache is behind our own last write to its object.
//!
//! Nothing else writes for a Rollout. Not here: any decision.

mod adopt;
mod fresh;
mod pods;
mod supersede;
pub mod write;

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::{ApiResource, Request},
};
use serde_json::Value;
use tokio::time::Instant;

use super::decision::{Action, Target};
use crate::{
    api::{
        names::{ApiNames, FIELD_MANAGER, Kind},
        object::CachedObject,
    },
    caches::{self, Cache, Caches},
    runtime::{
        client::{ApiError, Failure, with_deadline},
        doubts::Doubts,
        lease::{Fence, LostLease},
        write_log::WriteLog,
    },
};

use pods::Pods;
pub use pods::list as list_pods;
use write::{Body, Rendered, Write, status_patch, write_of};

/// Longest time for one write.
const DEADLINE: Duration = Duration::from_secs(5);

/// What writing needs.
#[derive(Clone)]
pub struct Writer {
    /// The client of the controller.
    pub client: Client,
    /// Group, labels and annotations.
    pub names: ApiNames,
    /// The permission to write.
    pub fence: Fence,
    /// What was written and may not be in the caches yet.
    pub write_log: Arc<WriteLog>,
    /// What was written and had no answer.
    pub doubts: Arc<Doubts>,
}

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The API server refused it or could not be reached.
    #[error("{action} {name}: {source}")]
    Api {
        /// What was to be done.
        action: &'static str,
        /// The object.
        name: String,
        /// Why not.
        source: ApiError,
    },
    /// The name belongs to an object of somebody else.
    #[error("{action} {name}: the name is taken by an object that this Rollout does not control")]
    Taken {
        /// What was to be done.
        action: &'static str,
        /// The object.
        name: String,
    },
    /// The Rollout cannot be decided on.
    #[error(transparent)]
    Unreadable(#[from] super::observe::UnreadableStatus),
    /// The definition in the cluster is not ours: what decisions rest on is not kept.
    #[error(
        "status of Rollout {name}: the definition {resource} in the cluster drops {field}, and nothing can rest on a status \
         that is not kept; install the definitions of this version (`tidegate crds`, with the same --api-group)"
    )]
    Dropped {
        /// The definition.
        resource: String,
        /// The Rollout.
        name: String,
        /// The field.
        field: String,
    },
    /// Another replica may lead by now.
    #[error("{action} {name}: {source}")]
    Fenced {
        /// What was to be done.
        action: &'static str,
        /// The object.
        name: String,
        /// Why not.
        source: LostLease,
    },
}

impl ActError {
    /// What it means.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Api { source, .. } => source.failure(),
            Self::Taken { .. } => Failure::AlreadyExists,
            Self::Dropped { .. } => Failure::Invalid(self.to_string()),
            Self::Unreadable(error) => Failure::Invalid(error.to_string()),
            Self::Fenced { source, .. } => Failure::Transient(source.to_string()),
        }
    }
}

/// An object to be created for the Rollout with `owner_uid`.
struct New<'a> {
    namespace: &'a str,
    name: &'a String,
    object: &'a Value,
    owner_uid: &'a str,
}

/// How an action went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    /// It was carried out.
    Done,
    /// It was there already, or its object is gone: nothing was written.
    Nothing,
}

impl Writer {
    pub(super) fn api(&self, resource: &ApiResource, namespace: &str) -> Api<CachedObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }

    /// Carries out one action for the Rollout with `owner_uid`. The caches say whose an object is that exists already.
    pub async fn act(
        &self,
        action: &Action,
        namespace: &str,
        owner_uid: &str,
        caches: &Caches,
    ) -> Result<Acted, ActError> {
        let word = action.name();
        match write_of(action, &self.names) {
            Rendered::Write(write) => self.send(word, write, namespace, owner_uid, caches).await,
            // What is read is not written; whoever asked for it keeps it (`pod_template`).
            Rendered::Read => Ok(Acted::Nothing),
            Rendered::Adoption {
                replica_set,
                owner,
                patch,
            } => self.adopt(namespace, replica_set, owner, patch).await,
            Rendered::Recognition {
                object,
                hash,
                candidates,
            } => self.recognise(namespace, object, hash, candidates).await,
            Rendered::Pods {
                replica_set,
                label,
                patch,
            } => {
                let pods = Pods {
                    namespace,
                    replica_set,
                    label,
                };
                self.patch_pods(word, &pods, &patch).await
            }
            Rendered::Eviction(target) => self.evict(word, namespace, target).await,
        }
    }

    async fn send(
        &self,
        word: &'static str,
        write: Write,
        namespace: &str,
        owner_uid: &str,
        caches: &Caches,
    ) -> Result<Acted, ActError> {
        let Write {
            resource,
            name,
            body,
        } = write;
        match body {
            Body::Create(object) => {
                let new = New {
                    namespace,
                    name: &name,
                    object: &object,
                    owner_uid,
                };
                self.create(word, &resource, &new, all(caches, &resource))
                    .await
            }
            Body::Merge(patch) => {
                let patch = Patch::Merge(patch);
                self.send_patch(word, &resource, namespace, &name, &patch)
                    .await
            }
            Body::Json(patch) => {
                let patch = Patch::Json(patch);
                self.send_patch(word, &resource, namespace, &name, &patch)
                    .await
            }
            Body::Delete {
                uid,
                resource_version,
            } => {
                let preconditions = Preconditions {
                    uid,
                    resource_version: Some(resource_version),
                };
                self.delete(word, &resource, namespace, &name, preconditions)
                    .await
            }
        }
    }

    /// The pod template of a ReplicaSet as it was declared, or as it is where that was not kept. Caches have neither.
    pub async fn pod_template(&self, namespace: &str, name: &str) -> Result<Value, ActError> {
        const ACTION: &str = "read_pod_template";
        let limit = self.bound(ACTION, name)?;
        let api = self.api(&caches::replica_sets(), namespace);
        let set = with_deadline(limit, api.get(name))
            .await
            .map_err(|source| ActError::Api {
                action: ACTION,
                name: name.to_owned(),
                source,
            })?
            .value();
        let declared = set
            .pointer("/metadata/annotations")
            .and_then(|all| all.get(&self.names.pod_template)?.as_str())
            .and_then(|text| serde_json::from_str(text).ok());
        let live = || set.pointer("/spec/template").cloned();
        Ok(declared.or_else(live).unwrap_or_default())
    }

    /// `all` has every object of the kind. Where no cache has (ReplicaSets are watched by label), the server is asked
    /// whose an existing object is.
    async fn create(
        &self,
        action: &'static str,
        resource: &ApiResource,
        new: &New<'_>,
        all: Option<&Cache>,
    ) -> Result<Acted, ActError> {
        let New {
            namespace,
            name,
            object,
            owner_uid,
        } = *new;
        let failed = |source| ActError::Api {
            action,
            name: name.to_owned(),
            source,
        };
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body = serde_json::to_vec(object)
            .map_err(|error| failed(ApiError::from(kube::Error::SerdeError(error))))?;
        let api = self.api(resource, namespace);
        let mut request = Request::new(api.resource_url())
            .create(&params, body)
            .map_err(|error| failed(ApiError::from(kube::Error::BuildRequest(error))))?;
        // Without this the server drops unknown fields of a pod template with a warning that nobody reads.
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        if let Ok(uri) = strict.parse() {
            *request.uri_mut() = uri;
        }
        let limit = self.bound(action, name)?;
        match with_deadline(limit, self.client.request::<CachedObject>(request)).await {
            Ok(created) => {
                self.write_log.created(
                    &resource.kind,
                    namespace,
                    name,
                    created.uid(),
                    created.resource_version(),
                    Instant::now(),
                );
                Ok(Acted::Done)
            }
            Err(error) if error.failure() == Failure::AlreadyExists => {
                // Perhaps our own, created before a crash or by a write whose answer was lost.
                let existing = if let Some(all) = all {
                    // A cache that does not show it yet will.
                    all.get(namespace, name).ok_or_else(|| failed(error))?
                } else {
                    let limit = self.bound(action, name)?;
                    Arc::new(with_deadline(limit, api.get(name)).await.map_err(failed)?)
                };
                if existing
                    .controller()
                    .is_some_and(|owner| owner.uid == owner_uid)
                {
                    Ok(Acted::Nothing)
                } else {
                    Err(ActError::Taken {
                        action,
                        name: name.to_owned(),
                    })
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) async fn patch(
        &self,
        action: &'static str,
        resource: &ApiResource,
        namespace: &str,
        target: &Target,
        patch: Value,
    ) -> Result<Acted, ActError> {
        let patch = Patch::Merge(write::over(&target.resource_version, patch));
        self.send_patch(action, resource, namespace, &target.name, &patch)
            .await
    }

    /// Sends a patch that carries its precondition.
    async fn send_patch(
        &self,
        action: &'static str,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        patch: &Patch<Value>,
    ) -> Result<Acted, ActError> {
        let params = PatchParams::apply(FIELD_MANAGER);
        let limit = self.bound(action, name)?;
        let api = self.api(resource, namespace);
        let patched = with_deadline(limit, api.patch(name, &params, patch))
            .await
            .map_err(|source| {
                self.doubt(&resource.kind, namespace, name, patch, &source.failure());
                ActError::Api {
                    action,
                    name: name.to_owned(),
                    source,
                }
            })?;
        self.wrote(resource, namespace, &patched);
        Ok(Acted::Done)
    }

    async fn delete(
        &self,
        action: &'static str,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        preconditions: Preconditions,
    ) -> Result<Acted, ActError> {
        let uid = preconditions.uid.clone();
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        let limit = self.bound(action, name)?;
        let api = self.api(resource, namespace);
        match with_deadline(limit, api.delete(name, &params)).await {
            Ok(_) => {
                if let Some(uid) = uid {
                    self.write_log
                        .deleted(&resource.kind, namespace, name, &uid, Instant::now());
                }
                Ok(Acted::Done)
            }
            Err(error) if error.failure() == Failure::NotFound => Ok(Acted::Nothing),
            Err(source) => Err(ActError::Api {
                action,
                name: name.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn bound(&self, action: &'static str, name: &str) -> Result<Duration, ActError> {
        self.fence
            .bound(DEADLINE)
            .map_err(|source| ActError::Fenced {
                action,
                name: name.to_owned(),
                source,
            })
    }

    fn wrote(&self, resource: &ApiResource, namespace: &str, object: &CachedObject) {
        self.write_log.wrote(
            &resource.kind,
            namespace,
            object.name(),
            object.uid(),
            object.resource_version(),
            Instant::now(),
        );
    }

    /// Writes what differs between two statuses of an object, bound to the version that was looked at.
    pub async fn write_status(
        &self,
        kind: Kind,
        object: &CachedObject,
        difference: Value,
    ) -> Result<(), ActError> {
        const ACTION: &str = "write_status";
        let resource = &self.names.resource(kind);
        let patch = status_patch(&self.names, kind, object.resource_version(), difference);
        let params = PatchParams::apply(FIELD_MANAGER);
        let limit = self.bound(ACTION, object.name())?;
        let api = self.api(resource, object.namespace());
        let sent = Patch::Merge(&patch);
        let patched = if self.names.has_status_subresource(kind) {
            with_deadline(limit, api.patch_status(object.name(), &params, &sent)).await
        } else {
            with_deadline(limit, api.patch(object.name(), &params, &sent)).await
        };
        let patched = patched.map_err(|source| ActError::Api {
            action: ACTION,
            name: object.name().to_owned(),
            source,
        })?;
        self.wrote(resource, object.namespace(), &patched);
        match dropped(&patch["status"], &patched.value()["status"]) {
            None => Ok(()),
            Some(field) => Err(ActError::Dropped {
                resource: format!("{}.{}", resource.plural, resource.group),
                name: object.name().to_owned(),
                field: field.to_owned(),
            }),
        }
    }
}

/// The cache that has every object of a kind. ReplicaSets are watched by label.
fn all<'a>(caches: &'a Caches, resource: &ApiResource) -> Option<&'a Cache> {
    match resource.kind.as_str() {
        "Ingress" => Some(&caches.ingresses),
        "Service" => Some(&caches.services),
        "AnalysisRun" => Some(&caches.analysis_runs),
        "Experiment" => Some(&caches.experiments),
        _ => None,
    }
}

/// A field of the difference that the stored status does not have. Of an object in it nothing may be left but what went.
fn dropped<'a>(difference: &'a Value, stored: &Value) -> Option<&'a str> {
    let mut written = difference.as_object().into_iter().flatten();
    written
        .find(|(field, value)| match value {
            Value::Null | Value::Object(_) => false,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                stored.get(field).is_none()
            }
        })
        .map(|(field, _)| field.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_that_drops_what_is_written_is_seen() {
        let written =
            json!({"phase": "Healthy", "revision": 3, "canary": {"weights": null}, "next": null});
        for (stored, expected) in [
            (json!({"phase": "Healthy", "revision": 3}), None),
            (json!({"phase": "Healthy"}), Some("revision")),
            (Value::Null, Some("phase")),
        ] {
            assert_eq!(dropped(&written, &stored), expected, "{stored}");
        }
    }
}
