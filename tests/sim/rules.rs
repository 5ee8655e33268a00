//! The rules of traffic that hold after every commit, whatever happens. T1 and so on are their names in our lists.
//!
//! They are checked in their truth form: by the state of the server at the commit, not by what the controller knew.
//! Not here: whether requests are lost on the way (`proxy`).

mod facts;
mod steps;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use facts::Facts;
use jiff::Timestamp;
use tidegate::sim::{
    proxy,
    store::{By, Change, Objects},
    world::{Entry, Nature},
};

/// The least time that pods go on after the last route to them is gone.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Rules {
    entry: Entry,
    /// How long a live controller may take to bring traffic back once it is told.
    patience: Duration,
    last: Facts,
    /// When each version last had traffic.
    routed: BTreeMap<String, Duration>,
    /// When anything last went to the canary Service.
    canary_routed: Option<Duration>,
    /// Since when a given-up version has traffic that stable could serve.
    owed: Option<Duration>,
    /// How often each rule was put to the test.
    pub(super) tested: BTreeMap<&'static str, u64>,
}

impl Rules {
    pub(super) fn new(nature: &Nature) -> Self {
        Self {
            entry: nature.entry.clone(),
            patience: nature.bring_back,
            last: Facts::default(),
            routed: BTreeMap::new(),
            canary_routed: None,
            owed: None,
            tested: BTreeMap::new(),
        }
    }

    /// Nobody can be blamed for time in which there was no controller.
    pub(super) fn excuse(&mut self) {
        self.owed = None;
    }

    /// The rules that this change breaks.
    pub(super) fn check(
        &mut self,
        store: &Objects,
        change: &Change,
        now: Duration,
        time: Timestamp,
    ) -> Vec<String> {
        if !matches!(
            change.key.plural,
            "rollouts" | "replicasets" | "services" | "ingresses" | "analysisruns"
        ) {
            return Vec::new();
        }
        let mut broken = Vec::new();
        let shares = match proxy::shares(store, &self.entry) {
            Ok(shares) => shares,
            Err(why) => {
                broken.push(format!("T6: {why}"));
                proxy::Shares::new()
            }
        };
        let after = Facts::gather(store, shares, time);
        let before = std::mem::replace(&mut self.last, after.clone());
        for (hash, weight) in before.weights() {
            if weight > 0 {
                self.routed.insert(hash, now);
            }
        }
        if before.canary_weight > 0 {
            self.canary_routed = Some(now);
        }
        let routers = !matches!(self.entry, Entry::Service(_));
        if change.by == By::Controller {
            if routers {
                self.raise(&before, &after, &mut broken);
                self.lower(&before, &after, now, &mut broken);
                self.shape(&before, &after, now, &mut broken);
            }
            self.pointer(&before, &after, &mut broken);
        }
        if routers {
            self.bring_back(&after, now, &mut broken);
        } else {
            self.pod_ratio(&before, &after, change.by, &mut broken);
        }
        broken
            .into_iter()
            .map(|what| format!("{what} (by a write to {})", change.key))
            .collect()
    }

    fn test(&mut self, rule: &'static str) {
        *self.tested.entry(rule).or_default() += 1;
    }

