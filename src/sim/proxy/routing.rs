//! Which Services the objects that lead traffic name, and for which share of the requests.
//!
//! Of an HTTPRoute the first rule without a header match takes what is not picked by header; of an Ingress its first path.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::NAMESPACE;
use crate::sim::{
    nature::Entry,
    store::{Key, Objects},
};

const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
const WEIGHT_TOTAL: &str = "nginx.ingress.kubernetes.io/canary-weight-total";
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
const BY_HEADER: &str = "nginx.ingress.kubernetes.io/canary-by-header";
/// The most that a `backendRef` may weigh.
const MOST: i64 = 1_000_000;

/// Shares of the traffic by Service; they add up to the whole.
pub type Shares = BTreeMap<String, i64>;

/// Where requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Shares of the requests that no other rule picks.
    pub shares: Shares,
    /// Services to which other rules lead: by a header, or by a path.
    pub picked: BTreeSet<String>,
}

impl Routing {
    /// The share of all requests that each Service gets, 0 to 1, where this share of them is picked by another rule.
    pub(super) fn services(&self, picked: f64) -> impl Iterator<Item = (&str, f64)> {
        let total = float(self.shares.values().sum::<i64>()).max(1.0);
        let rules = float(i64::try_from(self.picked.len()).unwrap_or(i64::MAX)).max(1.0);
        let shared = self
            .shares
            .iter()
            .filter(|(_, share)| **share > 0)
            .map(move |(service, share)| (service, (1.0 - picked) * float(*share) / total));
        let other = self
            .picked
            .iter()
            .filter(move |_| picked > 0.0)
            .map(move |service| (service, picked / rules));
        shared
            .chain(other)
            .map(|(service, share)| (service.as_str(), share))
    }
}

/// Weights are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(weight: i64) -> f64 {
    weight as f64
}

/// Where requests go by what the store says now. An error says what is wrong with a weight.
pub fn routing(store: &Objects, entry: &Entry) -> Result<Routing, String> {
    match entry {
        Entry::Service(name) => Ok(Routing {
            shares: Shares::from([(name.clone(), 100)]),
            picked: BTreeSet::new(),
        }),
        Entry::Ingress(name) => by_ingress(store, name),
        Entry::HttpRoute(name) => store
            .get(&Key::new("httproutes", NAMESPACE, name))
            .map_or(Ok(Routing::default()), by_route),
    }
}

/// How the traffic is shared among Services by what the store says now. An error says what is wrong with a weight.
pub fn shares(store: &Objects, entry: &Entry) -> Result<Shares, String> {
    routing(store, entry).map(|routing| routing.shares)
}

fn by_ingress(store: &Objects, name: &str) -> Result<Routing, String> {
    let mut routing = Routing::default();
    let Some(stable) = store.get(&Key::new("ingresses", NAMESPACE, name)) else {
        return Ok(routing);
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
    let shares = &mut routing.shares;
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
            if annotation(canary, BY_HEADER).is_some() {
                routing.picked.insert(backend(canary));
            }
        }
        several => return Err(format!("{} canary Ingresses", several.len())),
    }
    Ok(routing)
}

fn by_route(route: &Value) -> Result<Routing, String> {
    let mut routing = Routing::default();
    let rules = route["spec"]["rules"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let main = rules.iter().position(|rule| !matches_headers(rule));
    for (index, rule) in rules.iter().enumerate() {
        for backend in rule["backendRefs"].as_array().into_iter().flatten() {
            let service = backend["name"].as_str().unwrap_or_default().to_owned();
            let weight = match backend.get("weight") {
                None | Some(Value::Null) => 1,
                Some(weight) => weight
                    .as_i64()
                    .filter(|weight| (0..=MOST).contains(weight))
                    .ok_or_else(|| {
                        format!("the weight {weight} of {service} is not within 0 to {MOST}")
                    })?,
            };
            if Some(index) == main {
                *routing.shares.entry(service).or_default() += weight;
            } else if weight > 0 {
                routing.picked.insert(service);
            }
        }
    }
    if routing.shares.values().sum::<i64>() == 0 {
        routing.shares.clear();
    }
    Ok(routing)
}

/// Whether the rule takes only requests with certain headers.
fn matches_headers(rule: &Value) -> bool {
    let matches = rule["matches"].as_array().map_or(&[][..], Vec::as_slice);
    !matches.is_empty()
        && matches
            .iter()
            .all(|one| one["headers"].as_array().is_some_and(|all| !all.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_rule_without_headers_shares_and_the_others_pick() {
        let backend = |name: &str, weight: Value| json!({"name": name, "weight": weight});
        let header = json!([{"headers": [{"name": "X-Beta", "value": "1"}]}]);
        let split = |stable: i64, canary: i64| json!({"backendRefs": [backend("stable", json!(stable)), backend("canary", json!(canary))]});
        let picks = json!({"matches": header, "backendRefs": [backend("canary", Value::Null)]});
        let of = |rules: Value| by_route(&json!({"spec": {"rules": rules}}));
        let routing = |shares: &[(&str, i64)], picked: &[&str]| {
            Ok(Routing {
                shares: shares
                    .iter()
                    .map(|(name, weight)| ((*name).to_owned(), *weight))
                    .collect(),
                picked: picked.iter().map(|name| (*name).to_owned()).collect(),
            })
        };
        for (rules, expected) in [
            (json!([]), routing(&[], &[])),
            (
                json!([split(80, 20)]),
                routing(&[("stable", 80), ("canary", 20)], &[]),
            ),
            (json!([split(0, 0)]), routing(&[], &[])),
            (
                json!([picks, split(100, 0)]),
                routing(&[("stable", 100), ("canary", 0)], &["canary"]),
            ),
            (
                json!([{"backendRefs": [backend("stable", Value::Null)]}]),
                routing(&[("stable", 1)], &[]),
            ),
            (
                json!([split(101, -1)]),
                Err("the weight -1 of canary is not within 0 to 1000000".to_owned()),
            ),
        ] {
            assert_eq!(of(rules.clone()), expected, "{rules}");
        }
    }
}
