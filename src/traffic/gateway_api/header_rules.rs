//! The rules that we add to a route for header routes: each a copy of a rule that splits, for requests with certain
//! headers, to the canary Service alone, right before the rule that it is copied from.
//!
//! Not here: when they are live (`rollout::decide::header_routes`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    list,
    marks::AtRest,
    patch::RoutePatch,
    rules::{self, Services, SplitRule},
};
use crate::{
    api::{
        steps::{CanaryStep, SetHeaderRoute, ValueMatch},
        template_hash,
        traffic_routing::TrafficRouting,
    },
    traffic::header_routes::{declared, literal, most_at_once},
};

/// What the Gateway API allows.
const MOST_RULES: usize = 16;
const MOST_MATCHES: usize = 128;
const MOST_HEADERS: usize = 16;

/// A rule of ours, as the annotation remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::traffic) struct AddedRule {
    /// Its name, where the cluster's definitions know names of rules.
    pub(super) name: String,
    /// A hash of all of it but the name.
    pub(super) print: String,
}

impl AddedRule {
    fn of(rule: &Value) -> Self {
        Self {
            name: name(rule).to_owned(),
            print: print(rule),
        }
    }
}

/// The places of our rules: those that are remembered, and those with the name of a managed route that send to the canary alone.
pub(super) fn ours(
    route: &Value,
    services: Services<'_>,
    managed: &[&str],
    at_rest: Option<&AtRest>,
) -> Vec<usize> {
    let remembered = at_rest.map_or(&[][..], |at_rest| &at_rest.added);
    let all = list(route, "/spec/rules").iter().enumerate();
    all.filter(|(_, rule)| {
        let (name, print) = (name(rule), print(rule));
        let known = remembered
            .iter()
            .any(|added| added.print == print || (!name.is_empty() && added.name == name));
        let is_managed = managed.iter().any(|managed| is_named_after(name, managed));
        known || (is_managed && sends_to_canary_alone(rule, services))
    })
    .map(|(index, _)| index)
    .collect()
}

