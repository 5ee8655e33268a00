//! Which ReplicaSet has a pod template: asks the API server how it would store the template, and compares.
//!
//! Done once per template; the ReplicaSet remembers the answer. Not here: what counts as equal (`decide::same_template`).

use kube::{api::PostParams, core::Request};
use serde_json::{Value, json};

use super::{
    act::{ActError, Acted, Writer},
    decide::same_template,
    decision::Target,
};
use crate::{
    api::{names::FIELD_MANAGER, object::CachedObject},
    caches,
    runtime::client::{ApiError, Failure, with_deadline},
};

const ACTION: &str = "recognise_replica_set";

impl Writer {
    /// Marks the first of `candidates` whose pod template is that of `object` with `hash`. `Nothing` when none is equal.
    pub(super) async fn recognise(
        &self,
        namespace: &str,
        object: &Value,
        hash: &str,
        candidates: &[Target],
    ) -> Result<Acted, ActError> {
        let failed = |name: &str, source| ActError::Api {
            action: ACTION,
            name: name.to_owned(),
            source,
        };
        let api = self.api(&caches::replica_sets(), namespace);
        let params = PostParams {
            dry_run: true,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let body = serde_json::to_vec(object)
            .map_err(|error| failed(hash, ApiError::from(kube::Error::SerdeError(error))))?;
        let request = Request::new(api.resource_url())
            .create(&params, body)
            .map_err(|error| failed(hash, ApiError::from(kube::Error::BuildRequest(error))))?;
        let limit = self.bound(ACTION, hash)?;
        let stored = with_deadline(limit, self.client.request::<CachedObject>(request))
            .await
            .map_err(|source| failed(hash, source))?;
        for candidate in candidates {
            let limit = self.bound(ACTION, &candidate.name)?;
            let set = match with_deadline(limit, api.get(&candidate.name)).await {
                Ok(set) => set,
                Err(error) if error.failure() == Failure::NotFound => continue,
                Err(source) => return Err(failed(&candidate.name, source)),
            };
            if same_template(&stored.value(), &set.value(), &self.names) {
                let patch = json!({ "metadata": { "annotations": { (self.names.declared_hash.clone()): hash } } });
                let resource = caches::replica_sets();
                return self
                    .patch(ACTION, &resource, namespace, candidate, patch)
                    .await;
            }
        }
        Ok(Acted::Nothing)
    }
}
