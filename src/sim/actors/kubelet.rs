//! Pods: how long they take to be ready, and how they end.

use std::time::Duration;

use serde_json::{Value, json};

use super::Due;
use crate::sim::{
    store::{Author, Change, Key},
    world::World,
};

/// How long the name of a pod outlives its process.
const LINGERING: Duration = Duration::from_millis(300);

pub fn react(world: &mut World, change: &Change) {
    if change.key.plural == "pods" && change.before.is_none() {
        let after = world.between(500, 2_500);
        world.plan(after, Due::Ready(change.key.clone()));
    }
}

pub fn ready(world: &mut World, key: &Key) {
    let Some(mut pod) = world.store.get(key).cloned() else {
        return;
    };
    if is_ending(&pod) {
        return;
    }
    let at = u64::try_from(world.now().as_millis()).unwrap_or(u64::MAX);
    pod["status"] = json!({"phase": "Running", "readyAt": at});
    world.commit(&Author::cluster(), key, pod);
}

/// Tells a pod to end.
pub fn end(world: &mut World, key: &Key) {
    let Some(mut pod) = world.store.get(key).cloned() else {
        return;
    };
    if is_ending(&pod) {
        return;
    }
    let grace = world.nature.grace;
    let at = u64::try_from((world.now() + grace).as_millis()).unwrap_or(u64::MAX);
    pod["metadata"]["deletionTimestamp"] = json!(world.store.time(world.now()).to_string());
    pod["status"]["servesUntil"] = json!(at);
    world.plan(grace + LINGERING, Due::Gone(key.clone()));
    world.commit(&Author::cluster(), key, pod);
}

pub fn gone(world: &mut World, key: &Key) {
    world.remove(&Author::cluster(), key);
}

pub fn is_ending(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_some()
}

pub fn is_ready(pod: &Value) -> bool {
    ready_at(pod).is_some() && !is_ending(pod)
}

pub fn ready_at(pod: &Value) -> Option<Duration> {
    pod["status"]["readyAt"].as_u64().map(Duration::from_millis)
}

/// Whether a request that arrives now is answered.
pub fn serves(pod: &Value, now: Duration) -> bool {
    let until = pod["status"]["servesUntil"]
        .as_u64()
        .map(Duration::from_millis);
    ready_at(pod).is_some() && until.is_none_or(|until| now < until)
}
