//! A small cluster without a controller of ours, for tests of its parts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    nature::Nature,
    resources, server,
    store::{Author, Key},
    world::{Happened, World},
};

/// The label of a version's pods.
pub(super) const HASH: &str = "tidegate.dev/pod-template-hash";

pub(super) fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A cluster of this nature, always with the same chance.
pub(super) fn world(nature: Nature) -> World {
    World::new(7, "2026-01-02T03:04:05Z".parse().unwrap(), nature)
}

/// As `kubectl create`.
pub(super) fn create(world: &mut World, manifest: Value) {
    let text = |field: &str| manifest[field].as_str().unwrap().to_owned();
    let resource =
        resources::of_kind(world.store.api(), &text("apiVersion"), &text("kind")).unwrap();
    server::create(world, &Author::person(), resource, "default", manifest).unwrap();
}

/// Lets the cluster live until then.
pub(super) fn until(world: &mut World, at: Duration) {
    while let Some(due) = world.next_due().filter(|due| *due <= at) {
        world.set_now(due);
        world.act();
    }
    world.set_now(at);
}

/// The object `plural/name`; null where there is none.
pub(super) fn get(world: &World, plural: &'static str, name: &str) -> Value {
    let key = Key::new(plural, "default", name);
    world.store.get(&key).cloned().unwrap_or_default()
}

/// Changes an object as the one who made it.
pub(super) fn change(
    world: &mut World,
    plural: &'static str,
    name: &str,
    act: impl FnOnce(&mut Value),
) {
    let mut object = get(world, plural, name);
    act(&mut object);
    world.commit(
        &Author::person(),
        &Key::new(plural, "default", name),
        object,
    );
}

/// What requests were told to be lost since this was last asked.
pub(super) fn lost(world: &mut World) -> Vec<String> {
    let events = std::mem::take(&mut world.events);
    let lost = events.into_iter().filter_map(|event| match event.what {
        Happened::Lost(how) => Some(how),
        Happened::Change(_) | Happened::Complaint(_) | Happened::Note(_) => None,
    });
    lost.collect()
}

pub(super) fn template(labels: &Value, image: &str) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

/// A version's ReplicaSet, named by its hash.
pub(super) fn set(hash: &str, image: &str, replicas: u32) -> Value {
    let labels = json!({"app": "web", HASH: hash});
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": hash, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(&labels, image)},
    })
}

/// The Rollout `web` without a controller.
pub(super) fn rollout(image: &str, replicas: i64) -> Value {
    let labels = json!({"app": "web"});
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": template(&labels, image), "strategy": {"canary": {"steps": []}},
        },
    })
}
