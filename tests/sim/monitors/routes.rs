//! Where the traffic of a Rollout goes: Services, Ingresses, routes.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate::api::{
    names::ApiNames, rollout::RolloutSpec, strategy::Declared, traffic_routing::NginxRouting,
};

use super::view::View;

#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    /// The version that the stable or active Service leads to, if it leads to one alone.
    pub(super) stable_pin: Option<String>,
    /// The same of the canary or preview Service.
    pub(super) canary_pin: Option<String>,
    /// The highest weight of the canary Service anywhere.
    pub(super) canary_weight: i64,
    /// The lowest one.
    pub(super) canary_least: i64,
    /// Requests with a header, or a cookie, go to the canary Service.
    pub(super) by_header: bool,
    /// What is named and does not exist, as `services/web`.
    pub(super) missing: BTreeSet<String>,
    /// What is wrong with a weight.
    pub(super) wrong: Vec<String>,
    /// Ingresses and routes that have been read.
    read: BTreeSet<(&'static str, String)>,
}

impl Routes {
    pub(super) fn of(view: &View, keys: &ApiNames, namespace: &str, spec: &RolloutSpec) -> Self {
        let mut routes = Self::default();
        let Some(declared) = spec.strategy.declared() else {
            return routes;
        };
        let mut pin = |name: Option<&String>| {
            let name = name?;
            let Some(service) = view.get("services", namespace, name) else {
                routes.missing.insert(format!("services/{name}"));
                return None;
            };
            service["spec"]["selector"][&keys.pod_template_hash]
                .as_str()
                .map(str::to_owned)
        };
        let pins = [
            pin(declared.stable_service()),
            pin(declared.canary_service()),
        ];
        [routes.stable_pin, routes.canary_pin] = pins;
        for (_, analysis) in declared.analyses() {
            for template in &analysis.templates {
                let name = &template.template_name;
                if template.cluster_scope != Some(true)
                    && view.get("analysistemplates", namespace, name).is_none()
                {
                    routes.missing.insert(format!("analysistemplates/{name}"));
                }
            }
        }
        let mut weights = Vec::new();
        if let Some(routing) = declared.traffic_routing() {
            if let Some(nginx) = &routing.nginx {
                weights.push(routes.ingresses(view, namespace, declared, nginx));
            }
            let managed: Vec<&str> = routing
                .managed_routes
                .iter()
                .map(|route| route.name.as_str())
                .collect();
            for route in routing.routes() {
                weights.extend(routes.route(view, namespace, declared, (route.name, &managed)));
            }
        }
        routes.canary_weight = weights.iter().copied().max().unwrap_or(0);
        routes.canary_least = weights.iter().copied().min().unwrap_or(0);
        routes
    }

    pub(super) fn names(&self, plural: &str, name: &str) -> bool {
        self.read
            .iter()
            .any(|(of, read)| *of == plural && (read == name || read.is_empty()))
    }

    fn ingresses(
        &mut self,
        view: &View,
        namespace: &str,
        declared: Declared<'_>,
        nginx: &NginxRouting,
    ) -> i64 {
        // Any Ingress may become one with a share of the traffic.
        self.read.insert(("ingresses", String::new()));
        for stable in nginx.ingresses() {
            if view.get("ingresses", namespace, stable).is_none() {
                self.missing.insert(format!("ingresses/{stable}"));
            }
        }
        let (prefix, total) = (nginx.prefix(), i64::from(declared.max_weight()));
        let canary = declared.canary_service().map(String::as_str);
        let mut most = 0;
        for (key, ingress) in view.list_in("ingresses", namespace) {
            let annotation = |name: &str| {
                ingress["metadata"]["annotations"][format!("{prefix}/{name}")].as_str()
            };
            let backend = ingress
                .pointer("/spec/rules/0/http/paths/0/backend/service/name")
                .and_then(Value::as_str);
            if annotation("canary") != Some("true") || backend.is_none() || backend != canary {
                continue;
            }
            self.by_header |= annotation("canary-by-header").is_some()
                || annotation("canary-by-cookie").is_some();
            let number = |name: &str, default: &str| {
                let text = annotation(name).unwrap_or(default);
                text.parse::<i64>()
                    .map_err(|_| format!("{key}: {name} is {text}, no integer"))
            };
            match (
                number("canary-weight", "0"),
                number("canary-weight-total", "100"),
            ) {
                (Ok(weight), Ok(of)) if weight < 0 || weight > of || of != total => {
                    self.wrong.push(format!(
                        "{key}: a weight of {weight} of {of}, where {total} is all"
                    ));
                }
                (Ok(weight), Ok(_)) => most = most.max(weight),
                (Err(what), _) | (_, Err(what)) => self.wrong.push(what),
            }
        }
        most
    }

    fn route(
        &mut self,
        view: &View,
        namespace: &str,
        declared: Declared<'_>,
        (name, managed): (&str, &[&str]),
    ) -> Vec<i64> {
        self.read.insert(("httproutes", name.to_owned()));
        let Some(route) = view.get("httproutes", namespace, name) else {
            self.missing.insert(format!("httproutes/{name}"));
            return Vec::new();
        };
        let total = i64::from(declared.max_weight());
        let (stable, canary) = (declared.stable_service(), declared.canary_service());
        let mut found = Vec::new();
        for rule in route["spec"]["rules"].as_array().into_iter().flatten() {
            let sum = |service: Option<&String>| {
                let backends = rule["backendRefs"].as_array()?.iter();
                let ours =
                    backends.filter(|one| one["name"].as_str() == service.map(String::as_str));
                let weights: Vec<i64> = ours
                    .map(|one| one["weight"].as_i64().unwrap_or(1))
                    .collect();
                (!weights.is_empty()).then_some(weights)
            };
            match (sum(stable), sum(canary)) {
                (Some(stable), Some(canary)) => {
                    let all = stable.iter().chain(&canary);
                    if all.clone().any(|weight| !(0..=1_000_000).contains(weight)) {
                        self.wrong
                            .push(format!("httproutes/{name}: a weight out of its range"));
                        continue;
                    }
                    let (all, canary): (i64, i64) = (all.sum(), canary.iter().sum());
                    if all == 0 {
                        self.wrong
                            .push(format!("httproutes/{name}: all weights are 0"));
                        continue;
                    }
                    // What the user declared for times of rest is not of the whole that an update uses.
                    found.push(super::release::ceil(canary * total, all));
                }
                (None, Some(_)) => {
                    let rule = rule["name"].as_str().unwrap_or_default();
                    self.by_header |= managed.iter().any(|managed| rule.starts_with(managed));
                }
                (_, None) => {}
            }
        }
        found
    }
}
