//! Deletions: at once, after a grace, or when nothing holds them up any more.
//!
//! Not here: what becomes of what is owned (the garbage collector).

use serde_json::{Value, json};

use super::{Options, Refused, told};
use crate::sim::{
    actors::{kubelet, nodes},
    resources::Resource,
    schema::{Cause, Complaint},
    selector::Selector,
    store::{Author, Key},
    world::World,
};

/// The finalizer that the garbage collector takes away when nothing has this owner any more.
pub const ORPHAN: &str = "orphan";
/// The finalizer that the garbage collector takes away when nothing that blocks the deletion is left.
pub const FOREGROUND: &str = "foregroundDeletion";
/// What a pod has when it does not say.
const GRACE: i64 = 30;

/// Deletes an object.
pub fn delete(
    world: &mut World,
    author: &Author,
    key: &Key,
    options: &Value,
) -> Result<Value, Refused> {
    let resource = world.store.resource(key.plural);
    with(world, author, resource, key, options)
}

pub(super) fn with(
    world: &mut World,
    author: &Author,
    resource: &Resource,
    key: &Key,
    options: &Value,
) -> Result<Value, Refused> {
    let finalizer = match options["propagationPolicy"].as_str() {
        None | Some("" | "Background") => None,
        Some("Orphan") => Some(ORPHAN),
        Some("Foreground") => Some(FOREGROUND),
        Some(other) => {
            let cause = Cause::NotSupported(
                json!(other),
                ["Foreground", "Background", "Orphan"]
                    .map(str::to_owned)
                    .to_vec(),
            );
            let complaint = Complaint::new("propagationPolicy", cause, "");
            return Err(Refused::invalid(
                resource,
                "DeleteOptions",
                "",
                &[complaint],
            ));
        }
    };
    let Some(current) = world.store.get(key).cloned() else {
        return Err(Refused::not_found(resource, &key.name));
    };
    preconditions(resource, key, &options["preconditions"], &current)?;
    let grace = options["gracePeriodSeconds"].as_i64();
    if options["dryRun"]
        .as_array()
        .is_some_and(|it| !it.is_empty())
    {
        return Ok(success(resource, key, &current));
    }
    if key.plural == "pods" {
        return Ok(pod(world, author, key, current, grace));
    }
    if !current["metadata"]["deletionTimestamp"].is_null() {
        return Ok(current);
    }
    let held = current["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if !held && finalizer.is_none() {
        world.remove(author, key);
        return Ok(success(resource, key, &current));
    }
    Ok(mark(world, author, key, current, 0, finalizer))
}

fn success(resource: &Resource, key: &Key, object: &Value) -> Value {
    let mut details =
        json!({"name": key.name, "kind": key.plural, "uid": object["metadata"]["uid"]});
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    })
}

fn preconditions(
    resource: &Resource,
    key: &Key,
    wanted: &Value,
    object: &Value,
) -> Result<(), Refused> {
    for (field, name, fate) in [
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ] {
        let (wanted, there) = (&wanted[field], &object["metadata"][field]);
        if wanted.is_null() || wanted == there {
            continue;
        }
        let (wanted, there) = (
            wanted.as_str().unwrap_or_default(),
            there.as_str().unwrap_or_default(),
        );
        let what = format!(
            "the {name} in the precondition ({wanted}) does not match the {name} in record ({there}). The object might have been {fate}"
        );
        return Err(Refused::precondition(resource, key, &what));
    }
    Ok(())
}

/// Notes that the object is to be deleted. It goes when its last finalizer does.
pub(in crate::sim) fn mark(
    world: &mut World,
    author: &Author,
    key: &Key,
    mut object: Value,
    grace: i64,
    finalizer: Option<&str>,
) -> Value {
    let seconds = jiff::SignedDuration::from_secs(grace);
    let at = world.time().checked_add(seconds).unwrap_or(world.time());
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = json!(format!("{:.0}", at));
    metadata["deletionGracePeriodSeconds"] = json!(grace);
    if let Some(generation) = metadata["generation"].as_i64() {
        metadata["generation"] = json!(generation + 1);
    }
    if let Some(finalizer) = finalizer {
        if metadata["finalizers"].is_null() {
            metadata["finalizers"] = json!([]);
        }
        if let Some(list) = metadata["finalizers"].as_array_mut() {
            list.push(json!(finalizer));
        }
    }
    told(world.commit(author, key, object.clone()), object)
}

