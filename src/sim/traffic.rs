//! Requests: how many there are, where they go, and how they end, per revision.
//!
//! Several proxies share them, each with a view of its own age. Between two changes everything is constant but the rate, so
//! that counting needs no events: whoever wants to know advances it. Not here: whether a request could be lost at all, in
//! any combination of views (`proxy`), and what a metric server makes of the counts (`metrics`).

pub mod chance;
pub mod rate;

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    actors::{behaviour::Behaviour, kubelet},
    metrics::Backend,
    nature::Nature,
    proxy::Proxy,
    store::{Change, Key},
};
use crate::api::names::is_hash_label;
use rate::Rate;

/// How many proxies share the requests.
const PROXIES: u32 = 4;

/// What users do.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// How many requests come in.
    pub rate: Rate,
    /// The share of errors that every version has, 0 to 1.
    pub errors: f64,
    /// The share of requests with a header for which there may be a rule, 0 to 1.
    pub with_header: f64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            rate: Rate::None,
            errors: 0.0,
            with_header: 0.05,
        }
    }
}

/// What has become of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Requests that were answered.
    pub requests: u64,
    /// Those of them that were answered with an error of the application.
    pub errors: u64,
    /// Requests that nobody has answered.
    pub lost: u64,
    /// The sum of the times that answers took, in seconds.
    pub seconds: f64,
}

/// The traffic of a simulated cluster.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// What users do.
    pub load: Load,
    /// The metric server that reads the counts.
    pub backend: Backend,
    upto: Duration,
    pods: BTreeMap<Key, Pod>,
    /// Where requests go now, and until when that is so at the latest.
    flows: Option<(Vec<Flow>, Duration)>,
    counters: BTreeMap<String, Counters>,
    /// Parts of requests that are yet to come.
    carry: BTreeMap<(String, bool), f64>,
    random: fastrand::Rng,
}

/// What of a pod matters to a request.
#[derive(Clone, Debug)]
struct Pod {
    revision: String,
    object: std::sync::Arc<Value>,
    behaviour: Behaviour,
    started: Option<Duration>,
}

/// A part of the requests with one fate.
#[derive(Clone, Debug)]
struct Flow {
    revision: String,
    share: f64,
    lost: bool,
    errors: f64,
    latency: f64,
}

