//! The proxies: where a request that comes in now may go. Each of them follows Ingresses, HTTPRoutes and EndpointSlices up to
//! a second late, so that everything that held during the last second may still hold for one of them.
//!
//! Not here: how many requests there are (`traffic`).

mod routing;
mod timeline;

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use serde_json::Value;

pub use self::routing::{Routing, Shares, routing, shares};
use self::timeline::Timeline;
use super::{
    actors::kubelet,
    nature::{Entry, Mood, Nature},
    store::{By, Change, Key, Objects},
};
use crate::api::names::ApiNames;

/// What leads a Service to one version.
static PIN: LazyLock<String> = LazyLock::new(|| ApiNames::default().pod_template_hash);

/// The namespace of everything that traffic is led by.
pub const NAMESPACE: &str = "default";

/// How long nobody can be blamed for a Service whose pods are gone by themselves, beyond what the controller may take: the
/// time until everybody knows.
const SPREADS: Duration = Duration::from_secs(3);

/// All proxies together.
#[derive(Clone, Debug)]
pub struct Proxy {
    entry: Entry,
    lag: Duration,
    /// How long the controller may take to lead traffic elsewhere when pods break.
    patience: Duration,
    routing: Timeline<Routing>,
    endpoints: BTreeMap<Key, Timeline<Endpoints>>,
    /// When somebody else last took out what leads a Service to one version.
    let_loose: BTreeMap<String, Duration>,
    /// Requests come in. [`super::world::World::open_traffic`] sets it.
    pub open: bool,
    /// How many combinations of views were looked at, so that a check that checks nothing is seen.
    pub looks: u64,
}

/// Where a Service leads.
#[derive(Clone, Debug, PartialEq)]
struct Endpoints {
    ready: Vec<Key>,
    /// Some of its pods were ready, and are not any more, though nobody told them to end.
    fell: bool,
}

/// Where a share of the requests goes.
#[derive(Clone, Debug)]
pub(super) struct Path<'a> {
    /// The share of all requests, 0 to 1.
    pub(super) share: f64,
    /// The pod; `None` if there is no route, or no endpoint.
    pub(super) pod: Option<&'a Key>,
}

impl Proxy {
    /// Proxies that know nothing yet.
    pub fn new(nature: &Nature) -> Self {
        Self {
            entry: nature.entry.clone(),
            lag: nature.proxy_lag,
            patience: nature.bring_back,
            routing: Timeline::default(),
            endpoints: BTreeMap::new(),
            let_loose: BTreeMap::new(),
            open: false,
            looks: 0,
        }
    }

    /// How late any of them may be.
    pub fn lag(&self) -> Duration {
        self.lag
    }

    /// Takes a change into account.
    pub fn follow(&mut self, store: &Objects, change: &Change, nature: &Nature) {
        let since = change.at.saturating_sub(self.lag);
        match change.key.plural {
            // What the Gateways' controller does not accept does not come to the proxies.
            "httproutes" if nature.gateway.mood == Mood::Refuses => {}
            "httproutes" | "ingresses" | "services" => {
                self.read(store, change.at);
                if lets_loose(change) {
                    self.let_loose.insert(change.key.name.clone(), change.at);
                }
            }
            "endpointslices" => {
                let mut endpoints = Endpoints::read(store, change);
                let known = self.endpoints.entry(change.key.clone()).or_default();
                // Those that come in place of pods that fell are no better until one of them is ready.
                let last = known.at(change.at);
                endpoints.fell |= endpoints.ready.is_empty()
                    && last.is_some_and(|last| last.ready.is_empty() && last.fell);
                known.set(change.at, endpoints, since);
            }
            _ => {}
        }
    }

    /// Takes the routes as they are now.
    pub(super) fn read(&mut self, store: &Objects, now: Duration) {
        let since = now.saturating_sub(self.lag);
        let routing = routing(store, &self.entry).unwrap_or_default();
        self.routing.set(now, routing, since);
    }

