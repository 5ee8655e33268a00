//! The ReplicaSet controller: as many pods as asked for, and their counts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Due, kubelet, nodes};
use crate::sim::{
    server::{self, Refused},
    store::{Author, Change, Key},
    world::World,
};

/// How long after a refused pod it tries again.
const AGAIN: Duration = Duration::from_secs(5);

pub fn react(world: &mut World, change: &Change) {
    let set = match change.key.plural {
        "replicasets" => Some(change.key.name.clone()),
        "pods" => owner(&change.object),
        _ => None,
    };
    if let Some(set) = set {
        let after = world.between(10, 60);
        let key = Key::new("replicasets", &change.key.namespace, &set);
        world.plan(after, Due::ReplicaSet(key));
    }
}

fn owner(pod: &Value) -> Option<String> {
    pod.pointer("/metadata/ownerReferences/0/name")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

pub fn sync(world: &mut World, key: &Key) {
    let Some(set) = world.store.get(key).cloned() else {
        return;
    };
    let desired = usize::try_from(set["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
    let mut pods = pods_of(world, &set);
    pods.retain(|(_, pod)| !kubelet::is_ending(pod));
    let mut refused = None;
    for _ in pods.len()..desired {
        if let Err(why) = create_pod(world, key, &set) {
            refused = Some(why.message);
            // As the real one, which tries again ever later.
            world.plan(AGAIN, Due::ReplicaSet(key.clone()));
            break;
        }
    }
    if pods.len() > desired {
        // Pods that are not ready go first, then the youngest.
        pods.sort_by_key(|(key, pod)| {
            let age = pod["metadata"]["creationTimestamp"]
                .as_str()
                .map(str::to_owned);
            (kubelet::is_ready(pod), age, key.name.clone())
        });
        let (unready, ready): (Vec<_>, Vec<_>) = pods
            .into_iter()
            .partition(|(_, pod)| !kubelet::is_ready(pod));
        let surplus = unready.len() + ready.len() - desired;
        for (pod, _) in unready
            .into_iter()
            .chain(ready.into_iter().rev())
            .take(surplus)
        {
            kubelet::end(world, &pod);
        }
    }
    write_counts(world, key, &set, refused);
}

fn pods_of(world: &World, set: &Value) -> Vec<(Key, Value)> {
    let uid = &set["metadata"]["uid"];
    world
        .store
        .list("pods")
        .filter(|(_, pod)| pod.pointer("/metadata/ownerReferences/0/uid") == Some(uid))
        .map(|(key, pod)| (key.clone(), pod.clone()))
        .collect()
}

fn create_pod(world: &mut World, key: &Key, set: &Value) -> Result<(), Refused> {
    if let Some(most) = world.nature.quota {
        let pods = world.store.list("pods");
        let used = pods
            .filter(|(pod, _)| pod.namespace == key.namespace)
            .count();
        if used >= most {
            return Err(Refused::new(
                403,
                "Forbidden",
                format_args!(
                    "pods is forbidden: exceeded quota: pods, requested: pods=1, used: pods={used}, limited: pods={most}"
                ),
            ));
        }
    }
    let mut prefix = format!("{}-", key.name);
    prefix.truncate(58);
    let name = format!("{prefix}{}", world.suffix());
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": key.name, "uid": set["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    });
    let mut spec = set["spec"]["template"]["spec"].clone();
    spec["nodeName"] = json!(nodes::assign(world));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": set["spec"]["template"]["metadata"]["labels"], "ownerReferences": [owner],
        },
        "spec": spec,
    });
    server::create(
        world,
        &Author::cluster(),
        world.store.resource("pods"),
        &key.namespace,
        pod,
    )
    .map(drop)
}

fn write_counts(world: &mut World, key: &Key, set: &Value, refused: Option<String>) {
    let pods = pods_of(world, set);
    let live: Vec<&Value> = pods
        .iter()
        .map(|(_, pod)| pod)
        .filter(|pod| !kubelet::is_ending(pod))
        .collect();
    let seconds = set["spec"]["minReadySeconds"].as_u64().unwrap_or(0);
    let now = world.now();
    let ready: Vec<Duration> = live
        .iter()
        .filter_map(|pod| kubelet::ready_at(pod))
        .collect();
    let wait = Duration::from_secs(seconds);
    let available = ready.iter().filter(|at| **at + wait <= now).count();
    if let Some(next) = ready
        .iter()
        .map(|at| *at + wait)
        .filter(|at| *at > now)
        .min()
    {
        world.plan(next.saturating_sub(now), Due::ReplicaSet(key.clone()));
    }
    let mut object = set.clone();
    object["status"] = json!({
        "replicas": live.len(), "fullyLabeledReplicas": live.len(), "readyReplicas": ready.len(),
        "availableReplicas": available, "observedGeneration": set["metadata"]["generation"],
    });
    if let Some(message) = refused {
        object["status"]["conditions"] = json!([{
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message,
        }]);
    }
    world.commit(&Author::cluster(), key, object);
}
