//! What a spec must fulfil before anything moves forward, and whether what it names exists.
//!
//! Abort, rollback and scaling go on while something is wrong here. Not here: the pod template, which the API server checks.

mod bake;
mod blue_green;
mod canary_scale;
mod experiment;
mod header_routes;
mod routes;
mod sizes;

use std::fmt;

use super::{
    analyses, anti_affinity, ephemeral_metadata, header_routes::live as live_routes, pass::Pass,
    restart, workload,
};
use crate::{
    analysis::templates::TemplatesError,
    api::{
        analysis::RolloutAnalysis,
        canary::CanaryStrategy,
        duration,
        pod_template::PodTemplate,
        rollout::{Amount, RolloutSpec},
        steps::{CanaryStep, StepKind},
        traffic_routing::TrafficRouting,
    },
    rollout::snapshot::{RefusalKind, ServiceView},
    traffic::{Desired, Split},
};
use routes::check_routes;

/// One thing that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, from the object's root.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// All errors in one line.
pub(super) fn describe(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Everything that is wrong with `spec` by itself.
pub fn validate(spec: &RolloutSpec) -> Result<(), Vec<FieldError>> {
    let mut errors = Errors(Vec::new());
    errors.0.extend(workload::problems(spec));
    errors.0.extend(restart::problems(spec));
    if let Some(strategy) = spec.strategy.declared() {
        errors.0.extend(anti_affinity::problems(strategy));
        errors
            .0
            .extend(ephemeral_metadata::problems(spec, strategy));
    }
    if let Some(window) = &spec.rollback_window
        && window.revisions.is_none_or(|revisions| revisions < 1)
    {
        errors.add(
            "spec.rollbackWindow.revisions",
            "must be at least 1: how many revisions back need no steps",
        );
    }
    check_strategy(spec, &mut errors);
    check_template(spec, &mut errors);
    if spec.progress_deadline_seconds() <= spec.min_ready_seconds {
        errors.add(
            "spec.progressDeadlineSeconds",
            "must be greater than spec.minReadySeconds",
        );
    }
    if errors.0.is_empty() {
        Ok(())
    } else {
        Err(errors.0)
    }
}

struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            path: path.into(),
            message: message.into(),
        });
    }

    fn unsupported(&mut self, path: &str, set: bool) {
        if set {
            self.add(path, "is not supported yet; remove it");
        }
    }
}

fn check_strategy(spec: &RolloutSpec, errors: &mut Errors) {
    match (&spec.strategy.canary, &spec.strategy.blue_green) {
        (None, None) => errors.add(
            "spec.strategy",
            "set exactly one of canary and blueGreen; none is set",
        ),
        (Some(_), Some(_)) => errors.add(
            "spec.strategy",
            "set exactly one of canary and blueGreen; both are set",
        ),
        (None, Some(blue_green)) => blue_green::check(blue_green, spec, errors),
        (Some(canary), None) => {
            check_canary(canary, errors);
            experiment::check(spec, canary, errors);
        }
    }
    if let Some(strategy) = spec.strategy.declared() {
        bake::check(strategy, errors);
    }
}

fn check_template(spec: &RolloutSpec, errors: &mut Errors) {
    if spec.workload_ref.is_some() && spec.template.is_none() {
        // It is in another object, which may be out of sight.
        return;
    }
    let Some(template) = &spec.template else {
        return errors.add("spec.template", "is required");
    };
    let Some(selector) = &spec.selector else {
        return errors.add("spec.selector", "is required");
    };
    let labels = template.labels();
    let wanted = selector.match_labels.clone().unwrap_or_default();
    if wanted.is_empty()
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
    {
        return errors.add(
            "spec.selector",
            "is empty and would select every pod; set matchLabels",
        );
    }
    for (key, value) in wanted {
        if labels.get(&key) != Some(&value) {
            errors.add(
                "spec.template.metadata.labels",
                format!("must have {key}: {value}, as spec.selector says"),
            );
        }
    }
}