    /// T1, T2, T10: only what can carry it gets traffic, and no more than its step says.
    fn raise(&mut self, before: &Facts, after: &Facts, broken: &mut Vec<String>) {
        for (role, was, is) in [
            ("stable", &before.stable_pin, &after.stable_pin),
            ("canary", &before.canary_pin, &after.canary_pin),
        ] {
            let Some(hash) = is.as_ref().filter(|hash| Some(*hash) != was.as_ref()) else {
                continue;
            };
            let available = after.available(hash);
            if after.switched && role == "canary" {
                // A preview has no traffic, and leads to a version before it has pods.
                continue;
            }
            self.test("T1");
            if after.switched && *hash == after.current && *hash != after.stable {
                self.test("T15");
                if after.abort || !(after.proven || after.promote_full) {
                    broken.push(format!("T15: {hash} goes live without a proof"));
                }
            }
            if available == 0 {
                broken.push(format!(
                    "T1: the {role} Service selects {hash}, of which no pod is available"
                ));
            }
            if was.is_none() && available < after.replicas {
                broken.push(format!("T1: the {role} Service of the user is narrowed to {hash}, of which {available} of {} pods are available", after.replicas));
            }
        }
        let old = before.weights();
        for (hash, weight) in after.weights() {
            if weight <= old.get(&hash).copied().unwrap_or(0) {
                continue;
            }
            self.test("T2");
            let (available, need) = (after.available(&hash), after.need(weight));
            if available < need {
                broken.push(format!("T2: {hash} gets {weight} of {}, which takes {need} pods, and has {available} available", after.total()));
            }
        }
        let (was, is) = (before.canary_weight, after.canary_weight);
        if is > was && after.stable != after.current {
            self.test("T10");
            let cap = steps::most(before, after.now);
            if is > cap {
                broken.push(format!(
                    "T10: the canary gets {is}, and step {} allows {cap}",
                    before.step
                ));
            }
        }
    }

    /// T3, T4, T5: pods go only when nothing is sent to them, and not at once.
    fn lower(&mut self, before: &Facts, after: &Facts, now: Duration, broken: &mut Vec<String>) {
        let weights = after.weights();
        for (hash, set) in &after.sets {
            let was = before.sets.get(hash).map_or(0, |set| set.replicas);
            if set.replicas >= was {
                continue;
            }
            let weight = weights.get(hash).copied().unwrap_or(0);
            self.test("T4");
            let need = after.need(weight);
            if set.replicas < need {
                broken.push(format!(
                    "T4: {hash} goes from {was} to {} pods, and its weight of {weight} takes {need}",
                    set.replicas
                ));
            }
            if let Some(last) = self.routed.get(hash).copied().filter(|_| set.replicas == 0) {
                self.test("T5");
                if now - last < DRAIN {
                    broken.push(format!(
                        "T5: {hash} goes to 0 pods {:?} after its last traffic",
                        now - last
                    ));
                }
            }
        }
        for (hash, weight) in &weights {
            let (pods, need) = (
                after.sets.get(hash).map_or(0, |set| set.replicas),
                after.need(*weight),
            );
            self.test("T3");
            let had = before.sets.get(hash).map_or(0, |set| set.replicas);
            let worse = pods < had || *weight > before.weights().get(hash).copied().unwrap_or(0);
            // Who asks for more pods in all has them a moment later.
            if *weight > 0 && pods < need && worse {
                broken.push(format!(
                    "T3: {hash} has a weight of {weight} and {pods} pods"
                ));
            }
        }
    }

    /// T6, T7, T8: what the objects that lead traffic look like.
    fn shape(&mut self, before: &Facts, after: &Facts, now: Duration, broken: &mut Vec<String>) {
        self.test("T7");
        for service in after.shares.keys() {
            if !after.services.contains(service) {
                broken.push(format!(
                    "T7: Service {service} has traffic and does not exist"
                ));
            }
        }
        for pin in after.stable_pin.iter().chain(&after.canary_pin) {
            if !after.sets.contains_key(pin) {
                broken.push(format!(
                    "T7: a Service selects {pin}, which no ReplicaSet has"
                ));
            }
        }
        for (role, was, is) in [
            ("stable", &before.stable_pin, &after.stable_pin),
            ("canary", &before.canary_pin, &after.canary_pin),
        ] {
            if was.is_some() && is.is_none() {
                broken.push(format!("T7: the {role} Service is led to every version"));
            }
        }
        if let Some(pin) = &before.canary_pin
            && before.canary_pin != after.canary_pin
        {
            if let Some(last) = self.canary_routed.filter(|_| *pin != after.stable) {
                self.test("T5");
                if now - last < DRAIN {
                    broken.push(format!(
                        "T5: the canary Service leaves {pin} {:?} after its last traffic",
                        now - last
                    ));
                }
            }
            self.test("T8");
            if before.canary_weight > 0 {
                broken.push(format!(
                    "T8: the canary Service is led from {:?} to {:?} with a weight of {}",
                    before.canary_pin, after.canary_pin, before.canary_weight
                ));
            }
        }
    }

