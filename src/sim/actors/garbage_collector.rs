//! The garbage collector: what has owners and none of them exists any more is deleted.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Due, kubelet};
use crate::sim::{
    store::{Author, Change, Key},
    world::World,
};

pub fn react(world: &mut World, change: &Change) {
    let owned = !change.object["metadata"]["ownerReferences"].is_null();
    if change.deleted || (owned && change.before.is_none()) {
        let after = world.between(50, 300);
        world.plan(after, Due::Garbage);
    }
}

pub fn collect(world: &mut World) {
    let uids: BTreeSet<String> = world
        .store
        .all()
        .filter_map(|(_, object)| object["metadata"]["uid"].as_str().map(str::to_owned))
        .collect();
    let exists = |reference: &Value| {
        reference["uid"]
            .as_str()
            .is_some_and(|uid| uids.contains(uid))
    };
    let garbage: Vec<Key> = world
        .store
        .all()
        .filter(|(_, object)| {
            object["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| !owners.is_empty() && !owners.iter().any(exists))
        })
        .map(|(key, _)| key.clone())
        .collect();
    for key in garbage {
        if key.plural == "pods" {
            kubelet::end(world, &key);
        } else {
            world.remove(&Author::cluster(), &key);
        }
    }
}
