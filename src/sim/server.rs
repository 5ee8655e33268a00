//! What the API server does with a request: which changes it allows, and how it answers.
//!
//! Not here: watches (`watch`), latency and faults (`transport`).

use serde_json::{Value, json};

use super::{
    request::{ApiRequest, PatchType, Subresource, Verb},
    resources::Resource,
    schema,
    store::{Author, By, Key},
    world::World,
};

/// Why a request was refused: what is in the `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status code.
    pub code: u16,
    /// A word for machines.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Refused {
    /// The `Status` object of the answer.
    pub fn body(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": self.code, "reason": self.reason, "message": self.message,
        })
    }
}

fn refuse<T>(
    code: u16,
    reason: &'static str,
    message: impl std::fmt::Display,
) -> Result<T, Refused> {
    Err(Refused {
        code,
        reason,
        message: message.to_string(),
    })
}

fn not_found(key: &Key) -> Refused {
    Refused {
        code: 404,
        reason: "NotFound",
        message: format!("{} \"{}\" not found", key.plural, key.name),
    }
}

fn conflict<T>(key: &Key) -> Result<T, Refused> {
    refuse(
        409,
        "Conflict",
        format!(
            "Operation cannot be fulfilled on {key}: the object has been modified; please apply your changes to the latest version and try again"
        ),
    )
}

/// Carries out everything but a watch.
pub fn handle(
    world: &mut World,
    author: &Author,
    request: &ApiRequest,
) -> Result<(u16, Value), Refused> {
    let key = request.key();
    let resource = request.resource;
    match &request.verb {
        Verb::Get => match (world.store.get(&key), request.subresource) {
            (None, _) => Err(not_found(&key)),
            (Some(object), Subresource::Scale) => Ok((200, scale_of(object))),
            (Some(object), Subresource::None | Subresource::Status) => Ok((200, object.clone())),
        },
        Verb::List(selector) => {
            let items: Vec<&Value> = world
                .store
                .list(resource.plural)
                .filter(|(key, object)| {
                    (request.namespace.is_empty() || key.namespace == request.namespace)
                        && selector.matches(object)
                })
                .map(|(_, object)| object)
                .collect();
            let list = json!({
                "apiVersion": resource.api_version(), "kind": format!("{}List", resource.kind),
                "metadata": {"resourceVersion": world.store.version().to_string()}, "items": items,
            });
            Ok((200, list))
        }
        Verb::Create(object) => create(world, author, resource, &request.namespace, object.clone())
            .map(|object| (201, object)),
        Verb::Replace(object) => update(world, author, resource, &key, request.subresource, |_| {
            Ok(object.clone())
        })
        .map(|object| (200, object)),
        Verb::Patch(type_, patch) => update(
            world,
            author,
            resource,
            &key,
            request.subresource,
            |object| apply(*type_, object, patch),
        )
        .map(|object| (200, object)),
        Verb::Delete(options) => delete(world, author, &key, options).map(|status| (200, status)),
        // A stream is not an answer: whoever has the connection follows the store.
        Verb::Watch(_) => refuse(
            405,
            "MethodNotAllowed",
            "a watch is no request with one answer",
        ),
    }
}

/// Creates an object.
pub fn create(
    world: &mut World,
    author: &Author,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
) -> Result<Value, Refused> {
    if object["apiVersion"] != json!(resource.api_version())
        || object["kind"] != json!(resource.kind)
    {
        return refuse(
            400,
            "BadRequest",
            format!("the object is no {}", resource.kind),
        );
    }
    if resource.namespaced {
        if object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(namespace)
            != namespace
        {
            return refuse(
                400,
                "BadRequest",
                "the namespace of the object is not that of the request",
            );
        }
        object["metadata"]["namespace"] = json!(namespace);
    }
    if let (None, Some(prefix)) = (
        object["metadata"]["name"].as_str(),
        object["metadata"]["generateName"].as_str(),
    ) {
        object["metadata"]["name"] = json!(format!("{prefix}{}", world.suffix()));
    }
    let key = Key::of(resource.plural, &object);
    if key.name.is_empty() || key.name.len() > 253 {
        return refuse(
            422,
            "Invalid",
            "metadata.name must have 1 to 253 characters",
        );
    }
    if world.store.get(&key).is_some() {
        return refuse(409, "AlreadyExists", format!("{key} already exists"));
    }
    if resource.status
        && author.by != By::Cluster
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    check(world, author, resource, &mut object, None)?;
    // A new object is always a change.
    Ok(world
        .commit(author, &key, object)
        .map_or(Value::Null, |stored| stored.as_ref().clone()))
}

