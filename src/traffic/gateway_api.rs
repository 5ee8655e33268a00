//! Canary by the weights of the user's own Gateway API routes: in every rule that sends to both Services.
//!
//! Only `weight` of these two is written, and rules are added for header routes (`header_rules`); while the route differs
//! from what the user declared, it is marked (`marks`). Not here: putting routes of former Rollouts back (`super::restore`).

mod acceptance;
mod header_rules;
pub(super) mod marks;
mod patch;
mod rules;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{Desired, HeaderRoutes, Observed};
use crate::{
    api::{
        gateway_api::{RouteKind, RouteTarget},
        steps::{CanaryStep, SetHeaderRoute},
        traffic_routing::TrafficRouting,
    },
    rollout::{
        decision::{Action, Target},
        snapshot::{RouteView, Snapshot},
    },
};
use marks::AtRest;
use patch::RoutePatch;
use rules::{Services, SplitRule};

/// The router with what it needs of the spec.
#[derive(Clone, Copy, Debug)]
pub struct GatewayApi<'a> {
    /// `trafficRouting`: routes may be named in two of its fields.
    pub routing: &'a TrafficRouting,
    /// The steps: what any of them asks for has to be possible before the first.
    pub steps: &'a [CanaryStep],
    /// `stableService`.
    pub stable_service: &'a str,
    /// `canaryService`.
    pub canary_service: &'a str,
}

/// One route as this Rollout sees it.
struct Seen<'a> {
    shown: String,
    view: &'a RouteView,
    rules: Vec<SplitRule>,
    /// The places of the rules that we added.
    ours: Vec<usize>,
    /// What was declared, if the route has our mark.
    at_rest: Option<AtRest>,
    /// Another Rollout that is changing it.
    taken_by: Option<String>,
}

