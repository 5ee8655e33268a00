//! The proxies: where a request that comes in now may go. Each of them follows Ingresses and EndpointSlices up to a second
//! late, so that everything that held during the last second may still hold for one of them.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    actors::pod_serves,
    store::{Change, Key, Objects},
    world::Entry,
};

/// How late a proxy may be.
const LAG: Duration = Duration::from_secs(1);
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
const WEIGHT_TOTAL: &str = "nginx.ingress.kubernetes.io/canary-weight-total";
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";

/// Shares of the traffic by Service; they add up to the whole.
pub type Shares = BTreeMap<String, i64>;

#[derive(Clone, Debug)]
/// Values with the time since which each held; the last one holds now.
struct Timeline<T>(Vec<(Duration, T)>);

impl<T: PartialEq> Timeline<T> {
    fn set(&mut self, at: Duration, value: T) {
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            self.0.push((at, value));
        }
    }

    /// What held at some moment of the last `LAG`.
    fn recent(&self, now: Duration) -> impl Iterator<Item = &T> {
        let since = now.saturating_sub(LAG);
        let first = self
            .0
            .partition_point(|(at, _)| *at <= since)
            .saturating_sub(1);
        self.0[first..].iter().map(|(_, value)| value)
    }
}

/// All proxies together.
#[derive(Clone, Debug)]
pub struct Proxy {
    entry: Entry,
    shares: Timeline<Shares>,
    endpoints: BTreeMap<Key, Timeline<Vec<String>>>,
    /// Requests come in.
    pub open: bool,
    /// How many combinations of views were looked at, so that a check that checks nothing is seen.
    pub looks: u64,
}

impl Proxy {
    /// Proxies that know nothing yet.
    pub fn new(entry: Entry) -> Self {
        Self {
            entry,
            shares: Timeline(Vec::new()),
            endpoints: BTreeMap::new(),
            open: false,
            looks: 0,
        }
    }

    /// Takes a change into account.
    pub fn follow(&mut self, store: &Objects, change: &Change) {
        match change.key.plural {
            "ingresses" | "services" => match shares(store, &self.entry) {
                Ok(shares) => self.shares.set(change.at, shares),
                Err(_) => self.shares.set(change.at, Shares::new()),
            },
            "endpointslices" => {
                let ready = change.after().map(ready_pods).unwrap_or_default();
                self.endpoints
                    .entry(change.key.clone())
                    .or_insert(Timeline(Vec::new()))
                    .set(change.at, ready);
            }
            _ => {}
        }
    }

    /// The ways in which a request may be lost now.
    pub fn lost(&mut self, store: &Objects, now: Duration) -> Vec<String> {
        if !self.open {
            return Vec::new();
        }
        let mut lost = Vec::new();
        for shares in self.shares.recent(now) {
            if shares.is_empty() {
                lost.push("a request finds no route".to_owned());
            }
            for (service, _) in shares.iter().filter(|(_, share)| **share > 0) {
                let slice = Key::new("endpointslices", "default", &format!("{service}-slice"));
                let Some(endpoints) = self.endpoints.get(&slice) else {
                    lost.push(format!("a request to {service} finds no endpoints at all"));
                    continue;
                };
                for pods in endpoints.recent(now) {
                    self.looks += 1;
                    if pods.is_empty() {
                        lost.push(format!("a request to {service} may find no endpoint"));
                    }
                    for pod in pods {
                        let object = store.get(&Key::new("pods", "default", pod));
                        if !object.is_some_and(|object| pod_serves(object, now)) {
                            lost.push(format!(
                                "a request to {service} may go to pod {pod}, which does not serve"
                            ));
                        }
                    }
                }
            }
        }
        lost.sort();
        lost.dedup();
        lost
    }
}

fn ready_pods(slice: &Value) -> Vec<String> {
    slice["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .filter_map(|endpoint| endpoint["targetRef"]["name"].as_str().map(str::to_owned))
        .collect()
}

/// How the traffic is shared among Services by what the store says now. An error says what is wrong with a weight.
pub fn shares(store: &Objects, entry: &Entry) -> Result<Shares, String> {
    let ingress = match entry {
        Entry::Service(name) => return Ok(Shares::from([(name.clone(), 100)])),
        Entry::Ingress(name) => name,
    };
    let Some(stable) = store.get(&Key::new("ingresses", "default", ingress)) else {
        return Ok(Shares::new());
    };
    let backend = |object: &Value| {
        object
            .pointer("/spec/rules/0/http/paths/0/backend/service/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let annotation = |object: &Value, key: &str| {
        object["metadata"]["annotations"][key]
            .as_str()
            .map(str::to_owned)
    };
    let canaries: Vec<&Value> = store
        .list("ingresses")
        .map(|(_, object)| object)
        .filter(|object| annotation(object, CANARY).as_deref() == Some("true"))
        .collect();
    let mut shares = Shares::new();
    match canaries.as_slice() {
        [] => {
            shares.insert(backend(stable), 100);
        }
        [canary] => {
            let number = |key: &str, default: &str| {
                let text = annotation(canary, key).unwrap_or_else(|| default.to_owned());
                text.parse::<i64>()
                    .map_err(|_| format!("{key} is {text}, no integer"))
            };
            let (weight, total) = (number(WEIGHT, "0")?, number(WEIGHT_TOTAL, "100")?);
            if weight < 0 || weight > total {
                return Err(format!("the weight {weight} is not within 0 to {total}"));
            }
            *shares.entry(backend(canary)).or_default() += weight;
            *shares.entry(backend(stable)).or_default() += total - weight;
        }
        several => return Err(format!("{} canary Ingresses", several.len())),
    }
    Ok(shares)
}