/// Brings an object of ours into the form in which it is stored, and refuses it if its definition does.
fn check(
    world: &mut World,
    author: &Author,
    resource: &'static Resource,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Refused> {
    let Some(definition) = schema::ours().named(resource.plural) else {
        return Ok(());
    };
    let unknown = definition.admit(object);
    if !unknown.is_empty() && author.by == By::Controller {
        world.complain(format_args!(
            "the controller writes fields that {} do not have: {}",
            resource.plural,
            unknown.join(", ")
        ));
    }
    let complaints = definition.validate(object, old);
    if complaints.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let message = schema::message(resource.kind, resource.group, name, &complaints);
    refuse(422, "Invalid", message)
}

fn apply(type_: PatchType, object: &Value, patch: &Value) -> Result<Value, Refused> {
    let mut patched = object.clone();
    match type_ {
        PatchType::Merge => json_patch::merge(&mut patched, patch),
        PatchType::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())
                .or_else(|why| refuse(400, "BadRequest", why))?;
            json_patch::patch(&mut patched, &operations)
                .or_else(|why| refuse(422, "Invalid", why))?;
        }
    }
    Ok(patched)
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
    let current = world
        .store
        .get(key)
        .cloned()
        .ok_or_else(|| not_found(key))?;
    let shown = match subresource {
        Subresource::Scale => scale_of(&current),
        Subresource::None | Subresource::Status => current.clone(),
    };
    let mut wanted = change(&shown)?;
    let metadata = &wanted["metadata"];
    let version = &metadata["resourceVersion"];
    if !version.is_null() && *version != current["metadata"]["resourceVersion"] {
        return conflict(key);
    }
    if !metadata["uid"].is_null() && metadata["uid"] != current["metadata"]["uid"] {
        return conflict(key);
    }
    let object = match subresource {
        Subresource::None => {
            if resource.status && author.by != By::Cluster {
                wanted["status"] = current["status"].clone();
                if wanted["status"].is_null()
                    && let Some(fields) = wanted.as_object_mut()
                {
                    fields.remove("status");
                }
            }
            wanted
        }
        Subresource::Status => {
            let mut object = current.clone();
            object["status"] = wanted["status"].clone();
            object
        }
        Subresource::Scale => {
            let mut object = current.clone();
            object["spec"]["replicas"] = wanted["spec"]["replicas"].clone();
            object
        }
    };
    let mut object = object;
    check(world, author, resource, &mut object, Some(&current))?;
    let stored = world
        .commit(author, key, object)
        .map_or(current, |stored| stored.as_ref().clone());
    Ok(match subresource {
        Subresource::Scale => scale_of(&stored),
        Subresource::None | Subresource::Status => stored,
    })
}

fn scale_of(object: &Value) -> Value {
    let metadata: serde_json::Map<String, Value> = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ]
    .into_iter()
    .map(|field| (field.to_owned(), object["metadata"][field].clone()))
    .collect();
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)},
    })
}

/// Deletes an object. What it owns is left to the garbage collector, unless it is to be orphaned.
pub fn delete(
    world: &mut World,
    author: &Author,
    key: &Key,
    options: &Value,
) -> Result<Value, Refused> {
    let current = world
        .store
        .get(key)
        .cloned()
        .ok_or_else(|| not_found(key))?;
    for field in ["uid", "resourceVersion"] {
        let wanted = &options["preconditions"][field];
        if !wanted.is_null() && *wanted != current["metadata"][field] {
            return conflict(key);
        }
    }
    if current["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        world.complain(format!("deleting {key}, which has finalizers"));
    }
    match options["propagationPolicy"].as_str() {
        None | Some("Background") => {}
        Some("Orphan") => orphan(world, &current["metadata"]["uid"]),
        Some(other) => world.complain(format!("deleting {key} with propagation {other}")),
    }
    world.remove(author, key);
    Ok(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": key.name, "kind": key.plural, "uid": current["metadata"]["uid"]},
    }))
}

fn orphan(world: &mut World, owner: &Value) {
    let freed: Vec<(Key, Value)> = world
        .store
        .all()
        .filter_map(|(key, object)| {
            let mut object = object.clone();
            let owners = object["metadata"]["ownerReferences"].as_array_mut()?;
            let count = owners.len();
            owners.retain(|reference| reference["uid"] != *owner);
            (owners.len() < count).then(|| (key.clone(), object))
        })
        .collect();
    for (key, object) in freed {
        world.commit(&Author::cluster(), &key, object);
    }
}
