//! Makes sure that a write without an answer does not arrive any more: a later write to the object makes it too old.
//!
//! Only for ReplicaSets: pods that are taken away late cannot be given back at once. What else arrives late is seen, and put right.

use kube::api::Patch;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ActError, Writer};
use crate::{
    api::object::CachedObject,
    caches::{self, Cache},
    rollout::decision::Target,
    runtime::client::Failure,
};

const ACTION: &str = "supersede_write";
const KIND: &str = "ReplicaSet";

impl Writer {
    /// Notes a write that has failed in a way in which it may have been carried out all the same, or may yet be.
    pub(super) fn doubt(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: &Patch<Value>,
        failure: &Failure,
    ) {
        if kind == KIND
            && matches!(failure, Failure::Transient(_))
            && let Some(version) = version_of(patch)
        {
            self.doubts.note(namespace, name, version, Instant::now());
        }
    }

    /// Writes to a ReplicaSet of this owner to which an earlier write may still come. Returns whether there was one: the cache
    /// shows the new version soon, and nothing is to be decided before.
    ///
    /// # Errors
    ///
    /// When the write is refused, or has no answer either.
    pub async fn supersede(&self, replica_sets: &Cache, owner_uid: &str) -> Result<bool, ActError> {
        let now = Instant::now();
        let sets = replica_sets.owned_by(owner_uid);
        let in_doubt = |set: &&std::sync::Arc<CachedObject>| {
            self.doubts
                .is_in_doubt(set.namespace(), set.name(), set.resource_version(), now)
        };
        let Some(set) = sets.iter().find(in_doubt) else {
            return Ok(false);
        };
        let target = Target {
            name: set.name().to_owned(),
            uid: set.uid().to_owned(),
            resource_version: set.resource_version().to_owned(),
        };
        tracing::info!(
            namespace = set.namespace(),
            replica_set = set.name(),
            "a write had no answer; a later one makes sure that it does not arrive any more"
        );
        let note = json!({ "metadata": { "annotations": {
            (self.names.superseded_version.clone()): set.resource_version(),
        } } });
        let resource = caches::replica_sets();
        self.patch(ACTION, &resource, set.namespace(), &target, note)
            .await?;
        Ok(true)
    }
}

/// The version of the object that a patch is meant for. ReplicaSets are patched in this way only.
fn version_of(patch: &Patch<Value>) -> Option<&str> {
    match patch {
        Patch::Merge(patch) => patch.pointer("/metadata/resourceVersion")?.as_str(),
        Patch::Apply(_) | Patch::Json(_) | Patch::Strategic(_) | _ => None,
    }
}