impl Traffic {
    /// Nothing has come in yet.
    pub fn new(nature: &Nature, seed: u64) -> Self {
        Self {
            load: nature.load.clone(),
            backend: Backend::new(nature.metrics.clone(), seed),
            upto: Duration::ZERO,
            pods: BTreeMap::new(),
            flows: None,
            counters: BTreeMap::new(),
            carry: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed ^ 0x7a11),
        }
    }

    /// What has become of requests until the last advance, by the hash of the pod template; those that found no pod at all
    /// count for the empty one.
    pub fn counters(&self) -> &BTreeMap<String, Counters> {
        &self.counters
    }

    /// Learns of a change. What came in before it has to be counted before.
    pub fn follow(&mut self, nature: &Nature, change: &Change) {
        if change.key.plural == "pods" {
            match change.after() {
                Some(object) => {
                    let pod = Pod {
                        revision: revision(object),
                        behaviour: nature.behaviour(image(object)),
                        started: kubelet::started_at(object),
                        object: change.object.clone(),
                    };
                    self.pods.insert(change.key.clone(), pod);
                }
                None => {
                    self.pods.remove(&change.key);
                }
            }
        }
        self.flows = None;
    }

    /// Counts what has come in until now.
    pub fn advance(&mut self, proxy: &Proxy, now: Duration) {
        let comes = proxy.open && self.load.rate != Rate::None;
        if !comes && self.counters.is_empty() {
            self.upto = self.upto.max(now);
            self.flows = None;
            return;
        }
        while self.upto < now {
            let scrape = self.backend.next_scrape();
            let mut next = now.min(scrape.max(self.upto));
            if comes {
                let (flows, until) = match self.flows.take() {
                    Some((flows, until)) if self.upto < until => (flows, until),
                    Some(_) | None => self.look(proxy),
                };
                next = next.min(until);
                self.count(&flows, next);
                self.flows = Some((flows, until));
            }
            self.upto = next;
            if scrape <= next {
                self.backend.scrape(&self.counters);
            }
        }
    }

    /// Requests may go elsewhere from now on.
    pub(super) fn turn(&mut self) {
        self.flows = None;
    }

    /// Requests per second that each revision gets now.
    pub fn rates(&mut self, proxy: &Proxy, now: Duration) -> BTreeMap<String, f64> {
        self.advance(proxy, now);
        if !proxy.open {
            return BTreeMap::new();
        }
        let rate = self.load.rate.at(now);
        let mut rates = BTreeMap::new();
        for flow in self.look(proxy).0.into_iter().filter(|flow| !flow.lost) {
            *rates.entry(flow.revision).or_default() += rate * flow.share;
        }
        rates
    }

    fn count(&mut self, flows: &[Flow], to: Duration) {
        let requests = self.load.rate.between(self.upto, to);
        for flow in flows {
            let carry = self
                .carry
                .entry((flow.revision.clone(), flow.lost))
                .or_default();
            let expected = requests * flow.share + *carry;
            // Sums of thirds are a little less than whole.
            let count = chance::number(expected + 1e-6);
            *carry = expected - chance::whole(count);
            let counters = self.counters.entry(flow.revision.clone()).or_default();
            if flow.lost {
                counters.lost += count;
            } else {
                counters.requests += count;
                counters.errors += chance::binomial(&mut self.random, count, flow.errors);
                counters.seconds += chance::whole(count) * flow.latency;
            }
        }
    }

    /// Where requests go from `upto` on, and until when at the latest.
    fn look(&self, proxy: &Proxy) -> (Vec<Flow>, Duration) {
        let (at, mut until) = (self.upto, Duration::MAX);
        let mut flows = BTreeMap::<(String, bool), Flow>::new();
        let part = 1.0 / f64::from(PROXIES);
        for number in 0..PROXIES {
            let lag = proxy.lag() * number / (PROXIES - 1);
            let (paths, change) = proxy.paths(at, lag, self.load.with_header);
            until = until.min(change);
            for path in paths {
                let pod = path.pod.and_then(|key| self.pods.get(key));
                let serves = pod.is_some_and(|pod| kubelet::serves(&pod.object, at));
                if let Some(change) = pod.and_then(|pod| pod.changes_after(at)) {
                    until = until.min(change);
                }
                let revision = pod.map(|pod| pod.revision.clone()).unwrap_or_default();
                let (errors, latency) = pod.map_or((0.0, 0.0), |pod| {
                    let age = at.saturating_sub(pod.started.unwrap_or(at));
                    let own = pod.behaviour.error_share_at(age);
                    let errors = 1.0 - (1.0 - own) * (1.0 - self.load.errors);
                    (errors, pod.behaviour.latency.as_secs_f64())
                });
                let share = path.share * part;
                let flow = flows
                    .entry((revision.clone(), !serves))
                    .or_insert_with(|| Flow {
                        revision,
                        share: 0.0,
                        lost: !serves,
                        errors: 0.0,
                        latency: 0.0,
                    });
                let before = flow.share / (flow.share + share).max(f64::MIN_POSITIVE);
                flow.share += share;
                flow.errors = flow.errors * before + errors * (1.0 - before);
                flow.latency = flow.latency * before + latency * (1.0 - before);
            }
        }
        (flows.into_values().collect(), until)
    }
}

impl Pod {
    /// When it becomes another one by itself.
    fn changes_after(&self, at: Duration) -> Option<Duration> {
        let errors = self
            .started
            .map(|started| started + self.behaviour.errors_after);
        [errors, kubelet::serves_until(&self.object)]
            .into_iter()
            .flatten()
            .filter(|change| *change > at)
            .min()
    }
}

/// Whether requests may go elsewhere after this change.
pub fn concerns(change: &Change) -> bool {
    matches!(
        change.key.plural,
        "pods" | "endpointslices" | "services" | "ingresses" | "httproutes"
    )
}

/// The hash of the pod template that a pod has; that of a Deployment's pod where it has no other.
pub fn revision(pod: &Value) -> String {
    let labels = pod["metadata"]["labels"].as_object();
    let hash = labels.and_then(|labels| {
        labels
            .iter()
            .find(|(key, _)| is_hash_label(key))
            .or_else(|| labels.get_key_value("pod-template-hash"))
    });
    hash.and_then(|(_, value)| value.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The image of its first container.
pub fn image(pod: &Value) -> &str {
    pod.pointer("/spec/containers/0/image")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
