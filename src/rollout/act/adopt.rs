//! Taking over a ReplicaSet that nobody controls, if the Rollout is still there to own it.
//!
//! The cache may show a Rollout that was deleted, and whose ReplicaSets were left behind on purpose: with it as their owner
//! again they would be garbage, and their pods with them. Who asks after having seen that nobody owns them is told the truth.
//! Not here: which ReplicaSets (`decide::replica_set`).

use kube::{
    Api,
    api::{ListParams, Patch},
};
use serde_json::Value;

use super::{ActError, Acted, Writer};
use crate::{
    api::{names::Kind, object::CachedObject},
    caches,
    rollout::decision::Target,
    runtime::client::with_deadline,
};

const ACTION: &str = "adopt_replica_set";

/// Whether one of these Rollouts is the owner, and is to stay.
fn has_owner(rollouts: &[CachedObject], owner: &Value) -> bool {
    rollouts.iter().any(|rollout| {
        owner["uid"] == rollout.uid()
            && rollout
                .value()
                .pointer("/metadata/deletionTimestamp")
                .is_none()
    })
}

impl Writer {
    /// Makes the Rollout that `owner` refers to the owner. `Nothing` when it is gone or going: its watch will show that.
    pub(super) async fn adopt(
        &self,
        namespace: &str,
        target: &Target,
        owner: &Value,
        patch: Value,
    ) -> Result<Acted, ActError> {
        let name = owner["name"].as_str().unwrap_or_default();
        let limit = self.bound(ACTION, &target.name)?;
        let api: Api<CachedObject> = self.api(&self.names.resource(Kind::Rollout), namespace);
        // Without a resource version it is what the server holds now. A list, because that is what we may do.
        let params = ListParams::default().fields(&format!("metadata.name={name}"));
        let rollouts = with_deadline(limit, api.list(&params))
            .await
            .map_err(|source| ActError::Api {
                action: ACTION,
                name: target.name.clone(),
                source,
            })?;
        if !has_owner(&rollouts.items, owner) {
            return Ok(Acted::Nothing);
        }
        let (sets, patch) = (caches::replica_sets(), Patch::Merge(patch));
        self.send_patch(ACTION, &sets, namespace, &target.name, &patch)
            .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_that_is_gone_or_going_or_another_one_owns_nothing() {
        let rollout = |uid: &str| json!({"metadata": {"name": "web", "uid": uid}});
        let mut going = rollout("u");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
        for (there, expected) in [
            (vec![rollout("u")], true),
            (vec![], false),
            (vec![rollout("another")], false),
            (vec![going], false),
        ] {
            let objects: Vec<_> = there.iter().cloned().map(CachedObject::new).collect();
            let owner = json!({"kind": "Rollout", "name": "web", "uid": "u"});
            assert_eq!(has_owner(&objects, &owner), expected, "{there:?}");
        }
    }
}