fn check_canary(canary: &CanaryStrategy, errors: &mut Errors) {
    let at = |field: &str| format!("spec.strategy.canary.{field}");
    errors.unsupported(&at("pingPong"), canary.ping_pong.is_some());
    if canary.canary_service.is_some() && canary.canary_service == canary.stable_service {
        errors.add(
            at("canaryService"),
            "must be another Service than stableService: each selects one version",
        );
    }
    match &canary.traffic_routing {
        Some(routing) => check_routing(canary, routing, errors),
        None => {
            for (field, set) in [
                (
                    "scaleDownDelaySeconds",
                    canary.scale_down_delay_seconds.is_some(),
                ),
                (
                    "abortScaleDownDelaySeconds",
                    canary.abort_scale_down_delay_seconds.is_some(),
                ),
                (
                    "scaleDownDelayRevisionLimit",
                    canary.scale_down_delay_revision_limit.is_some(),
                ),
            ] {
                if set {
                    errors.add(
                        at(field),
                        "works only with trafficRouting; remove it or add a router",
                    );
                }
            }
        }
    }
    check_amounts(canary, errors);
    let max = canary.max_weight();
    for (index, step) in canary.steps.iter().enumerate() {
        check_step(step, &at(&format!("steps[{index}]")), max, errors);
    }
    if let Some(analysis) = canary.bake.as_ref().and_then(|bake| bake.analysis.as_ref()) {
        check_analysis(analysis, &at("bake.analysis"), errors);
    }
    canary_scale::check(canary, errors);
    header_routes::check(canary, errors);
    sizes::check(canary, errors);
    if let Some(background) = &canary.analysis {
        check_analysis(&background.analysis, &at("analysis"), errors);
        let starting = background.starting_step.unwrap_or(0);
        if usize::try_from(starting).map_or(true, |starting| starting >= canary.steps.len().max(1))
        {
            errors.add(
                at("analysis.startingStep"),
                format!(
                    "must be the index of a step; there are {}",
                    canary.steps.len()
                ),
            );
        }
    }
}

fn check_amounts(canary: &CanaryStrategy, errors: &mut Errors) {
    let mut zeros = 0;
    for (field, amount) in [
        ("maxSurge", &canary.max_surge),
        ("maxUnavailable", &canary.max_unavailable),
    ] {
        let bad = match amount {
            None => false,
            Some(Amount::Int(number)) => {
                zeros += i32::from(*number == 0);
                *number < 0
            }
            Some(Amount::String(text)) => {
                let number = text.strip_suffix('%').unwrap_or(text).parse::<i32>();
                zeros += i32::from(number == Ok(0));
                number.map_or(true, |number| !(0..=100).contains(&number))
            }
        };
        if bad {
            errors.add(
                format!("spec.strategy.canary.{field}"),
                "must be a number of pods or a percentage from 0% to 100%",
            );
        }
    }
    if zeros == 2 {
        errors.add(
            "spec.strategy.canary.maxUnavailable",
            "must not be 0 when maxSurge is 0: nothing could move",
        );
    }
}

fn check_routing(canary: &CanaryStrategy, routing: &TrafficRouting, errors: &mut Errors) {
    let at = |field: &str| format!("spec.strategy.canary.trafficRouting.{field}");
    let TrafficRouting {
        // `header_routes::check` looks at them.
        managed_routes: _,
        max_traffic_weight,
        nginx,
        istio,
        alb,
        smi,
        ambassador,
        traefik,
        apisix,
        app_mesh,
        gateway_api,
        plugins,
    } = routing;
    let others = [
        ("istio", istio),
        ("alb", alb),
        ("smi", smi),
        ("ambassador", ambassador),
        ("traefik", traefik),
        ("apisix", apisix),
        ("appMesh", app_mesh),
    ];
    for (field, router) in others {
        errors.unsupported(&at(field), router.is_some());
    }
    if max_traffic_weight.is_some_and(|max| max < 100) {
        errors.add(
            at("maxTrafficWeight"),
            "must be at least 100: ingress-nginx reads less as 100",
        );
    }
    check_routes(gateway_api.as_ref(), plugins.as_ref(), errors);
    let no_other = others.iter().all(|(_, router)| router.is_none())
        && gateway_api.is_none()
        && plugins.is_none();
    match nginx {
        None if no_other => {
            errors.add(
                "spec.strategy.canary.trafficRouting",
                "names no router; set nginx or gatewayAPI, or remove trafficRouting",
            );
        }
        Some(nginx) if nginx.ingresses().is_empty() => {
            errors.add(
                at("nginx"),
                "set stableIngress or stableIngresses to the Ingress that routes to stableService",
            );
        }
        Some(nginx) if nginx.stable_ingress.is_some() && !nginx.stable_ingresses.is_empty() => {
            errors.add(
                at("nginx"),
                "set stableIngress or stableIngresses, not both",
            );
        }
        None | Some(_) => {}
    }
    for (field, service) in [
        ("canaryService", &canary.canary_service),
        ("stableService", &canary.stable_service),
    ] {
        if service.is_none() {
            errors.add(
                format!("spec.strategy.canary.{field}"),
                "is required with trafficRouting",
            );
        }
    }
}

