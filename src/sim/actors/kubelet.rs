//! Pods: how long they take to be ready, how they come and go, how they break, and how they end.
//!
//! Beside what a real pod's status has, ours has the fields `startedAt`, `readyAt`, `servesUntil`, `brokeAt` and `fellAt`, in
//! milliseconds since the beginning of the world. Not here: nodes that are lost (`nodes`).

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Due,
    behaviour::{Behaviour, JobEnd, Run},
    nodes,
};
use crate::sim::{
    nature::Span,
    store::{Author, Change, Key},
    traffic,
    world::World,
};

/// How long a pod that lost its readiness takes to get it back.
const FALLEN: Span = Span::millis(1_000, 5_000);
/// How long a container takes to start again after its first crash; after the second it is `BACK_OFF`, then twice that.
const FIRST_RESTART: Duration = Duration::from_secs(1);
const BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);

/// What happens to a pod. The number is how often its container had crashed when it was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its container runs.
    Start(u64),
    /// It is ready.
    Ready(u64),
    /// It is not ready any more.
    Fall(u64),
    /// Its container exits.
    Crash(u64),
    /// Its container, that of a Job, is done.
    Exit,
    /// Its image cannot be had.
    NoImage,
    /// It was told to end, and is gone.
    Gone,
}

pub(super) fn react(world: &mut World, change: &Change) {
    if change.key.plural == "pods"
        && change.before.is_none()
        && !nodes::is_elsewhere(world, &change.object)
    {
        begin(world, &change.key, &change.object);
    }
}

fn begin(world: &mut World, key: &Key, pod: &Value) {
    let after = world.draw(world.nature.start);
    let step = match behaviour(world, pod).run {
        Run::NoImage => Step::NoImage,
        Run::Endless | Run::CrashesAfter(_) => Step::Start(0),
    };
    world.plan(after, Due::Pod(key.clone(), step));
}

fn behaviour(world: &World, pod: &Value) -> Behaviour {
    world.nature.behaviour(traffic::image(pod))
}

pub(super) fn step(world: &mut World, key: &Key, step: Step) {
    let Some(mut pod) = world.store.get(key).cloned() else {
        return;
    };
    if step == Step::Gone {
        return world.remove(&Author::cluster(), key);
    }
    if is_ending(&pod) || nodes::is_lost(world, &pod) {
        return;
    }
    let lives = crashes(&pod);
    match step {
        Step::Start(life) if life == lives => start(world, key, &mut pod),
        Step::Ready(life) if life == lives => ready(world, key, &mut pod),
        Step::Fall(life) if life == lives && is_ready(&pod) => {
            fall(world, &mut pod);
            let after = world.draw(FALLEN);
            world.plan(after, Due::Pod(key.clone(), Step::Ready(lives)));
        }
        Step::Crash(life) if life == lives => crash(world, key, &mut pod),
        Step::Exit => exit(world, &mut pod),
        Step::NoImage => {
            pod["status"]["phase"] = json!("Pending");
            let message = format!("Back-off pulling image \"{}\"", traffic::image(&pod));
            pod["status"]["containerStatuses"] = json!([{
                "name": pod["spec"]["containers"][0]["name"], "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": message}},
            }]);
        }
        // Planned in a former life.
        Step::Start(_) | Step::Ready(_) | Step::Fall(_) | Step::Crash(_) | Step::Gone => return,
    }
    world.commit(&Author::cluster(), key, pod);
}

fn start(world: &mut World, key: &Key, pod: &mut Value) {
    let behaviour = behaviour(world, pod);
    let lives = crashes(pod);
    let plan = |world: &mut World, after: Duration, step: Step| {
        world.plan(after, Due::Pod(key.clone(), step));
    };
    pod["status"]["phase"] = json!("Running");
    set(pod, "startedAt", Some(world.now()));
    set(pod, "brokeAt", None);
    pod["status"]["containerStatuses"] = json!([{
        "name": pod["spec"]["containers"][0]["name"], "ready": false, "restartCount": lives,
        "state": {"running": {}},
    }]);
    if is_of_job(pod) {
        return plan(world, behaviour.job.1, Step::Exit);
    }
    match behaviour.run {
        Run::CrashesAfter(time) if time.is_zero() => return crash(world, key, pod),
        Run::CrashesAfter(time) => plan(world, time, Step::Crash(lives)),
        Run::Endless => {
            if let Some(span) = world.nature.crashes {
                let after = world.draw(span);
                plan(world, after, Step::Crash(lives));
            }
        }
        Run::NoImage => {}
    }
    match behaviour.ready_after {
        Some(time) if time.is_zero() => ready(world, key, pod),
        Some(time) => plan(world, time, Step::Ready(lives)),
        None => {}
    }
}

