//! The Deployment controller, as far as releases of a workload need it: one ReplicaSet for the template it has, as large as
//! it says; older ones go when the new one is available.
//!
//! Not here: surge, unavailability, history, and going back.

use serde_json::{Value, json};

use super::Due;
use crate::{
    api::template_hash,
    sim::{
        server,
        store::{Author, Change, Key},
        world::World,
    },
};

const HASH: &str = "pod-template-hash";

pub(super) fn react(world: &mut World, change: &Change) {
    let name = match change.key.plural {
        "deployments" => Some(change.key.name.clone()),
        "replicasets" => owner(&change.object),
        _ => None,
    };
    if let Some(name) = name {
        let after = world.between(10, 60);
        let key = Key::new("deployments", &change.key.namespace, &name);
        world.plan(after, Due::Deployment(key));
    }
}

fn owner(set: &Value) -> Option<String> {
    let owner = set.pointer("/metadata/ownerReferences/0")?;
    (owner["kind"] == "Deployment")
        .then(|| owner["name"].as_str().map(str::to_owned))
        .flatten()
}

pub(super) fn sync(world: &mut World, key: &Key) {
    let Some(deployment) = world.store.get(key).cloned() else {
        return;
    };
    let template = &deployment["spec"]["template"];
    let replicas = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let name = format!(
        "{}-{}",
        key.name,
        template_hash::pod_template_hash(template, 0)
    );
    let mut sets = sets_of(world, &deployment);
    let paused = deployment["spec"]["paused"] == true;
    if !paused && !sets.iter().any(|(set, _)| set.name == name) {
        create(world, key, &deployment, &name);
        sets = sets_of(world, &deployment);
    }
    let available = |set: &Value| set["status"]["availableReplicas"].as_i64().unwrap_or(0);
    let newest = sets.iter().find(|(set, _)| set.name == name);
    let done = newest.is_some_and(|(_, set)| available(set) >= replicas);
    for (set, object) in &sets {
        let size = object["spec"]["replicas"].as_i64().unwrap_or(0);
        let wanted = if set.name == name {
            replicas
        } else if done {
            0
        } else {
            size.min(replicas)
        };
        if wanted != size {
            let mut object = object.clone();
            object["spec"]["replicas"] = json!(wanted);
            world.commit(&Author::cluster(), set, object);
        }
    }
    write_counts(world, key, &sets_of(world, &deployment), &name);
}

fn sets_of(world: &World, deployment: &Value) -> Vec<(Key, Value)> {
    let uid = &deployment["metadata"]["uid"];
    world
        .store
        .list("replicasets")
        .filter(|(_, set)| set.pointer("/metadata/ownerReferences/0/uid") == Some(uid))
        .map(|(key, set)| (key.clone(), set.clone()))
        .collect()
}

fn create(world: &mut World, key: &Key, deployment: &Value, name: &str) {
    let hash = name.rsplit_once('-').map_or(name, |(_, hash)| hash);
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "name": key.name, "uid": deployment["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner],
        },
        "spec": {
            "replicas": deployment["spec"]["replicas"].as_i64().unwrap_or(1), "selector": selector,
            "template": template, "minReadySeconds": deployment["spec"]["minReadySeconds"].as_u64().unwrap_or(0),
        },
    });
    let resource = world.store.resource("replicasets");
    if let Err(refused) = server::create(world, &Author::cluster(), resource, &key.namespace, set) {
        world.complain(format_args!(
            "a ReplicaSet was refused: {}",
            refused.message
        ));
    }
}

fn write_counts(world: &mut World, key: &Key, sets: &[(Key, Value)], newest: &str) {
    let Some(mut deployment) = world.store.get(key).cloned() else {
        return;
    };
    let sum = |field: &str| -> i64 {
        let counts = sets.iter().map(|(_, set)| &set["status"][field]);
        counts.filter_map(Value::as_i64).sum()
    };
    let updated = sets.iter().find(|(set, _)| set.name == newest);
    let updated = updated.and_then(|(_, set)| set["status"]["replicas"].as_i64());
    deployment["status"] = json!({
        "replicas": sum("replicas"), "readyReplicas": sum("readyReplicas"),
        "availableReplicas": sum("availableReplicas"), "updatedReplicas": updated.unwrap_or(0),
        "observedGeneration": deployment["metadata"]["generation"],
    });
    world.commit(&Author::cluster(), key, deployment);
}
