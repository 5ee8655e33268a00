//! The EndpointSlice controller: one slice per Service, some time behind the pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Due, kubelet};
use crate::sim::{
    server,
    store::{Author, Change, Key},
    world::World,
};

pub fn react(world: &mut World, change: &Change) {
    if matches!(change.key.plural, "pods" | "services") {
        let after = world.draw(world.nature.endpoints_lag);
        world.plan(after, Due::EndpointSlices(change.key.namespace.clone()));
    }
}

pub fn sync(world: &mut World, namespace: &str) {
    let services: Vec<(Key, Value)> = world
        .store
        .list("services")
        .filter(|(key, _)| key.namespace == namespace)
        .map(|(key, service)| (key.clone(), service.clone()))
        .collect();
    for (key, service) in services {
        let selector: BTreeMap<String, String> =
            serde_json::from_value(service["spec"]["selector"].clone()).unwrap_or_default();
        if selector.is_empty() {
            continue;
        }
        let endpoints: Vec<Value> = world
            .store
            .list("pods")
            .filter(|(pod, object)| pod.namespace == namespace && selects(&selector, object))
            .map(|(pod, object)| {
                let serves = kubelet::ready_at(object).is_some();
                let ready = kubelet::is_ready(object);
                json!({
                    "addresses": ["10.0.0.1"],
                    "conditions": {"ready": ready, "serving": serves, "terminating": kubelet::is_ending(object)},
                    "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace},
                })
            })
            .collect();
        write(world, &key, &service, &endpoints);
    }
}

fn selects(selector: &BTreeMap<String, String>, pod: &Value) -> bool {
    selector
        .iter()
        .all(|(name, value)| pod["metadata"]["labels"][name].as_str() == Some(value))
}

fn write(world: &mut World, service: &Key, object: &Value, endpoints: &[Value]) {
    let author = Author::cluster();
    let key = Key::new(
        "endpointslices",
        &service.namespace,
        &format!("{}-slice", service.name),
    );
    if let Some(mut slice) = world.store.get(&key).cloned() {
        slice["endpoints"] = json!(endpoints);
        world.commit(&author, &key, slice);
        return;
    }
    let owner = json!({"apiVersion": "v1", "kind": "Service", "name": service.name, "uid": object["metadata"]["uid"], "controller": true});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": key.name, "labels": {"kubernetes.io/service-name": service.name}, "ownerReferences": [owner],
        },
        "endpoints": endpoints,
    });
    let resource = world.store.resource("endpointslices");
    if let Err(refused) = server::create(world, &author, resource, &service.namespace, slice) {
        world.complain(format_args!(
            "an EndpointSlice was refused: {}",
            refused.message
        ));
    }
}