fn name(rule: &Value) -> &str {
    rule.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn print(rule: &Value) -> String {
    let mut plain = rule.clone();
    if let Some(plain) = plain.as_object_mut() {
        plain.remove("name");
    }
    template_hash::hash(&plain)
}

/// `managed`, or `managed-rule-2` and so on, for copies of further rules.
fn is_named_after(name: &str, managed: &str) -> bool {
    name.strip_prefix(managed).is_some_and(|rest| {
        let number = rest.strip_prefix("-rule-").map(str::parse::<u8>);
        rest.is_empty() || matches!(number, Some(Ok(_)))
    })
}

fn sends_to_canary_alone(rule: &Value, services: Services<'_>) -> bool {
    let [only] = list(rule, "/backendRefs") else {
        return false;
    };
    rules::names(only, services.namespace, services.canary)
}

/// The rules for `routes` in front of the rule at `place` among those that split.
fn copies(route: &Value, rule: &SplitRule, place: usize, routes: &[&SetHeaderRoute]) -> Vec<Value> {
    let Some(original) = list(route, "/spec/rules").get(rule.index) else {
        return Vec::new();
    };
    let named = |name: &str| match place {
        0 => name.to_owned(),
        further => format!("{name}-rule-{}", further + 1),
    };
    let all = routes.iter();
    all.map(|wanted| copy(original, rule, &named(&wanted.name), wanted))
        .collect()
}

fn copy(original: &Value, rule: &SplitRule, name: &str, wanted: &SetHeaderRoute) -> Value {
    let mut copy = original.as_object().cloned().unwrap_or_default();
    copy.insert("name".to_owned(), name.into());
    let backend = rule.canary.first().and_then(|backend| {
        let all = list(original, "/backendRefs");
        all.get(backend.index)?.as_object().cloned()
    });
    let mut backend = backend.unwrap_or_default();
    backend.insert("weight".to_owned(), 1.into());
    copy.insert("backendRefs".to_owned(), json!([backend]));
    let everything = [json!({"path": {"type": "PathPrefix", "value": "/"}})];
    let matches = match list(original, "/matches") {
        [] => &everything[..],
        some => some,
    };
    let matches: Vec<Value> = matches.iter().map(|one| narrowed(one, wanted)).collect();
    copy.insert("matches".to_owned(), matches.into());
    copy.into()
}

/// A match that asks for the headers, too.
fn narrowed(original: &Value, wanted: &SetHeaderRoute) -> Value {
    let mut narrowed: Map<String, Value> = original.as_object().cloned().unwrap_or_default();
    let own = wanted.matches.iter().map(|header| {
        let (type_, value) = match header.header_value.kind() {
            Some(ValueMatch::Exact(value)) => ("Exact", value.to_owned()),
            // Some proxies match the whole value, others search in it: this is right for both.
            Some(ValueMatch::Prefix(value)) => {
                ("RegularExpression", format!("^{}.*", literal(value)))
            }
            Some(ValueMatch::Regex(value)) => ("RegularExpression", value.to_owned()),
            // `validate` has refused it: nothing has this value.
            None => ("Exact", String::new()),
        };
        json!({"type": type_, "name": header.header_name, "value": value})
    });
    let headers: Vec<Value> = list(original, "/headers")
        .iter()
        .cloned()
        .chain(own)
        .collect();
    narrowed.insert("headers".to_owned(), headers.into());
    narrowed.into()
}

/// Whether our rules are exactly those for `routes`, each where it belongs.
pub(super) fn are(
    route: &Value,
    split: &[SplitRule],
    ours: &[usize],
    routes: &[&SetHeaderRoute],
) -> bool {
    if ours.len() != split.len() * routes.len() {
        return false;
    }
    let all = list(route, "/spec/rules");
    split.iter().enumerate().all(|(place, rule)| {
        let wanted = copies(route, rule, place, routes);
        let Some(first) = rule.index.checked_sub(wanted.len()) else {
            return false;
        };
        let mut live = (first..).zip(&wanted);
        live.all(|(index, wanted)| {
            ours.contains(&index)
                && all
                    .get(index)
                    .is_some_and(|rule| print(rule) == print(wanted))
        })
    })
}

/// Takes our rules away. Indices of the rules after them change: this is for the end of a patch.
pub(super) fn remove(ours: &[usize], patch: &mut RoutePatch) {
    for index in ours.iter().rev() {
        patch.set(&["spec", "rules", &index.to_string()], None);
    }
}

/// Brings our rules to those for `routes`, at the end of a patch; returns what is to be remembered of them.
pub(super) fn set(
    route: &Value,
    split: &[SplitRule],
    ours: &[usize],
    routes: &[&SetHeaderRoute],
    patch: &mut RoutePatch,
) -> Vec<AddedRule> {
    let wanted: Vec<(usize, Vec<Value>)> = split
        .iter()
        .enumerate()
        .map(|(place, rule)| (rule.place, copies(route, rule, place, routes)))
        .collect();
    if !are(route, split, ours, routes) {
        remove(ours, patch);
        for (place, copies) in wanted.iter().rev() {
            for copy in copies.iter().rev() {
                patch.set(&["spec", "rules", &place.to_string()], Some(copy.clone()));
            }
        }
    }
    let all = wanted.iter().flat_map(|(_, copies)| copies);
    all.map(AddedRule::of).collect()
}

/// What is remembered of our rules as they are.
pub(super) fn remembered(route: &Value, ours: &[usize]) -> Vec<AddedRule> {
    let all = list(route, "/spec/rules");
    ours.iter()
        .filter_map(|index| all.get(*index))
        .map(AddedRule::of)
        .collect()
}

/// What in the route is in the way of the header routes of any step, if anything is.
pub(super) fn obstacle(
    routing: &TrafficRouting,
    steps: &[CanaryStep],
    route: &Value,
    split: &[SplitRule],
    ours: &[usize],
) -> Option<String> {
    let most = most_at_once(routing, steps);
    if most == 0 {
        return None;
    }
    let all = list(route, "/spec/rules");
    let users = || {
        let all = all.iter().enumerate();
        all.filter(|(index, _)| !ours.contains(index))
    };
    for (index, rule) in users() {
        let taken = declared(steps).find(|wanted| is_named_after(name(rule), &wanted.name));
        if let Some(taken) = taken {
            return Some(format!(
                "spec.rules[{index}] is called {}; rename it: the name is that of the header route {}",
                name(rule),
                taken.name
            ));
        }
    }
    let matches = |rule: &Value| list(rule, "/matches").len().max(1);
    let copied: usize = split.iter().map(|rule| matches(&all[rule.index])).sum();
    let rules = users().count() + most * split.len();
    let all_matches = users().map(|(_, rule)| matches(rule)).sum::<usize>() + most * copied;
    if rules > MOST_RULES || all_matches > MOST_MATCHES {
        return Some(format!(
            "with its header routes it would have {rules} rules and {all_matches} matches, and may have {MOST_RULES} and {MOST_MATCHES}; remove some"
        ));
    }
    for rule in split {
        for one in list(&all[rule.index], "/matches") {
            let headers = list(one, "/headers");
            for wanted in declared(steps) {
                let path = format!("spec.rules[{}].matches", rule.index);
                let twice = wanted.matches.iter().find(|wanted| {
                    headers
                        .iter()
                        .any(|header| name(header).eq_ignore_ascii_case(&wanted.header_name))
                });
                if let Some(twice) = twice {
                    return Some(format!(
                        "{path} asks for the header {} already; header route {} cannot ask for it again: use another header",
                        twice.header_name, wanted.name
                    ));
                }
                if headers.len() + wanted.matches.len() > MOST_HEADERS {
                    return Some(format!(
                        "{path} would ask for more than {MOST_HEADERS} headers with header route {}; remove some",
                        wanted.name
                    ));
                }
            }
        }
    }
    None
}
