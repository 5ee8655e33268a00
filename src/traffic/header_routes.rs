//! Header routes as steps declare them: which are in effect in a step, and how their values are written as expressions.
//!
//! Not here: when they may be live (`rollout::decide::header_routes`), and how a router writes them.

use crate::api::{
    steps::{CanaryStep, SetHeaderRoute},
    traffic_routing::TrafficRouting,
};

/// The header routes in effect in the step at `index`, in the order of `managedRoutes`; after the last step those of
/// the last.
pub fn in_effect<'a>(
    routing: &TrafficRouting,
    steps: &'a [CanaryStep],
    index: usize,
) -> Vec<&'a SetHeaderRoute> {
    let begun = steps.get(..=index).unwrap_or(steps);
    let managed = routing.managed_routes.iter();
    managed
        .filter_map(|managed| {
            let mut routes = begun
                .iter()
                .rev()
                .filter_map(|step| step.set_header_route.as_ref());
            routes.find(|route| route.name == managed.name)
        })
        .filter(|route| !route.matches.is_empty())
        .collect()
}

/// Every header route that any step sets.
pub fn declared(steps: &[CanaryStep]) -> impl Iterator<Item = &SetHeaderRoute> {
    let routes = steps
        .iter()
        .filter_map(|step| step.set_header_route.as_ref());
    routes.filter(|route| !route.matches.is_empty())
}

/// The most header routes that are in effect in one step.
pub fn most_at_once(routing: &TrafficRouting, steps: &[CanaryStep]) -> usize {
    let all = (0..steps.len()).map(|index| in_effect(routing, steps, index).len());
    all.max().unwrap_or(0)
}

/// A text as a regular expression that matches itself.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "json!() is handed over as it is"
)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn step(name: &str, value: Value) -> Value {
        let matches = value
            .as_str()
            .map(|value| json!({"headerName": "x", "headerValue": {"exact": value}}));
        json!({"setHeaderRoute": {"name": name, "match": matches.into_iter().collect::<Vec<_>>()}})
    }

    #[test]
    fn a_route_is_in_effect_from_its_step_until_it_is_removed_in_the_order_of_managed_routes() {
        let steps: Vec<CanaryStep> = serde_json::from_value(json!([
            {"setWeight": 10},
            step("late", json!("1")),
            step("early", json!("2")),
            step("late", json!("3")),
            step("early", json!(null)),
            step("late", json!(null)),
        ]))
        .unwrap();
        let managed =
            json!({"managedRoutes": [{"name": "early"}, {"name": "late"}, {"name": "never"}]});
        let routing: TrafficRouting = serde_json::from_value(managed).unwrap();
        let values = |index: usize| {
            let routes = in_effect(&routing, &steps, index).into_iter();
            let shown = routes
                .map(|route| format!("{}={}", route.name, route.matches[0].header_value.exact));
            shown.collect::<Vec<_>>().join(" ")
        };
        for (index, expected) in [
            (0, ""),
            (1, "late=1"),
            (2, "early=2 late=1"),
            (3, "early=2 late=3"),
            (4, "late=3"),
            (5, ""),
            (6, ""),
        ] {
            assert_eq!(values(index), expected, "step {index}");
        }
        assert_eq!(most_at_once(&routing, &steps), 2);
        assert_eq!(declared(&steps).count(), 3);
    }

    #[test]
    fn a_literal_matches_itself_only() {
        assert_eq!(literal(r"a.b*(1)\d"), r"a\.b\*\(1\)\\d");
    }
}
