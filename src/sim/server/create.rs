//! New objects.

use serde_json::{Value, json};

use super::{
    Options, Refused, decode,
    judge::{Part, judge},
    meta, told,
};
use crate::sim::{
    resources::Resource,
    store::{Author, By, Key},
    world::World,
};

/// Creates an object.
pub fn create(
    world: &mut World,
    author: &Author,
    resource: &'static Resource,
    namespace: &str,
    object: Value,
) -> Result<Value, Refused> {
    let options = Options::default();
    with(world, author, resource, namespace, object, options)
}

pub(super) fn with(
    world: &mut World,
    author: &Author,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
    options: Options,
) -> Result<Value, Refused> {
    decode::object(world, author, resource, &mut object, options)?;
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    if resource.namespaced {
        let own = object["metadata"]["namespace"].as_str();
        if own.is_some_and(|own| own != namespace) {
            return Err(Refused::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object["metadata"]["namespace"] = json!(namespace);
    }
    let version = object["metadata"]["resourceVersion"].as_str();
    if version.is_some_and(|version| !version.is_empty()) {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Refused::new(500, "", message));
    }
    if let (None, Some(prefix)) = (
        object["metadata"]["name"].as_str(),
        object["metadata"]["generateName"].as_str(),
    ) {
        object["metadata"]["name"] = json!(format!("{prefix}{}", world.suffix()));
    }
    let by_cluster = author.by == By::Cluster;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "uid",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
        ] {
            metadata.remove(field);
        }
    }
    decode::metadata(resource, &mut object)?;
    if !by_cluster {
        if resource.status
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        let found = meta::of_new(&object["metadata"]);
        judge(resource, &object, None, Part::Whole, found)?;
    }
    let key = Key::of(resource.plural, &object);
    if let Some(there) = world.store.get(&key) {
        let ending = !there["metadata"]["deletionTimestamp"].is_null();
        return Err(Refused::exists(resource, &key.name, ending));
    }
    if options.dry_run {
        return Ok(world.dry(author, &key, object));
    }
    // A new object is always a change.
    Ok(told(world.commit(author, &key, object), Value::Null))
}
