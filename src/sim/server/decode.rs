//! From a body to an object of a kind: what the kind does not have goes, or is refused.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        batch::v1::Job,
        coordination::v1::Lease,
        core::v1::{Pod, Secret, Service},
        events::v1::Event,
        networking::v1::Ingress,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Options, Refused};
use crate::sim::{
    resources::Resource,
    schema,
    store::{Author, By},
    world::World,
};

/// Reads the object of a create or a replacement.
pub(super) fn object(
    world: &mut World,
    author: &Author,
    resource: &Resource,
    object: &mut Value,
    options: Options,
) -> Result<(), Refused> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version.is_empty() || kind.is_empty() {
        return Err(Refused::bad_request(
            "Object 'Kind' is missing, or its apiVersion",
        ));
    }
    if version != resource.api_version() {
        return Err(Refused::bad_request(format_args!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            resource.api_version()
        )));
    }
    if kind != resource.kind {
        return if resource.is_ours() {
            // The rest is said when it is judged; until then it is left as it is.
            Ok(())
        } else {
            Err(Refused::bad_request(format_args!(
                "{kind} in version {:?} cannot be handled as a {}",
                resource.version, resource.kind
            )))
        };
    }
    if author.by == By::Cluster {
        return Ok(());
    }
    let unknown = known(resource, object)?;
    if unknown.is_empty() {
        return Ok(());
    }
    if options.strict {
        let unknown: Vec<String> = unknown
            .iter()
            .map(|path| format!("unknown field {path:?}"))
            .collect();
        return Err(Refused::bad_request(format_args!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            resource.kind,
            resource.version,
            resource.kind,
            unknown.join(", ")
        )));
    }
    loud(world, author, resource, &unknown);
    Ok(())
}

/// A field that the controller writes and that is dropped is a mistake of ours.
pub(super) fn loud(world: &mut World, author: &Author, resource: &Resource, unknown: &[String]) {
    if author.by == By::Controller && !unknown.is_empty() {
        world.complain(format_args!(
            "the controller writes fields that {} do not have: {}",
            resource.plural,
            unknown.join(", ")
        ));
    }
}

/// Takes out what the kind does not have and returns the paths.
fn known(resource: &Resource, object: &mut Value) -> Result<Vec<String>, Refused> {
    if let Some(definition) = schema::of(resource) {
        return Ok(definition.admit(object));
    }
    let typed = match resource.plural {
        "replicasets" => again::<ReplicaSet>(object),
        "deployments" => again::<Deployment>(object),
        "jobs" => again::<Job>(object),
        "leases" => again::<Lease>(object),
        "pods" => again::<Pod>(object),
        "secrets" => again::<Secret>(object),
        "services" => again::<Service>(object),
        "events" => again::<Event>(object),
        "ingresses" => again::<Ingress>(object),
        "poddisruptionbudgets" => again::<PodDisruptionBudget>(object),
        // Only clusters and people write the others.
        _ => return Ok(Vec::new()),
    };
    let typed = typed.map_err(|why| {
        Refused::bad_request(format_args!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            resource.kind, resource.version, resource.kind
        ))
    })?;
    let mut unknown = Vec::new();
    drop_unknown(object, &typed, "", &mut unknown);
    unknown.sort();
    Ok(unknown)
}

/// The object as its type has it.
fn again<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(object)?)
}

fn drop_unknown(value: &mut Value, typed: &Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let empty = || {
                value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
            };
            match typed.get(name) {
                Some(typed) => {
                    drop_unknown(value, typed, &path, unknown);
                    true
                }
                // Left out by the type because it says nothing.
                None if empty() => !value.is_null(),
                None => {
                    unknown.push(path);
                    false
                }
            }
        }),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let typed = typed.get(index).unwrap_or(&Value::Null);
                drop_unknown(item, typed, &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Metadata as the server stores it: without null, and of the right types.
pub(super) fn metadata(resource: &Resource, object: &mut Value) -> Result<(), Refused> {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
        for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
            let empty = |value: &Value| *value == json!({}) || *value == json!([]);
            if metadata.get(field).is_some_and(empty) {
                metadata.remove(field);
            }
        }
    }
    ObjectMeta::deserialize(&object["metadata"])
        .map(drop)
        .map_err(|why| {
            Refused::bad_request(format_args!(
                "{} in version {:?} cannot be handled as a {}: {why}",
                resource.kind, resource.version, resource.kind
            ))
        })
}
