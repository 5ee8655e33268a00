//! Reads: one object, or all of a kind in pages of one moment.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Refused, update::scale_of};
use crate::sim::{
    request::{ApiRequest, List, Subresource},
    resources::Resource,
    store::{Key, Objects},
    world::World,
};

/// What `continue` says: the moment, and what was told last.
#[derive(Serialize, Deserialize)]
struct Continue {
    version: u64,
    namespace: String,
    name: String,
}

pub(super) fn get(
    world: &World,
    resource: &Resource,
    key: &Key,
    subresource: Subresource,
) -> Result<Value, Refused> {
    let Some(object) = world.store.get(key) else {
        return Err(Refused::not_found(resource, &key.name));
    };
    Ok(match subresource {
        Subresource::Scale => scale_of(resource, object),
        Subresource::None | Subresource::Status | Subresource::Eviction => object.clone(),
    })
}

pub(super) fn list(world: &World, request: &ApiRequest, page: &List) -> Result<Value, Refused> {
    let resource = request.resource;
    let after = page.after.as_deref().map(read).transpose()?;
    let past: Option<Objects> = match &after {
        Some(after) if after.version < world.store.compacted() => {
            let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                           without the continue parameter.";
            return Err(Refused::new(410, "Expired", message));
        }
        Some(after) => Some(world.store.objects_at(resource.plural, after.version)),
        None => None,
    };
    let version = after
        .as_ref()
        .map_or(world.store.version(), |it| it.version);
    let objects = past.as_ref().unwrap_or(world.store.objects());
    let was_told = |key: &Key| {
        after.as_ref().is_some_and(|after| {
            (key.namespace.as_str(), key.name.as_str()) <= (&after.namespace, &after.name)
        })
    };
    let mut items = Vec::new();
    let mut last = None;
    let mut left = 0_u64;
    for (key, object) in objects.list(resource.plural) {
        let here = request.namespace.is_empty() || key.namespace == request.namespace;
        if !here || was_told(key) || !page.selects(key, object) {
            continue;
        }
        if page.limit.is_some_and(|limit| items.len() >= limit) {
            left += 1;
            continue;
        }
        items.push(object);
        last = Some(key);
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let Some(last) = last.filter(|_| left > 0) {
        metadata["continue"] = json!(token(version, last)?);
        // The server counts only where it need not look at each object.
        if page.is_whole() {
            metadata["remainingItemCount"] = json!(left);
        }
    }
    let items: Vec<Value> = items.into_iter().map(|item| told(resource, item)).collect();
    Ok(json!({
        "apiVersion": resource.api_version(), "kind": format!("{}List", resource.kind),
        "metadata": metadata, "items": items,
    }))
}

/// An item as it is told: the server leaves out what its own kinds have in common.
fn told(resource: &Resource, item: &Value) -> Value {
    let mut item = item.clone();
    if !resource.is_defined()
        && let Some(fields) = item.as_object_mut()
    {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    item
}

fn token(version: u64, last: &Key) -> Result<String, Refused> {
    let token = Continue {
        version,
        namespace: last.namespace.clone(),
        name: last.name.clone(),
    };
    let text = serde_json::to_vec(&token).map_err(|why| Refused::new(500, "InternalError", why))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

fn read(token: &str) -> Result<Continue, Refused> {
    let bad = |why: &dyn std::fmt::Display| {
        Refused::bad_request(format_args!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let text = URL_SAFE_NO_PAD.decode(token).map_err(|why| bad(&why))?;
    serde_json::from_slice(&text).map_err(|why| bad(&why))
}