    /// T12, T13: what was given up loses its traffic at once, where stable can serve it.
    fn bring_back(&mut self, after: &Facts, now: Duration, broken: &mut Vec<String>) {
        let owed = after.abort
            && after.stable != after.current
            && after.given_up_weight() > 0
            && after.available(&after.stable) >= after.replicas;
        if !owed {
            self.owed = None;
            return;
        }
        self.test("T12");
        let since = *self.owed.get_or_insert(now);
        if now - since > self.patience {
            broken.push(format!(
                "T12: {:?} after the update was given up the canary still has {}",
                now - since,
                after.given_up_weight()
            ));
        }
    }

    /// T14: stable changes with a promotion only, and is never taken away.
    fn pointer(&mut self, before: &Facts, after: &Facts, broken: &mut Vec<String>) {
        if before.stable != after.stable && !before.stable.is_empty() {
            self.test("T14");
            let promoted = after.stable == after.current
                && (after.step >= after.steps.len() || before.promote_full || after.promote_full);
            if !promoted {
                broken.push(format!(
                    "T14: stable goes from {} to {} in step {} of {}",
                    before.stable,
                    after.stable,
                    after.step,
                    after.steps.len()
                ));
            }
            let weight = after.weights().get(&after.stable).copied().unwrap_or(0);
            // A first version that never served is replaced before anything leads to either.
            let leads = after.stable_pin.is_some();
            if leads && !matches!(self.entry, Entry::Service(_)) && weight < after.total() {
                broken.push(format!(
                    "T14: {} becomes stable with a weight of {weight}",
                    after.stable
                ));
            }
        }
        let had = before.sets.get(&after.stable).map_or(0, |set| set.replicas);
        let has = after.sets.get(&after.stable).map_or(0, |set| set.replicas);
        if had > has
            && has < after.replicas
            && !after.dynamic
            && !matches!(self.entry, Entry::Service(_))
        {
            broken.push(format!(
                "T14: stable {} goes from {had} to {has} of {} pods",
                after.stable, after.replicas
            ));
        }
        // Without a router all of the weight means that stable has no pods left.
        let replaced = matches!(self.entry, Entry::Service(_))
            && after.available(&after.current) >= after.replicas;
        if had > 0 && has == 0 && after.replicas > 0 && !replaced {
            broken.push(format!("T14: stable {} is taken away", after.stable));
        }
    }

    /// Without a router: never fewer available pods, nor more pods in all, than the spec allows.
    fn pod_ratio(&mut self, before: &Facts, after: &Facts, by: By, broken: &mut Vec<String>) {
        if before.stable.is_empty() {
            return;
        }
        let sum = |facts: &Facts, of: fn(&facts::Set) -> i64| -> i64 {
            facts.sets.values().map(of).sum()
        };
        let floor = after.replicas - after.max_unavailable;
        let (was, is) = (
            sum(before, |set| set.available.min(set.replicas)),
            sum(after, |set| set.available.min(set.replicas)),
        );
        self.test("T2");
        if by == By::Controller && is < was && is < floor {
            broken.push(format!(
                "T2: {is} pods are left available, and {floor} must be"
            ));
        }
        let (was, is) = (
            sum(before, |set| set.replicas),
            sum(after, |set| set.replicas),
        );
        let most = after.replicas + after.max_surge;
        if by == By::Controller && is > was && is > most {
            broken.push(format!("{is} pods are asked for, and {most} are allowed"));
        }
    }
}
