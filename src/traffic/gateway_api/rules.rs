//! The rules of a route that split between the two Services: where their weights are, and what share they give.

use serde_json::Value;

use super::{
    list,
    marks::{AtRest, RuleAtRest},
    patch::RoutePatch,
};
use crate::{api::template_hash, traffic::Split};

/// The two Services.
#[derive(Clone, Copy, Debug)]
pub(in crate::traffic) struct Services<'a> {
    /// The namespace of all of them, and of the route.
    pub(in crate::traffic) namespace: &'a str,
    pub(in crate::traffic) stable: &'a str,
    pub(in crate::traffic) canary: &'a str,
}

/// A rule whose backends name both Services.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::traffic) struct SplitRule {
    /// Its place in `spec.rules`.
    pub(super) index: usize,
    /// Its place among the user's rules: those that we added do not count.
    pub(super) place: usize,
    /// Its name, if it has one.
    pub(super) name: Option<String>,
    /// A hash of all of it but these two weights: what it is told by when rules are inserted before it.
    pub(super) print: String,
    /// Backends with the stable Service: one, where the route is as it should be.
    pub(super) stable: Vec<Backend>,
    /// Backends with the canary Service.
    pub(super) canary: Vec<Backend>,
    /// Other backends have a weight, too.
    pub(super) others_weigh: bool,
}

/// A member of `backendRefs`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Backend {
    /// Its place.
    pub(super) index: usize,
    /// Its weight, if one is set; absent means 1.
    pub(super) weight: Option<i64>,
}

fn sum(backends: &[Backend]) -> i64 {
    backends
        .iter()
        .map(|backend| backend.weight.unwrap_or(1).max(0))
        .sum()
}

/// The rules that split, among those with one of these names, and not among `ours`; all rules where no name is given.
pub(in crate::traffic) fn splitting(
    route: &Value,
    services: Services<'_>,
    sections: &[&str],
    ours: &[usize],
) -> Vec<SplitRule> {
    let rules = list(route, "/spec/rules").iter().enumerate();
    rules
        .filter_map(|(index, rule)| {
            if ours.contains(&index) {
                return None;
            }
            let name = rule.get("name").and_then(Value::as_str);
            if !sections.is_empty() && !name.is_some_and(|name| sections.contains(&name)) {
                return None;
            }
            let place = index - ours.iter().filter(|added| **added < index).count();
            split_rule((index, place), name, rule, services)
        })
        .collect()
}

fn split_rule(
    (index, place): (usize, usize),
    name: Option<&str>,
    rule: &Value,
    services: Services<'_>,
) -> Option<SplitRule> {
    let mut split = SplitRule {
        index,
        place,
        name: name.map(str::to_owned),
        print: String::new(),
        stable: Vec::new(),
        canary: Vec::new(),
        others_weigh: false,
    };
    let mut plain = rule.clone();
    for (index, reference) in list(rule, "/backendRefs").iter().enumerate() {
        let weight = reference.get("weight").and_then(Value::as_i64);
        let backend = Backend { index, weight };
        if names(reference, services.namespace, services.stable) {
            split.stable.push(backend);
        } else if names(reference, services.namespace, services.canary) {
            split.canary.push(backend);
        } else {
            split.others_weigh |= weight != Some(0);
            continue;
        }
        let reference = plain.pointer_mut(&format!("/backendRefs/{index}"));
        if let Some(reference) = reference.and_then(Value::as_object_mut) {
            reference.remove("weight");
        }
    }
    split.print = template_hash::hash(&plain);
    (!split.stable.is_empty() && !split.canary.is_empty()).then_some(split)
}

pub(super) fn names(reference: &Value, namespace: &str, service: &str) -> bool {
    let is = |field: &str, default: &str, wanted: &str| {
        let text = reference.get(field).and_then(Value::as_str);
        text.unwrap_or(default) == wanted
    };
    is("name", "", service)
        && is("kind", "Service", "Service")
        && is("group", "", "")
        && is("namespace", namespace, namespace)
}

/// The least and the greatest share of the canary over all rules, in parts of `max`: rounded away from each other, so
/// that what is no whole part is never taken for one.
pub(super) fn shares(rules: &[SplitRule], max: i32) -> (i32, i32) {
    let parts: Vec<(i32, i32)> = rules
        .iter()
        .map(|rule| {
            let canary = sum(&rule.canary);
            let all = canary + sum(&rule.stable);
            if all == 0 {
                return (0, 0);
            }
            let product = canary * i64::from(max);
            let part = |number: i64| i32::try_from(number).unwrap_or(max);
            (
                part(product / all),
                part(product / all + i64::from(product % all != 0)),
            )
        })
        .collect();
    let lowest = parts.iter().map(|(lowest, _)| *lowest).min();
    let highest = parts.iter().map(|(_, highest)| *highest).max();
    (lowest.unwrap_or(0), highest.unwrap_or(0))
}

impl SplitRule {
    /// Writes the split, unless the rule has this share already.
    pub(super) fn set(&self, split: Split, patch: &mut RoutePatch) {
        let (canary, max) = (i64::from(split.canary), i64::from(split.max));
        let (to_stable, to_canary) = (sum(&self.stable), sum(&self.canary));
        let all = to_stable + to_canary;
        if all > 0 && to_canary * max == canary * all {
            return;
        }
        // More than one is refused; what is taken back must leave all of them.
        for (backends, weight) in [(&self.stable, max - canary), (&self.canary, canary)] {
            for (place, backend) in backends.iter().enumerate() {
                let weight = if place == 0 { weight } else { 0 };
                if backend.weight != Some(weight) {
                    self.write(backend.index, Some(weight), patch);
                }
            }
        }
    }

    /// Puts the declared weights back.
    pub(super) fn put_back(&self, declared: &RuleAtRest, patch: &mut RoutePatch) {
        for (backends, weight) in [
            (&self.stable, declared.stable),
            (&self.canary, declared.canary),
        ] {
            for backend in backends.iter().take(1) {
                if backend.weight != weight {
                    self.write(backend.index, weight, patch);
                }
            }
        }
    }

    fn write(&self, backend: usize, weight: Option<i64>, patch: &mut RoutePatch) {
        let (rule, backend) = (self.index.to_string(), backend.to_string());
        patch.set(
            &["spec", "rules", &rule, "backendRefs", &backend, "weight"],
            weight.map(Value::from),
        );
    }

    /// What was declared for this rule: what is remembered of it, or what it says where nothing is.
    pub(super) fn at_rest(&self, remembered: Option<&AtRest>, rules: &[Self]) -> RuleAtRest {
        let first = |backends: &[Backend]| backends.first().and_then(|backend| backend.weight);
        let (stable, canary) = match remembered.and_then(|all| self.remembered_by(all, rules)) {
            Some(known) => (known.stable, known.canary),
            None => (first(&self.stable), first(&self.canary)),
        };
        RuleAtRest {
            rule: self.place,
            print: self.print.clone(),
            stable,
            canary,
        }
    }

    /// The entry of this rule: by what it is, else by its place if the rule that was there has become this one.
    pub(super) fn remembered_by<'a>(
        &self,
        all: &'a AtRest,
        rules: &[Self],
    ) -> Option<&'a RuleAtRest> {
        let same = all
            .rules
            .iter()
            .filter(|entry| entry.print == self.print)
            .min_by_key(|entry| entry.rule.abs_diff(self.place));
        same.or_else(|| {
            let entry = all.rules.iter().find(|entry| entry.rule == self.place)?;
            let elsewhere = rules.iter().any(|rule| rule.print == entry.print);
            (!elsewhere).then_some(entry)
        })
    }
}
