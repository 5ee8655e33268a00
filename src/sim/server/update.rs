//! Changes of objects, whole or in part, by replacement or patch.

use serde_json::{Value, json};

use super::{
    Options, Refused, decode,
    judge::{Part, judge},
    meta, told,
};
use crate::sim::{
    request::{PatchType, Subresource},
    resources::Resource,
    schema::{self, Cause, Complaint},
    store::{Author, By, Key},
    world::World,
};

/// What is to be changed.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) resource: &'static Resource,
    pub(super) key: &'a Key,
    pub(super) subresource: Subresource,
    pub(super) options: Options,
}

/// How it is to be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Replacement,
    Patch,
}

/// Changes an object, or a part of it.
pub fn update(
    world: &mut World,
    author: &Author,
    resource: &'static Resource,
    key: &Key,
    subresource: Subresource,
    change: impl FnOnce(&Value) -> Result<Value, Refused>,
) -> Result<Value, Refused> {
    let target = Target {
        resource,
        key,
        subresource,
        options: Options::default(),
    };
    carry_out(world, author, target, How::Patch, change)
}

pub(super) fn replace(
    world: &mut World,
    author: &Author,
    target: Target<'_>,
    mut object: Value,
) -> Result<Value, Refused> {
    if target.subresource != Subresource::Scale {
        decode::object(world, author, target.resource, &mut object, target.options)?;
    }
    let (key, metadata) = (target.key, &object["metadata"]);
    let name = metadata["name"].as_str().unwrap_or_default();
    if name != key.name {
        return Err(Refused::bad_request(format_args!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    if metadata["namespace"]
        .as_str()
        .is_some_and(|it| it != key.namespace)
    {
        return Err(Refused::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if target.resource.namespaced {
        object["metadata"]["namespace"] = json!(key.namespace);
    }
    carry_out(world, author, target, How::Replacement, |_| Ok(object))
}

pub(super) fn patch(
    world: &mut World,
    author: &Author,
    target: Target<'_>,
    type_: PatchType,
    patch: &Value,
) -> Result<Value, Refused> {
    carry_out(world, author, target, How::Patch, |object| {
        apply(type_, object, patch)
    })
}

fn apply(type_: PatchType, object: &Value, patch: &Value) -> Result<Value, Refused> {
    let mut patched = object.clone();
    match type_ {
        PatchType::Merge if patch.is_object() => json_patch::merge(&mut patched, patch),
        PatchType::Merge => {
            return Err(Refused::bad_request(
                "error decoding patch: it is no object",
            ));
        }
        PatchType::Json => {
            let listed = patch
                .as_array()
                .is_some_and(|it| it.iter().all(Value::is_object));
            if !listed {
                return Err(Refused::bad_request(
                    "error decoding patch: it is no list of operations",
                ));
            }
            let unfit = |why: &dyn std::fmt::Display| {
                let message = format!(
                    "the server rejected our request due to an error in our request: {why}"
                );
                Refused::new(422, "Invalid", message)
            };
            let operations: json_patch::Patch =
                serde_json::from_value(patch.clone()).map_err(|why| unfit(&why))?;
            json_patch::patch(&mut patched, &operations).map_err(|why| unfit(&why))?;
        }
    }
    Ok(patched)
}

fn carry_out(
    world: &mut World,
    author: &Author,
    target: Target<'_>,
    how: How,
    change: impl FnOnce(&Value) -> Result<Value, Refused>,
) -> Result<Value, Refused> {
    let Target { resource, key, .. } = target;
    let Some(current) = world.store.get(key).cloned() else {
        return Err(Refused::not_found(resource, &key.name));
    };
    let mut wanted = match target.subresource {
        Subresource::Scale => change(&scale_of(resource, &current))?,
        Subresource::None | Subresource::Status | Subresource::Eviction => change(&current)?,
    };
    if how == How::Patch && target.subresource != Subresource::Scale {
        admit(world, author, target, &mut wanted)?;
    }
    identity(&wanted["metadata"], &current["metadata"], target, how)?;
    let part = match target.subresource {
        Subresource::Status => Part::Status,
        Subresource::None | Subresource::Scale | Subresource::Eviction => Part::Whole,
    };
    let mut found = Vec::new();
    let mut object = match target.subresource {
        Subresource::None | Subresource::Eviction => {
            decode::metadata(resource, &mut wanted)?;
            found = meta::of_changed(&wanted["metadata"], &current["metadata"]);
            if resource.status && author.by != By::Cluster {
                take(&mut wanted, &current, "status");
            }
            wanted
        }
        Subresource::Status => {
            let mut object = current.clone();
            take(&mut object, &wanted, "status");
            object
        }
        Subresource::Scale => {
            let mut object = current.clone();
            let replicas = wanted.pointer("/spec/replicas");
            object["spec"]["replicas"] = replicas.cloned().unwrap_or_else(|| json!(0));
            object
        }
    };
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if found.is_empty() && author.by != By::Cluster {
            take(&mut object["metadata"], &current["metadata"], field);
        }
    }
    if author.by != By::Cluster {
        judge(resource, &object, Some(&current), part, found)?;
    }
    let answer = |object: Value| match target.subresource {
        Subresource::Scale => scale_of(resource, &object),
        Subresource::None | Subresource::Status | Subresource::Eviction => object,
    };
    if target.options.dry_run {
        return Ok(answer(world.dry(author, key, object)));
    }
    if is_over(&object) {
        let metadata = &mut object["metadata"];
        take(metadata, &current["metadata"], "resourceVersion");
        world.remove(author, key);
        return Ok(answer(object));
    }
    Ok(answer(told(world.commit(author, key, object), current)))
}

/// Whether an object is being deleted and has nothing left to wait for.
fn is_over(object: &Value) -> bool {
    let metadata = &object["metadata"];
    !metadata["deletionTimestamp"].is_null()
        && metadata["deletionGracePeriodSeconds"] == 0
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
}

/// Takes a field as it is in `from`, also when it is not there.
fn take(into: &mut Value, from: &Value, field: &str) {
    match (from.get(field), into.as_object_mut()) {
        (Some(value), Some(fields)) => {
            fields.insert(field.to_owned(), value.clone());
        }
        (None, Some(fields)) => {
            fields.remove(field);
        }
        (_, None) => {}
    }
}

/// Brings a patched object of ours into the form in which it is stored.
fn admit(
    world: &mut World,
    author: &Author,
    target: Target<'_>,
    wanted: &mut Value,
) -> Result<(), Refused> {
    let resource = target.resource;
    let Some(definition) = schema::of(resource) else {
        return Ok(());
    };
    if wanted["kind"] != resource.kind {
        return Ok(());
    }
    let unknown = definition.admit(wanted);
    if target.options.strict && !unknown.is_empty() {
        let says = format!("strict decoding error: unknown field {:?}", unknown[0]);
        let complaint = Complaint::new("patch", Cause::Invalid(None), says);
        return Err(Refused::invalid(resource, resource.kind, "", &[complaint]));
    }
    decode::loud(world, author, resource, &unknown);
    Ok(())
}

/// The object that is meant is the one that is there.
fn identity(wanted: &Value, current: &Value, target: Target<'_>, how: How) -> Result<(), Refused> {
    let Target { resource, key, .. } = target;
    for field in ["name", "namespace"] {
        let named = &wanted[field];
        if !named.is_null() && *named != current[field] {
            return Err(Refused::bad_request(format_args!(
                "the {field} of the object does not match the {field} on the URL"
            )));
        }
    }
    let uid = &wanted["uid"];
    if how == How::Replacement && !uid.is_null() && *uid != current["uid"] {
        let place = format!(
            "/registry/{}/{}/{}/{}",
            resource.group, key.plural, key.namespace, key.name
        );
        let (uid, own) = (
            uid.as_str().unwrap_or_default(),
            current["uid"].as_str().unwrap_or_default(),
        );
        let what = format!(
            "StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
             UID in precondition: {uid}, UID in object meta: {own}"
        );
        return Err(Refused::conflict(resource, &key.name, what));
    }
    let version = wanted["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() {
        if how == How::Replacement && resource.needs_version() {
            let complaint = Complaint::new(
                "metadata.resourceVersion",
                Cause::Invalid(Some(json!(0))),
                "must be specified for an update",
            );
            return Err(Refused::unversioned(resource, &key.name, &complaint));
        }
    } else if current["resourceVersion"] != version {
        return Err(Refused::modified(resource, &key.name));
    }
    Ok(())
}

/// The scale of an object: of ours what their definitions say, of others what they have in common.
pub(super) fn scale_of(resource: &Resource, object: &Value) -> Value {
    let mut metadata = serde_json::Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        metadata.insert(field.to_owned(), object["metadata"][field].clone());
    }
    let (replicas, selector) = if resource.is_ours() {
        ("/status/HPAReplicas", object.pointer("/status/selector"))
    } else {
        ("/status/replicas", None)
    };
    let count = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let mut scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
        "spec": {}, "status": {"replicas": count(replicas)},
    });
    if count("/spec/replicas") != 0 {
        scale["spec"]["replicas"] = json!(count("/spec/replicas"));
    }
    if let Some(selector) = selector.filter(|selector| *selector != "") {
        scale["status"]["selector"] = selector.clone();
    }
    scale
}
