//! What the API server holds now. A cache that is late may show a Rollout as gone that is there again, one version where there
//! are two, or what another process has replaced since: where much rests on it and it is seldom asked, whoever knows is asked.
//!
//! Lists without a resource version: the answer is at least as new as the question, and lists are what we may do.

use kube::{Api, api::ListParams, core::ApiResource};

use super::{ActError, Writer};
use crate::{
    api::{names::Kind, object::CachedObject},
    caches,
    runtime::client::with_deadline,
};

impl Writer {
    /// The Rollout of this name.
    ///
    /// # Errors
    ///
    /// When the API server does not answer, or another replica may lead by now.
    pub async fn newest_rollout(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<CachedObject>, ActError> {
        let resource = self.names.resource(Kind::Rollout);
        let params = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = self.list("read_rollout", &resource, namespace, name, &params);
        Ok(found.await?.into_iter().next())
    }

    /// The ReplicaSets that are versions of something.
    ///
    /// # Errors
    ///
    /// When the API server does not answer, or another replica may lead by now.
    pub async fn newest_replica_sets(
        &self,
        namespace: &str,
    ) -> Result<Vec<CachedObject>, ActError> {
        let resource = caches::replica_sets();
        let params = ListParams::default().labels(&self.names.pod_template_hash);
        self.list("read_replica_sets", &resource, namespace, "", &params)
            .await
    }

    async fn list(
        &self,
        action: &'static str,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        params: &ListParams,
    ) -> Result<Vec<CachedObject>, ActError> {
        let limit = self.bound(action, name)?;
        let api: Api<CachedObject> = self.api(resource, namespace);
        with_deadline(limit, api.list(params))
            .await
            .map(|found| found.items)
            .map_err(|source| ActError::Api {
                action,
                name: name.to_owned(),
                source,
            })
    }
}
