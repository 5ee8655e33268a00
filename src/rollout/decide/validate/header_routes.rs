//! What `setHeaderRoute` steps and `managedRoutes` must fulfil: everything that a router cannot do is said before anything starts.
//!
//! Not here: what a route must have for them (`crate::traffic::gateway_api`).

use super::Errors;
use crate::{
    api::{
        canary::CanaryStrategy,
        gateway_api::PLUGIN,
        steps::{CanaryScale, SetCanaryScale, SetHeaderRoute},
        traffic_routing::{NginxRouting, TrafficRouting},
    },
    traffic::{header_routes::in_effect, ingress_nginx::headers},
};

const ROUTING: &str = "spec.strategy.canary.trafficRouting";
/// What a rule by header or cookie is called in annotations.
const RULE: &str = "canary-by-";

pub(super) fn check(canary: &CanaryStrategy, errors: &mut Errors) {
    let routing = canary.traffic_routing.as_ref();
    if let Some(routing) = routing {
        check_managed(routing, errors);
    }
    for (index, step) in canary.steps.iter().enumerate() {
        let at = format!("spec.strategy.canary.steps[{index}].setHeaderRoute");
        match (&step.set_header_route, routing) {
            (None, _) => {}
            (Some(_), None) => errors.add(
                at,
                "works only with trafficRouting; remove it or add a router",
            ),
            (Some(route), Some(routing)) => check_route(route, routing, &at, errors),
        }
    }
    if let Some(routing) = routing {
        check_together(canary, routing, errors);
    }
}

fn check_managed(routing: &TrafficRouting, errors: &mut Errors) {
    for (index, route) in routing.managed_routes.iter().enumerate() {
        let at = format!("{ROUTING}.managedRoutes[{index}].name");
        let before = &routing.managed_routes[..index];
        if before.iter().any(|other| other.name == route.name) {
            errors.add(
                at,
                format!("{} is there twice; name each route once", route.name),
            );
        } else if !is_subdomain(&route.name) {
            errors.add(
                at,
                "must be lower-case letters, digits, - and . (at most 200), as the name of a route's rule is",
            );
        }
    }
}

fn is_subdomain(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let labels = || name.split('.').map(str::as_bytes);
    name.len() <= 200
        && labels().all(|label| {
            label.first().is_some_and(|c| fits(*c))
                && label.last().is_some_and(|c| fits(*c))
                && label.iter().all(|c| fits(*c) || *c == b'-')
        })
}

fn check_route(route: &SetHeaderRoute, routing: &TrafficRouting, at: &str, errors: &mut Errors) {
    let managed = &routing.managed_routes;
    if !managed.iter().any(|managed| managed.name == route.name) {
        errors.add(
            format!("{at}.name"),
            format!(
                "{} must be one of trafficRouting.managedRoutes; add it there",
                route.name
            ),
        );
    }
    for (index, header) in route.matches.iter().enumerate() {
        let at = format!("{at}.match[{index}]");
        if !is_token(&header.header_name) {
            errors.add(format!("{at}.headerName"), "must be the name of a header");
        }
        let before = &route.matches[..index];
        if before
            .iter()
            .any(|other| other.header_name.eq_ignore_ascii_case(&header.header_name))
        {
            errors.add(
                format!("{at}.headerName"),
                format!(
                    "{} is there twice, and a request must match all; join them in a regex",
                    header.header_name
                ),
            );
        }
        match header.header_value.kind() {
            Some(_) => {}
            None => errors.add(
                format!("{at}.headerValue"),
                "set exactly one of exact, prefix and regex",
            ),
        }
    }
    if routing.nginx.is_some()
        && !route.matches.is_empty()
        && let Err(why) = headers::annotations(route)
    {
        errors.add(format!("{at}.match"), why);
    }
}

/// The name of a header, as HTTP defines it.
fn is_token(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.len() <= 256 && name.chars().all(fits)
}

/// What header routes of several steps must fulfil together.
fn check_together(canary: &CanaryStrategy, routing: &TrafficRouting, errors: &mut Errors) {
    let steps = &canary.steps;
    let set = || steps.iter().any(|step| step.set_header_route.is_some());
    if let Some(nginx) = &routing.nginx
        && set()
    {
        check_annotations(nginx, errors);
    }
    let routes = routing.routes();
    if set() && !routes.is_empty() && !routes.iter().any(|route| route.header_routes) {
        errors.add(
            format!("{ROUTING}.plugins.{PLUGIN}.httpRoutes"),
            "none of them has useHeaderRoutes, which setHeaderRoute steps need; set it on one",
        );
    }
    for index in 0..steps.len() {
        let at = format!("spec.strategy.canary.steps[{index}]");
        let routes = in_effect(routing, steps, index);
        let (true, Some(first)) = (
            steps[index].set_header_route.is_some() || steps[index].set_canary_scale.is_some(),
            routes.first(),
        ) else {
            continue;
        };
        if let (Some(_), [.., second]) = (&routing.nginx, &routes[1..]) {
            errors.add(
                format!("{at}.setHeaderRoute"),
                format!(
                    "{} and {} would be in effect together, and ingress-nginx knows one header route at a time; remove one before, by a step without match",
                    first.name, second.name
                ),
            );
        }
        let mut scales = steps[..=index]
            .iter()
            .rev()
            .filter_map(|step| step.set_canary_scale.as_ref());
        if let Some(CanaryScale::Replicas(0) | CanaryScale::Weight(0)) =
            scales.next().and_then(SetCanaryScale::scale)
        {
            errors.add(
                at,
                format!(
                    "the header route {} is in effect while setCanaryScale leaves no pod to answer; remove one of them",
                    first.name
                ),
            );
        }
    }
}

/// A header route is written to the same annotations that may be declared.
fn check_annotations(nginx: &NginxRouting, errors: &mut Errors) {
    let rule = format!("{}/{RULE}", nginx.prefix());
    let additional = nginx.additional_ingress_annotations.keys();
    let additional = additional
        .filter(|key| key.starts_with(RULE))
        .map(|key| ("additionalIngressAnnotations", key));
    let verbatim = nginx.canary_ingress_annotations.keys();
    let verbatim = verbatim
        .filter(|key| key.starts_with(&rule))
        .map(|key| ("canaryIngressAnnotations", key));
    for (field, key) in additional.chain(verbatim) {
        errors.add(
            format!("{ROUTING}.nginx.{field}[{key}]"),
            "is what setHeaderRoute steps write; remove it, or the steps",
        );
    }
}
