//! A pod as a decision sees it.
//!
//! Not here: when pods are listed (`rollout::controller`).

use serde_json::Value;

use super::{text, time};
use crate::{api::object::CachedObject, rollout::snapshot::PodView};

/// A pod as listed; `None` when nobody controls it.
pub fn pod(object: &CachedObject) -> Option<PodView> {
    let value = object.value();
    let conditions = value.pointer("/status/conditions");
    let phase = text(&value, "/status/phase");
    Some(PodView {
        name: object.name().to_owned(),
        uid: object.uid().to_owned(),
        replica_set_uid: object.controller()?.uid.clone(),
        created: time(&value, "/metadata/creationTimestamp")?,
        ready: conditions
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|condition| {
                text(condition, "/type") == "Ready" && text(condition, "/status") == "True"
            }),
        terminating: value.pointer("/metadata/deletionTimestamp").is_some()
            || phase == "Succeeded"
            || phase == "Failed",
    })
}