fn check_step(step: &CanaryStep, path: &str, max: i32, errors: &mut Errors) {
    match step.kind() {
        None => {
            let members = step.members();
            let found = if members.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", members.join(", "))
            };
            errors.add(path, format!("a step has exactly one member; {found}"));
        }
        Some(StepKind::SetWeight(weight)) => {
            if !(0..=max).contains(&weight) {
                errors.add(
                    format!("{path}.setWeight"),
                    format!("must be 0 to {max}; it is {weight}"),
                );
            }
        }
        Some(StepKind::Pause(pause)) => {
            if let Some(length) = &pause.duration
                && let Err(error) = duration::seconds_or_duration(length)
            {
                errors.add(format!("{path}.pause.duration"), error.to_string());
            }
        }
        Some(StepKind::Analysis(analysis)) => {
            check_analysis(analysis, &format!("{path}.analysis"), errors);
        }
        // `canary_scale::check`, `header_routes::check` and `experiment::check` look at all of them.
        Some(
            StepKind::SetCanaryScale(_) | StepKind::SetHeaderRoute(_) | StepKind::Experiment(_),
        ) => {}
        Some(StepKind::Unsupported(name)) => errors.unsupported(&format!("{path}.{name}"), true),
    }
}

fn check_analysis(analysis: &RolloutAnalysis, path: &str, errors: &mut Errors) {
    if analysis.templates.is_empty() {
        errors.add(
            format!("{path}.templates"),
            "names no template; an empty analysis would prove nothing",
        );
    }
}

/// Stops forward moves where the spec, or what it names, is not right.
pub(super) fn check(pass: &mut Pass<'_>) {
    workload::heed(pass);
    let mut wrong = workload::validate_resolved(pass);
    let template = pass.spec.template.clone();
    let strategy = pass.strategy;
    for (field, name) in strategy.services() {
        match pass.snapshot.services.get(name) {
            None => pass.missing.push(format!("Service {name}")),
            Some(service) => {
                if let Some(message) = unfit(
                    service,
                    template.as_ref(),
                    &pass.snapshot.names.pod_template_hash,
                ) {
                    wrong.push(FieldError {
                        path: format!("spec.strategy.{}.{field}", strategy.name()),
                        message,
                    });
                }
            }
        }
    }
    pass.missing.extend(pass.observed.missing.clone());
    if let Some(routing) = strategy.traffic_routing() {
        wrong.extend(routes::in_other_namespaces(
            routing,
            &pass.snapshot.rollout.namespace,
        ));
    }
    let live = Desired {
        header_routes: live_routes(pass),
        ..Desired::split(Split {
            canary: pass.observed.highest,
            max: pass.max_weight(),
        })
    };
    if let Some(Err(message)) = pass.render(live) {
        wrong.push(FieldError {
            path: "spec.strategy.canary.trafficRouting".to_owned(),
            message,
        });
    }
    for problem in analyses::template_problems(pass) {
        match problem {
            TemplatesError::Missing(key) => pass.missing.push(key.shown()),
            TemplatesError::Unreadable { .. }
            | TemplatesError::Cycle(_)
            | TemplatesError::TooDeep(_) => wrong.push(FieldError {
                path: "spec.strategy".to_owned(),
                message: problem.to_string(),
            }),
        }
    }
    for (field, error) in analyses::unusable(pass) {
        wrong.push(FieldError {
            path: format!("spec.strategy.{}.{field}", strategy.name()),
            message: error.to_string(),
        });
    }
    if let Some(refusal) = &pass.snapshot.refusal
        && refusal.kind == RefusalKind::Invalid
    {
        wrong.push(FieldError {
            path: "spec.template".to_owned(),
            message: refusal.message.clone(),
        });
    }
    if !wrong.is_empty() {
        let message = describe(&wrong);
        pass.stop_forward(format!("the spec to be corrected: {message}"));
        pass.invalid = Some(message);
    } else if !pass.missing.is_empty() {
        pass.stop_forward(format!("{} to exist", pass.missing.join(", ")));
    }
}

/// Why a Service cannot be used, if so.
fn unfit(
    service: &ServiceView,
    template: Option<&PodTemplate>,
    hash_label: &str,
) -> Option<String> {
    let name = &service.name;
    if service.type_ == "ExternalName" {
        return Some(format!(
            "Service {name} is of type ExternalName and selects no pods; use a Service with a selector"
        ));
    }
    if let Some(other) = &service.also_used_by {
        return Some(format!(
            "Service {name} is also used by Rollout {other}; each Rollout needs its own Services"
        ));
    }
    let mut own = service
        .selector
        .iter()
        .filter(|(key, _)| *key != hash_label)
        .peekable();
    if own.peek().is_none() {
        return Some(format!(
            "Service {name} has no selector; give it one that selects the Rollout's pods"
        ));
    }
    // Of a template that is not in sight nothing can be said.
    let labels = template?.labels();
    own.find(|(key, value)| labels.get(*key) != Some(value))
        .map(|(key, value)| {
            format!(
                "Service {name} selects {key}: {value}, which the pods of spec.template do not have"
            )
        })
}
