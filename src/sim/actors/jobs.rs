//! The Job controller: one pod at a time, another one when it fails, until it has succeeded or failed too often.
//!
//! What the pod does is in its image (`behaviour`).

use std::time::Duration;

use serde_json::{Value, json};

use super::{Due, nodes};
use crate::sim::{
    server,
    store::{Author, Change, Key},
    world::World,
};

/// How often a pod may fail beyond the first time, where the Job does not say it.
const BACK_OFF_LIMIT: usize = 6;
/// How long after a failure the next pod comes; then twice that, and so on.
const BACK_OFF: Duration = Duration::from_secs(10);

pub(super) fn react(world: &mut World, change: &Change) {
    let name = match change.key.plural {
        "jobs" if !change.deleted => Some(change.key.name.clone()),
        "pods" => change.object["metadata"]["labels"]["job-name"]
            .as_str()
            .map(str::to_owned),
        _ => None,
    };
    if let Some(name) = name {
        let after = world.between(10, 60);
        let key = Key::new("jobs", &change.key.namespace, &name);
        world.plan(after, Due::Job(key));
    }
}

pub(super) fn sync(world: &mut World, key: &Key) {
    let Some(mut job) = world.store.get(key).cloned() else {
        return;
    };
    if job["status"]["conditions"].is_array() || job["spec"]["suspend"] == true {
        return;
    }
    let uid = &job["metadata"]["uid"];
    let pods = world.store.list("pods");
    let phases: Vec<String> = pods
        .filter(|(_, pod)| pod.pointer("/metadata/ownerReferences/0/uid") == Some(uid))
        .map(|(_, pod)| {
            pod["status"]["phase"]
                .as_str()
                .unwrap_or("Pending")
                .to_owned()
        })
        .collect();
    let count = |phase: &str| phases.iter().filter(|one| *one == phase).count();
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active = phases.len() - succeeded - failed;
    let limit = job["spec"]["backoffLimit"].as_u64();
    let limit = limit.map_or(BACK_OFF_LIMIT, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    job["status"]["active"] = json!(active);
    job["status"]["succeeded"] = json!(succeeded);
    job["status"]["failed"] = json!(failed);
    let time = json!(world.time().to_string());
    if succeeded > 0 {
        job["status"]["completionTime"] = time.clone();
        job["status"]["conditions"] =
            json!([{"type": "Complete", "status": "True", "lastTransitionTime": time}]);
    } else if failed > limit {
        job["status"]["conditions"] = json!([{
            "type": "Failed", "status": "True", "lastTransitionTime": time,
            "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit",
        }]);
    } else if active == 0 && is_time(world, &job, failed) {
        create_pod(world, key, &job);
        job["status"]["active"] = json!(1);
        job["status"]["nextPodAt"] = Value::Null;
    } else if active == 0 {
        let wait = BACK_OFF * 2_u32.saturating_pow(u32::try_from(failed).unwrap_or(9).min(9) - 1);
        let at = job["status"]["nextPodAt"].as_u64();
        let at = at.map_or(world.now() + wait, Duration::from_millis);
        job["status"]["nextPodAt"] = json!(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        world.plan(at.saturating_sub(world.now()), Due::Job(key.clone()));
    }
    world.commit(&Author::cluster(), key, job);
}

/// Whether the next pod may come.
fn is_time(world: &World, job: &Value, failed: usize) -> bool {
    let at = job["status"]["nextPodAt"].as_u64();
    failed == 0 || at.is_some_and(|at| Duration::from_millis(at) <= world.now())
}

fn create_pod(world: &mut World, key: &Key, job: &Value) {
    let mut prefix = format!("{}-", key.name.replace('.', "-"));
    prefix.truncate(58);
    let name = format!("{prefix}{}", world.suffix());
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": key.name, "uid": job["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    });
    let template = &job["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels["job-name"] = json!(key.name);
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!(nodes::assign(world));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": spec,
    });
    let resource = world.store.resource("pods");
    if let Err(refused) = server::create(world, &Author::cluster(), resource, &key.namespace, pod) {
        world.complain(format_args!(
            "the pod of a Job was refused: {}",
            refused.message
        ));
    }
}
