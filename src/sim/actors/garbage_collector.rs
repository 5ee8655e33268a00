//! The garbage collector: what has owners and none of them exists any more is deleted, also what never had one of that uid.
//! Deletions that leave what is owned behind, or wait for it, are its, too.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Due, kubelet};
use crate::sim::{
    server::{FOREGROUND, ORPHAN, mark},
    store::{Author, Change, Key},
    world::World,
};

pub fn react(world: &mut World, change: &Change) {
    let metadata = &change.object["metadata"];
    let is_new = |field: &str| {
        let before = change.before.as_ref();
        !metadata[field].is_null()
            && before.is_none_or(|before| before["metadata"][field] != metadata[field])
    };
    let waits = !metadata["deletionTimestamp"].is_null()
        && [ORPHAN, FOREGROUND]
            .into_iter()
            .any(|it| has(&change.object, it));
    // What goes away may be what another deletion waits for.
    if change.deleted || is_new("ownerReferences") || waits {
        let after = world.between(50, 300);
        world.plan(after, Due::Garbage);
    }
}

pub fn collect(world: &mut World) {
    orphan(world);
    foreground(world);
    let uids: BTreeSet<String> = world
        .store
        .all()
        .filter_map(|(_, object)| uid(object).map(str::to_owned))
        .collect();
    let exists = |owner: &Value| owner["uid"].as_str().is_some_and(|it| uids.contains(it));
    let (mut garbage, mut dangling) = (Vec::new(), Vec::new());
    for (key, object) in world.store.all() {
        let owners = owners(object);
        if owners.is_empty() {
            continue;
        }
        let there = owners.iter().filter(|owner| exists(owner)).count();
        if there == 0 {
            garbage.push(key.clone());
        } else if there < owners.len() {
            dangling.push((key.clone(), object.clone()));
        }
    }
    for (key, mut object) in dangling {
        retain_owners(&mut object, exists);
        world.commit(&Author::cluster(), &key, object);
    }
    for key in garbage {
        delete(world, &key);
    }
}

fn uid(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

fn owners(object: &Value) -> &[Value] {
    let owners = object.pointer("/metadata/ownerReferences");
    owners.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn retain_owners(object: &mut Value, keep: impl Fn(&Value) -> bool) {
    let metadata = &mut object["metadata"];
    if let Some(owners) = metadata["ownerReferences"].as_array_mut() {
        owners.retain(keep);
    }
    if let Some(metadata) = metadata.as_object_mut()
        && metadata.get("ownerReferences") == Some(&json!([]))
    {
        metadata.remove("ownerReferences");
    }
}

fn has(object: &Value, finalizer: &str) -> bool {
    let list = object.pointer("/metadata/finalizers");
    list.and_then(Value::as_array)
        .is_some_and(|list| list.iter().any(|it| it == finalizer))
}

/// Objects that are being deleted and wait for us.
fn waiting(world: &World, finalizer: &str) -> Vec<(Key, Value)> {
    let all = world.store.all();
    all.filter(|(_, object)| {
        !object["metadata"]["deletionTimestamp"].is_null() && has(object, finalizer)
    })
    .map(|(key, object)| (key.clone(), object.clone()))
    .collect()
}

/// Whatever has this owner.
fn dependents(world: &World, owner: &Value) -> Vec<(Key, Value)> {
    let owner = uid(owner);
    let all = world.store.all();
    all.filter(|(_, object)| owners(object).iter().any(|it| it["uid"].as_str() == owner))
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect()
}

fn orphan(world: &mut World) {
    for (key, owner) in waiting(world, ORPHAN) {
        for (dependent, mut object) in dependents(world, &owner) {
            retain_owners(&mut object, |it| it["uid"].as_str() != uid(&owner));
            world.commit(&Author::cluster(), &dependent, object);
        }
        finish(world, &key, owner, ORPHAN);
    }
}

fn foreground(world: &mut World) {
    for (key, owner) in waiting(world, FOREGROUND) {
        for (dependent, _) in dependents(world, &owner) {
            delete(world, &dependent);
        }
        let blocks = |object: &Value| {
            owners(object)
                .iter()
                .any(|it| it["uid"].as_str() == uid(&owner) && it["blockOwnerDeletion"] == true)
        };
        if !dependents(world, &owner).iter().any(|(_, it)| blocks(it)) {
            finish(world, &key, owner, FOREGROUND);
        }
    }
}

/// Takes our finalizer away; the last one takes the object with it.
fn finish(world: &mut World, key: &Key, mut object: Value, finalizer: &str) {
    let metadata = &mut object["metadata"];
    if let Some(list) = metadata["finalizers"].as_array_mut() {
        list.retain(|it| it != finalizer);
        if list.is_empty() {
            return world.remove(&Author::cluster(), key);
        }
    }
    world.commit(&Author::cluster(), key, object);
}

fn delete(world: &mut World, key: &Key) {
    let Some(object) = world.store.get(key).cloned() else {
        return;
    };
    let metadata = &object["metadata"];
    if !metadata["deletionTimestamp"].is_null() {
        return;
    }
    if key.plural == "pods" {
        return kubelet::end(world, key);
    }
    if metadata["finalizers"].as_array().is_none_or(Vec::is_empty) {
        return world.remove(&Author::cluster(), key);
    }
    mark(world, &Author::cluster(), key, object, 0, None);
}
