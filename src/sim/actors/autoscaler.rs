//! The controller of HorizontalPodAutoscalers: every 15 s it sets the size of its target by the requests that its pods get.
//!
//! A pod is at 100 % with `Nature::capacity` requests per second. Only a target utilization of one resource is modelled.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Due, kubelet};
use crate::sim::{
    resources,
    selector::Selector,
    store::{Author, Change, Key},
    traffic,
    world::World,
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(15);
/// How far the utilization may be from the target without a consequence.
const TOLERANCE: f64 = 0.1;
/// How long the highest size that was wanted holds, where the object does not say it.
const STABILIZATION: u64 = 300;

pub(super) fn react(world: &mut World, change: &Change) {
    if change.key.plural == "horizontalpodautoscalers" && change.before.is_none() {
        world.plan(EVERY, Due::Autoscaler(change.key.clone()));
    }
}

pub(super) fn sync(world: &mut World, key: &Key) {
    let Some(autoscaler) = world.store.get(key).cloned() else {
        world.actors.wanted_replicas.remove(key);
        return;
    };
    world.plan(EVERY, Due::Autoscaler(key.clone()));
    let Some((target, mut object)) = target(world, key, &autoscaler) else {
        return;
    };
    let spec = &autoscaler["spec"];
    let size = object["spec"]["replicas"].as_i64().unwrap_or(1);
    if size == 0 {
        // Switched off by a person.
        return;
    }
    let current = ["HPAReplicas", "replicas"]
        .iter()
        .find_map(|field| object["status"][*field].as_i64())
        .unwrap_or(0);
    let wanted = utilization(world, &object).map_or(size, |utilization| {
        let aim = spec.pointer("/metrics/0/resource/target/averageUtilization");
        let ratio = utilization / aim.and_then(Value::as_f64).unwrap_or(80.0).max(1.0);
        if (ratio - 1.0).abs() <= TOLERANCE {
            current
        } else {
            // It never grows to more than twice the size, or by more than 4.
            ceiling(ratio, current).min((2 * current).max(current + 4))
        }
    });
    let seconds = spec.pointer("/behavior/scaleDown/stabilizationWindowSeconds");
    let window = Duration::from_secs(seconds.and_then(Value::as_u64).unwrap_or(STABILIZATION));
    let now = world.now();
    let past = world.actors.wanted_replicas.entry(key.clone()).or_default();
    past.push((now, wanted));
    past.retain(|(at, _)| *at + window >= now);
    let wanted = past
        .iter()
        .map(|(_, wanted)| *wanted)
        .max()
        .unwrap_or(wanted);
    let least = spec["minReplicas"].as_i64().unwrap_or(1);
    let most = spec["maxReplicas"].as_i64().unwrap_or(i64::MAX).max(least);
    let wanted = wanted.clamp(least, most);
    let author = Author {
        manager: "horizontal-pod-autoscaler".to_owned(),
        ..Author::cluster()
    };
    if wanted != size {
        object["spec"]["replicas"] = json!(wanted);
        world.commit(&author, &target, object);
    }
    let mut autoscaler = autoscaler;
    autoscaler["status"] = json!({"currentReplicas": current, "desiredReplicas": wanted});
    world.commit(&author, key, autoscaler);
}

/// What it scales.
fn target(world: &World, key: &Key, autoscaler: &Value) -> Option<(Key, Value)> {
    let reference = &autoscaler["spec"]["scaleTargetRef"];
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let resource = resources::of_kind(world.store.api(), text("apiVersion"), text("kind"))?;
    let target = Key::new(resource.plural, &key.namespace, text("name"));
    let object = world.store.get(&target)?.clone();
    Some((target, object))
}

/// How busy the pods are that the target's selector selects, in percent. `None` where there are none that are ready.
fn utilization(world: &mut World, object: &Value) -> Option<f64> {
    let selector = selector(object)?;
    let rates = world.traffic.rates(&world.proxy, world.now());
    let mut pods = 0_u32;
    let mut revisions = std::collections::BTreeSet::new();
    for (_, pod) in world.store.list("pods") {
        if selector.matches(pod) && kubelet::is_ready(pod) {
            pods += 1;
            revisions.insert(traffic::revision(pod));
        }
    }
    let rate: f64 = revisions
        .iter()
        .filter_map(|revision| rates.get(revision))
        .sum();
    let capacity = f64::from(pods) * world.nature.capacity;
    (capacity > 0.0).then(|| 100.0 * rate / capacity)
}

/// Which pods the target's scale subresource names: a text in the status, or else the labels in the spec.
fn selector(object: &Value) -> Option<Selector> {
    if let Some(text) = object["status"]["selector"].as_str() {
        return Selector::parse(text).ok();
    }
    let labels = object
        .pointer("/spec/selector/matchLabels")
        .or_else(|| object.pointer("/spec/template/metadata/labels"))?;
    let labels = labels.as_object()?.iter();
    let terms: Vec<String> = labels
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    Selector::parse(&terms.join(",")).ok()
}

/// So many times `ratio`, rounded up.
fn ceiling(ratio: f64, current: i64) -> i64 {
    let current = u32::try_from(current).unwrap_or(0);
    let wanted = (ratio * f64::from(current)).ceil();
    i64::try_from(traffic::chance::number(wanted)).unwrap_or(i64::MAX)
}