fn ready(world: &mut World, key: &Key, pod: &mut Value) {
    if started_at(pod).is_none() {
        return;
    }
    set(pod, "readyAt", Some(world.now()));
    set_ready(world, pod, true);
    let behaviour = behaviour(world, pod);
    let span = behaviour.flaps.map(|about| Span {
        least: about / 2,
        most: about * 3 / 2,
    });
    if let Some(span) = span.or(world.nature.flaps) {
        let after = world.draw(span);
        world.plan(after, Due::Pod(key.clone(), Step::Fall(crashes(pod))));
    }
}

/// Its readiness probe fails. It goes on answering.
pub(super) fn fall(world: &World, pod: &mut Value) {
    set(pod, "readyAt", None);
    set(pod, "fellAt", Some(world.now()));
    set_ready(world, pod, false);
}

fn crash(world: &mut World, key: &Key, pod: &mut Value) {
    if is_ready(pod) {
        fall(world, pod);
    }
    set(pod, "startedAt", None);
    set(pod, "brokeAt", Some(world.now()));
    let crashes = crashes(pod) + 1;
    let back_off = match u32::try_from(crashes).unwrap_or(u32::MAX) {
        0 | 1 => FIRST_RESTART,
        more => BACK_OFF
            .saturating_mul(2_u32.saturating_pow(more - 2))
            .min(LONGEST_BACK_OFF),
    };
    pod["status"]["containerStatuses"] = json!([{
        "name": pod["spec"]["containers"][0]["name"], "ready": false, "restartCount": crashes,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}},
    }]);
    world.plan(back_off, Due::Pod(key.clone(), Step::Start(crashes)));
}

fn exit(world: &World, pod: &mut Value) {
    let phase = match behaviour(world, pod).job.0 {
        JobEnd::Succeeds => "Succeeded",
        JobEnd::Fails => "Failed",
    };
    pod["status"]["phase"] = json!(phase);
    set(pod, "startedAt", None);
}

/// Tells a pod to end.
pub fn end(world: &mut World, key: &Key) {
    let Some(mut pod) = world.store.get(key).cloned() else {
        return;
    };
    if is_ending(&pod) {
        return;
    }
    let grace = world.nature.grace;
    pod["metadata"]["deletionTimestamp"] = json!(world.time().to_string());
    set(&mut pod, "servesUntil", Some(world.now() + grace));
    let lingers = behaviour(world, &pod).lingers;
    world.plan(grace + lingers, Due::Pod(key.clone(), Step::Gone));
    world.commit(&Author::cluster(), key, pod);
}

/// Whether it was told to end.
pub fn is_ending(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_some()
}

/// Whether it is ready, and was not told to end.
pub fn is_ready(pod: &Value) -> bool {
    ready_at(pod).is_some() && !is_ending(pod)
}

/// Since when it is ready.
pub fn ready_at(pod: &Value) -> Option<Duration> {
    time(pod, "readyAt")
}

/// Since when its container runs.
pub fn started_at(pod: &Value) -> Option<Duration> {
    time(pod, "startedAt")
}

/// Until when it answers, if it was told to end.
pub fn serves_until(pod: &Value) -> Option<Duration> {
    time(pod, "servesUntil")
}

/// Whether a request that arrives now is answered.
pub fn serves(pod: &Value, now: Duration) -> bool {
    started_at(pod).is_some()
        && !is_broken(pod)
        && serves_until(pod).is_none_or(|until| now < until)
}

/// Whether it answers nobody, though it was not told to end.
pub fn is_broken(pod: &Value) -> bool {
    time(pod, "brokeAt").is_some()
}

/// Whether it has ever lost its readiness by itself.
pub fn has_fallen(pod: &Value) -> bool {
    time(pod, "fellAt").is_some()
}

/// How often its container has crashed.
fn crashes(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"]
        .as_u64()
        .unwrap_or(0)
}

fn is_of_job(pod: &Value) -> bool {
    pod.pointer("/metadata/ownerReferences/0/kind")
        .is_some_and(|kind| kind == "Job")
}

fn time(pod: &Value, field: &str) -> Option<Duration> {
    pod["status"][field].as_u64().map(Duration::from_millis)
}

/// Sets one of our own fields.
pub(super) fn set(pod: &mut Value, field: &str, time: Option<Duration>) {
    if let Some(time) = time {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        pod["status"][field] = json!(millis);
    } else if let Some(status) = pod["status"].as_object_mut() {
        status.remove(field);
    }
}

fn set_ready(world: &World, pod: &mut Value, ready: bool) {
    let status = if ready { "True" } else { "False" };
    pod["status"]["conditions"] = json!([{
        "type": "Ready", "status": status, "lastTransitionTime": world.time().to_string(),
    }]);
    if let Some(container) = pod.pointer_mut("/status/containerStatuses/0/ready") {
        *container = json!(ready);
    }
}