fn pod(
    world: &mut World,
    author: &Author,
    key: &Key,
    mut current: Value,
    grace: Option<i64>,
) -> Value {
    let own = current.pointer("/spec/terminationGracePeriodSeconds");
    let grace = grace.or(own.and_then(Value::as_i64)).unwrap_or(GRACE);
    if grace == 0 {
        world.remove(author, key);
        let version = world.store.version().to_string();
        let metadata = &mut current["metadata"];
        metadata["resourceVersion"] = json!(version);
        metadata["deletionGracePeriodSeconds"] = json!(0);
        return current;
    }
    if !current["metadata"]["deletionTimestamp"].is_null() {
        return current;
    }
    if nodes::is_elsewhere(world, &current) {
        return mark(world, author, key, current, grace, None);
    }
    kubelet::end(world, key);
    world.store.get(key).cloned().unwrap_or(current)
}

/// Evicts a pod, unless a disruption budget holds it up.
pub(super) fn evict(
    world: &mut World,
    author: &Author,
    key: &Key,
    eviction: &Value,
    options: Options,
) -> Result<Value, Refused> {
    let resource = world.store.resource("pods");
    let Some(pod) = world.store.get(key).cloned() else {
        return Err(Refused::not_found(resource, &key.name));
    };
    let mut delete = eviction["deleteOptions"].clone();
    if !delete.is_object() {
        delete = json!({});
    }
    preconditions(resource, key, &delete["preconditions"], &pod)?;
    let running = pod["status"]["phase"] == "Running" || is_ready(&pod);
    if running
        && pod["metadata"]["deletionTimestamp"].is_null()
        && let Some(budget) = exhausted(world, key, &pod)
    {
        return Err(budget);
    }
    if options.dry_run {
        delete["dryRun"] = json!(["All"]);
    }
    with(world, author, resource, key, &delete)?;
    Ok(
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    )
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    conditions.is_some_and(|list| list.iter().any(ready))
        && pod["metadata"]["deletionTimestamp"].is_null()
}

/// The refusal of a budget that allows no disruption of this pod.
fn exhausted(world: &World, key: &Key, pod: &Value) -> Option<Refused> {
    let here = |other: &Key| other.namespace == key.namespace;
    for (name, budget) in world.store.list("poddisruptionbudgets") {
        let selector = Selector::of_object(&budget["spec"]["selector"]);
        if !here(name) || !selector.matches(pod) {
            continue;
        }
        let selected: Vec<&Value> = world
            .store
            .list("pods")
            .filter(|(other, object)| here(other) && selector.matches(object))
            .map(|(_, object)| object)
            .collect();
        let healthy = selected.iter().filter(|pod| is_ready(pod)).count();
        let spec = &budget["spec"];
        let desired = match (
            share(&spec["minAvailable"], selected.len()),
            share(&spec["maxUnavailable"], selected.len()),
        ) {
            (Some(least), _) => least,
            (None, Some(most)) => selected.len().saturating_sub(most),
            (None, None) => continue,
        };
        if healthy > desired {
            continue;
        }
        let message = format!(
            "The disruption budget {} needs {desired} healthy pods and has {healthy} currently",
            name.name
        );
        return Some(Refused {
            details: json!({"causes": [{"reason": "DisruptionBudget", "message": message}]}),
            ..Refused::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            )
        });
    }
    None
}

/// A number, or a share of `whole`, rounded up.
fn share(value: &Value, whole: usize) -> Option<usize> {
    if let Some(number) = value.as_u64() {
        return usize::try_from(number).ok();
    }
    let percent: usize = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some((whole * percent).div_ceil(100))
}