impl GatewayApi<'_> {
    pub(super) fn observe(
        &self,
        snapshot: &Snapshot,
        max: i32,
        rest_is_harmless: bool,
    ) -> Observed {
        let mut observed = Observed {
            confirms: true,
            ..Observed::default()
        };
        for (index, target) in self.routing.routes().iter().enumerate() {
            let Some(seen) = self.see(snapshot, target) else {
                observed.weights(index == 0, 0, 0);
                observed.missing.push(missing(snapshot, target));
                let exists = format!("{} {} to exist", target.kind.name(), target.name);
                observed.unconfirmed.get_or_insert(exists);
                continue;
            };
            let (lowest, highest) = rules::shares(&seen.rules, max);
            if seen.at_rest.is_none() && rest_is_harmless {
                observed.weights(index == 0, 0, 0);
                observed.resting = observed.resting.max(highest);
            } else {
                observed.weights(index == 0, lowest, highest);
                if highest > 0 || !seen.ours.is_empty() {
                    let kind = target.kind.name().to_lowercase();
                    observed.routes.push(format!("{kind}/{}", target.name));
                }
            }
            observed.by_header |= !seen.ours.is_empty();
            // Until the first write of ours the weights are the user's, whoever that is. Where our mark is gone while a
            // confirmed weight was live, somebody has replaced the whole route.
            if seen.at_rest.is_some() || (!rest_is_harmless && was_confirmed(snapshot)) {
                observed.written_by = observed.written_by.or(seen.view.rules_written_by.clone());
            }
            if let Some(other) = &seen.taken_by {
                let free = format!("Rollout {other} to be done with {}", seen.shown);
                observed.refused.get_or_insert(free);
            }
            let acceptance = acceptance::of(&seen.shown, &seen.view.object);
            observed.unconfirmed = observed.unconfirmed.or(acceptance.unconfirmed);
            observed.refused = observed.refused.or(acceptance.refused);
        }
        observed
    }

    pub(super) fn header_routes_are(
        &self,
        snapshot: &Snapshot,
        routes: &[&SetHeaderRoute],
    ) -> bool {
        self.routing.routes().iter().all(|target| {
            let wanted = if target.header_routes { routes } else { &[] };
            let seen = self.see(snapshot, target);
            seen.is_some_and(|seen| {
                header_rules::are(&seen.view.object, &seen.rules, &seen.ours, wanted)
            })
        })
    }

    pub(super) fn render(
        &self,
        snapshot: &Snapshot,
        desired: &Desired<'_>,
    ) -> Result<Vec<Action>, String> {
        let mut actions = Vec::new();
        for target in self.routing.routes() {
            // A missing route is told as a missing reference.
            let Some(seen) = self.see(snapshot, &target) else {
                continue;
            };
            if seen.taken_by.is_some() {
                continue;
            }
            let max = desired.split.max;
            let (_, live) = rules::shares(&seen.rules, max);
            let wrong = self.wrong(&seen, &target, max);
            // Whatever is wrong with the route, weight and header routes can always be taken back.
            let none = desired.header_routes == HeaderRoutes::Exactly(Vec::new());
            let mut desired = desired.clone();
            if !target.header_routes {
                desired.header_routes = HeaderRoutes::Exactly(Vec::new());
            }
            if let Some(wrong) = wrong {
                if desired.split.canary >= live && (!none || seen.ours.is_empty()) {
                    return Err(wrong);
                }
                if !none {
                    desired.header_routes = HeaderRoutes::Keep;
                }
            }
            actions.extend(self.change(snapshot, &seen, target.kind, &desired));
        }
        Ok(actions)
    }

    pub(super) fn rest(&self, snapshot: &Snapshot) -> Vec<Action> {
        let routes = self.routing.routes().into_iter();
        routes
            .filter_map(|target| {
                let seen = self.see(snapshot, &target)?;
                if seen.taken_by.is_some() {
                    return None;
                }
                let mut patch = marks::put_back(
                    &snapshot.names,
                    &seen.view.object,
                    &seen.view.resource_version,
                    seen.at_rest.as_ref(),
                    &self.managed(),
                );
                if seen.at_rest.is_none() {
                    header_rules::remove(&seen.ours, &mut patch);
                }
                (!patch.is_empty()).then(|| action(target.kind, seen.view, patch))
            })
            .collect()
    }

    fn see<'s>(&self, snapshot: &'s Snapshot, target: &RouteTarget<'_>) -> Option<Seen<'s>> {
        let key = (target.kind, target.name.to_owned());
        let view = snapshot.routes.get(&key)?;
        let services = Services {
            namespace: &snapshot.rollout.namespace,
            stable: self.stable_service,
            canary: self.canary_service,
        };
        let own = &snapshot.rollout.name;
        let at_rest = AtRest::read(&snapshot.names, &view.object);
        let label = marks::label(&snapshot.names, &view.object);
        let by = at_rest.as_ref().map(|at_rest| at_rest.rollout.clone());
        let at_rest = at_rest.filter(|at_rest| at_rest.rollout == *own);
        let ours = header_rules::ours(&view.object, services, &self.managed(), at_rest.as_ref());
        Some(Seen {
            shown: format!("{} {}", target.kind.name(), target.name),
            view,
            rules: rules::splitting(&view.object, services, &target.sections, &ours),
            ours,
            taken_by: by.or(label.map(str::to_owned)).filter(|other| other != own),
            at_rest,
        })
    }

    fn managed(&self) -> Vec<&str> {
        let routes = self.routing.managed_routes.iter();
        routes.map(|route| route.name.as_str()).collect()
    }

    /// What the user has to change in the route before it can be used.
    fn wrong(&self, seen: &Seen<'_>, target: &RouteTarget<'_>, max: i32) -> Option<String> {
        let Seen { shown, rules, .. } = seen;
        let (stable, canary) = (self.stable_service, self.canary_service);
        let unnamed = target.sections.iter().find(|section| {
            !rules
                .iter()
                .any(|rule| rule.name.as_deref() == Some(section))
        });
        if let Some(section) = unnamed {
            return Some(format!(
                "{shown} has no rule called {section} whose backendRefs name both Service {stable} and Service {canary}; correct sectionName or the rule"
            ));
        }
        if rules.is_empty() {
            return Some(format!(
                "{shown} has no rule whose backendRefs name both Service {stable} and Service {canary}; add {canary} with weight 0 beside {stable}"
            ));
        }
        for rule in rules {
            let path = format!("spec.rules[{}].backendRefs", rule.index);
            if rule.stable.len() > 1 || rule.canary.len() > 1 {
                return Some(format!(
                    "{shown}: {path} names a Service twice; name {stable} and {canary} once each"
                ));
            }
            let declared = rule.at_rest(seen.at_rest.as_ref(), rules);
            let sum = declared.stable.unwrap_or(1) + declared.canary.unwrap_or(1);
            if rule.others_weigh && sum != i64::from(max) {
                return Some(format!(
                    "{shown}: {path} also sends to other backends, whose share would change; let the weights of {stable} and {canary} add up to {max}: they are {sum}"
                ));
            }
        }
        if !target.header_routes {
            return None;
        }
        let route = &seen.view.object;
        header_rules::obstacle(self.routing, self.steps, route, rules, &seen.ours)
            .map(|why| format!("{shown}: {why}"))
    }

    fn change(
        &self,
        snapshot: &Snapshot,
        seen: &Seen<'_>,
        kind: RouteKind,
        desired: &Desired<'_>,
    ) -> Option<Action> {
        let route = &seen.view.object;
        let mut patch = RoutePatch::at(&seen.view.resource_version);
        for rule in &seen.rules {
            rule.set(desired.split, &mut patch);
        }
        let added = match &desired.header_routes {
            HeaderRoutes::Exactly(routes) => {
                header_rules::set(route, &seen.rules, &seen.ours, routes, &mut patch)
            }
            HeaderRoutes::Keep => header_rules::remembered(route, &seen.ours),
        };
        let lost_label =
            seen.at_rest.is_some() && marks::label(&snapshot.names, &seen.view.object).is_none();
        if patch.is_empty() && !lost_label {
            return None;
        }
        let at_rest = AtRest {
            rollout: snapshot.rollout.name.clone(),
            stable_service: self.stable_service.to_owned(),
            canary_service: self.canary_service.to_owned(),
            rules: seen
                .rules
                .iter()
                .map(|rule| rule.at_rest(seen.at_rest.as_ref(), &seen.rules))
                .collect(),
            added,
        };
        at_rest.mark(&snapshot.names, &seen.view.object, &mut patch);
        Some(action(kind, seen.view, patch))
    }
}

fn action(kind: RouteKind, view: &RouteView, patch: RoutePatch) -> Action {
    Action::PatchRoute {
        kind,
        target: Target {
            name: view.name.clone(),
            uid: String::new(),
            resource_version: view.resource_version.clone(),
        },
        patch: patch.finish(),
    }
}

fn missing(snapshot: &Snapshot, target: &RouteTarget<'_>) -> String {
    let shown = format!("{} {}", target.kind.name(), target.name);
    if snapshot.unserved.contains(&target.kind) {
        format!(
            "{shown} (the cluster does not serve {}: install the Gateway API's CustomResourceDefinitions)",
            target.kind.plural()
        )
    } else {
        shown
    }
}

fn was_confirmed(snapshot: &Snapshot) -> bool {
    let weights = snapshot.rollout.status.canary.weights.as_ref();
    weights.is_some_and(|weights| weights.verified == Some(true) && weights.canary.weight > 0)
}

/// A list in an object; empty where there is none.
fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
