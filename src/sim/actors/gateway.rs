//! The controller of the Gateways: it says of every HTTPRoute whether it is right, some time after it changed.
//!
//! Not here: when proxies follow (`crate::sim::proxy`).

use serde_json::{Value, json};

use super::Due;
use crate::sim::{
    nature::Mood,
    store::{Author, Change, Key},
    world::World,
};

const NAME: &str = "example.com/gateway-controller";

pub(super) fn react(world: &mut World, change: &Change) {
    match change.key.plural {
        "httproutes" if !change.deleted => plan(world, &change.key),
        // A backend may have come or gone.
        "services" if change.deleted || change.before.is_none() => plan_all(world),
        _ => {}
    }
}

fn plan(world: &mut World, key: &Key) {
    let after = world.draw(world.nature.gateway.lag);
    world.plan(after, Due::Gateway(key.clone()));
}

fn plan_all(world: &mut World) {
    let routes: Vec<Key> = world
        .store
        .list("httproutes")
        .map(|(key, _)| key.clone())
        .collect();
    for key in &routes {
        plan(world, key);
    }
}

/// From now on it says something else.
pub(super) fn turn(world: &mut World, mood: Mood) {
    world.nature.gateway.mood = mood;
    match mood {
        Mood::Accepts | Mood::Silent => {
            world.count_requests();
            world.read_routes();
        }
        Mood::Refuses => {}
    }
    plan_all(world);
}

pub(super) fn sync(world: &mut World, key: &Key) {
    let Some(mut route) = world.store.get(key).cloned() else {
        return;
    };
    let accepted = match world.nature.gateway.mood {
        Mood::Silent => return,
        Mood::Accepts => Ok(()),
        Mood::Refuses => Err(("Invalid", "the Gateway refuses this route".to_owned())),
    };
    let missing = backends(&route).find(|name| {
        let service = Key::new("services", &key.namespace, name);
        world.store.get(&service).is_none()
    });
    let resolved = match missing {
        None => Ok(()),
        Some(name) => Err(("BackendNotFound", format!("Service {name} does not exist"))),
    };
    let condition = |type_: &str, holds: &Result<(), (&str, String)>| {
        let (status, reason, message) = match holds {
            Ok(()) => ("True", type_, ""),
            Err((reason, message)) => ("False", *reason, message.as_str()),
        };
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": world.time().to_string(),
        })
    };
    let conditions = json!([
        condition("Accepted", &accepted),
        condition("ResolvedRefs", &resolved)
    ]);
    let said = &route["status"]["parents"][0]["conditions"];
    let settled = |conditions: &Value| -> Vec<[Value; 4]> {
        let all = conditions.as_array().into_iter().flatten();
        all.map(|one| ["type", "status", "message", "observedGeneration"].map(|f| one[f].clone()))
            .collect()
    };
    if settled(said) == settled(&conditions) {
        return;
    }
    let parents = route["spec"]["parentRefs"].as_array().cloned();
    let parents: Vec<Value> = parents
        .unwrap_or_default()
        .into_iter()
        .map(
            |parent| json!({"parentRef": parent, "controllerName": NAME, "conditions": conditions}),
        )
        .collect();
    route["status"] = json!({ "parents": parents });
    let author = Author {
        manager: "gateway-controller".to_owned(),
        ..Author::cluster()
    };
    world.commit(&author, key, route);
}

/// The Services that the route names.
fn backends(route: &Value) -> impl Iterator<Item = &str> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let backends = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    backends.filter_map(|backend| backend["name"].as_str())
}
