//! Taking over a ReplicaSet that nobody controls, if the Rollout is still there to own it.
//!
//! The cache may show a Rollout that was deleted, and whose ReplicaSets were left behind on purpose: with it as their owner
//! again they would be garbage, and their pods with them. Who asks after having seen that nobody owns them is told the truth.
//! Not here: which ReplicaSets (`decide::replica_set`).

use kube::api::Patch;
use serde_json::Value;

use super::{ActError, Acted, Writer};
use crate::{api::object::CachedObject, caches, rollout::decision::Target};

const ACTION: &str = "adopt_replica_set";

/// Whether this Rollout is the owner, and is to stay.
fn is_owner(rollout: &CachedObject, owner: &Value) -> bool {
    let object = rollout.value();
    let going = object.pointer("/metadata/deletionTimestamp").is_some();
    owner["uid"] == rollout.uid() && !going
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
        let rollout = self.newest_rollout(namespace, name).await?;
        if !rollout.is_some_and(|rollout| is_owner(&rollout, owner)) {
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
    fn a_rollout_that_is_going_or_another_one_owns_nothing() {
        let rollout = |uid: &str| json!({"metadata": {"name": "web", "uid": uid}});
        let mut going = rollout("u");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
        for (there, expected) in [
            (rollout("u"), true),
            (rollout("another"), false),
            (going, false),
        ] {
            let owner = json!({"kind": "Rollout", "name": "web", "uid": "u"});
            let object = CachedObject::new(there.clone());
            assert_eq!(is_owner(&object, &owner), expected, "{there}");
        }
    }
}