    /// The ways in which a request may be lost now.
    pub fn lost(&mut self, store: &Objects, now: Duration) -> Vec<String> {
        if !self.open {
            return Vec::new();
        }
        let since = now.saturating_sub(self.lag);
        let mut lost = Vec::new();
        for (_, routing) in self.routing.recent(since) {
            if routing.shares.is_empty() {
                lost.push("a request finds no route".to_owned());
            }
            let shares = routing.shares.iter().filter(|(_, share)| **share > 0);
            for service in shares.map(|(service, _)| service).chain(&routing.picked) {
                let Some(all) = self.endpoints.get(&slice(service)) else {
                    lost.push(format!("a request to {service} finds no endpoints at all"));
                    continue;
                };
                for (at, endpoints) in all.recent(since) {
                    self.looks += 1;
                    if endpoints.ready.is_empty() && !self.is_excused(store, endpoints, at, now) {
                        lost.push(format!("a request to {service} may find no endpoint"));
                    }
                    for pod in &endpoints.ready {
                        let object = store.get(pod);
                        // That a pod breaks is nobody's fault.
                        let answers = object.is_some_and(|object| {
                            kubelet::serves(object, now) || kubelet::is_broken(object)
                        });
                        if !answers && !self.is_loose(service, now) {
                            lost.push(format!(
                                "a request to {service} may go to pod {}, which does not serve",
                                pod.name
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

    /// Whether nobody can be blamed: pods broke, and the controller had no time, or nobody else could serve either.
    fn is_excused(
        &self,
        store: &Objects,
        empty: &Endpoints,
        since: Duration,
        now: Duration,
    ) -> bool {
        empty.fell
            && (now.saturating_sub(since) <= self.patience + self.lag + SPREADS
                || !store
                    .list("pods")
                    .any(|(_, pod)| kubelet::is_ready(pod) && kubelet::serves(pod, now)))
    }

    /// Whether the Service may lead to every version, and the controller had no time yet: it may just then have taken away what nothing
    /// led to before.
    fn is_loose(&self, service: &str, now: Duration) -> bool {
        self.let_loose
            .get(service)
            .is_some_and(|at| now.saturating_sub(*at) <= self.patience + self.lag + SPREADS)
    }

    /// Where the requests go at this time that a proxy shares out that is so late; and when that may be otherwise. Of a
    /// share of the requests it is known that they have a header for which there may be a rule.
    pub(super) fn paths(
        &self,
        time: Duration,
        lag: Duration,
        with_header: f64,
    ) -> (Vec<Path<'_>>, Duration) {
        let seen = time.saturating_sub(lag);
        let mut until = self.routing.change_after(seen);
        let nowhere = Path {
            share: 1.0,
            pod: None,
        };
        let Some(routing) = self.routing.at(seen) else {
            return (vec![nowhere], until.map_or(Duration::MAX, |at| at + lag));
        };
        let picked = if routing.picked.is_empty() {
            0.0
        } else {
            with_header
        };
        let mut paths = Vec::new();
        for (service, share) in routing.services(picked) {
            let endpoints = self.endpoints.get(&slice(service));
            let ready = endpoints
                .and_then(|endpoints| endpoints.at(seen))
                .map_or(&[][..], |endpoints| &endpoints.ready);
            let change = endpoints.and_then(|endpoints| endpoints.change_after(seen));
            until = until.into_iter().chain(change).min();
            if ready.is_empty() {
                paths.push(Path { share, pod: None });
            }
            let part = share / f64::from(u32::try_from(ready.len()).unwrap_or(u32::MAX).max(1));
            paths.extend(ready.iter().map(|pod| Path {
                share: part,
                pod: Some(pod),
            }));
        }
        if paths.is_empty() {
            paths.push(nowhere);
        }
        (paths, until.map_or(Duration::MAX, |at| at + lag))
    }
}

impl Endpoints {
    fn read(store: &Objects, change: &Change) -> Self {
        let endpoints = change
            .after()
            .and_then(|slice| slice["endpoints"].as_array())
            .map_or(&[][..], Vec::as_slice);
        let pod = |endpoint: &Value| {
            let name = endpoint["targetRef"]["name"].as_str()?;
            Some(Key::new("pods", &change.key.namespace, name))
        };
        Self {
            ready: endpoints
                .iter()
                .filter(|endpoint| endpoint["conditions"]["ready"] == true)
                .filter_map(pod)
                .collect(),
            fell: endpoints
                .iter()
                .filter_map(pod)
                .any(|pod| store.get(&pod).is_some_and(kubelet::has_fallen)),
        }
    }
}

/// Whether somebody else has taken out what leads a Service to one version.
fn lets_loose(change: &Change) -> bool {
    let pin = |object: &Value| {
        object["spec"]["selector"][&*PIN]
            .as_str()
            .map(str::to_owned)
    };
    let was = change.before.as_deref().and_then(pin);
    change.key.plural == "services"
        && change.by != By::Controller
        && was.is_some()
        && change.after().is_some_and(|after| pin(after) != was)
}

/// The slice of a Service.
fn slice(service: &str) -> Key {
    Key::new("endpointslices", NAMESPACE, &format!("{service}-slice"))
}
