//! Rules that span fields, in CEL, and the bounds that keep their cost within what the API server allows.
//!
//! Not here: what needs other objects or the controller's version (`rollout::decide::validate`, `analysis::validate`).
//! Every rule has its row in `tests/cluster/crds.rs`.

use serde_json::{Map, Value, json};

use super::CrdError;
use crate::api::names::Kind;

/// A rule on one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The field, from the object's root: `spec.steps[]` is each item of `spec.steps`.
    pub path: &'static str,
    /// What must hold, in CEL.
    pub rule: &'static str,
    /// What to do when it does not hold.
    pub message: &'static str,
}

/// A limit of one field.
struct Bound {
    path: &'static str,
    key: &'static str,
    value: u32,
}

const fn rule(path: &'static str, rule: &'static str, message: &'static str) -> Rule {
    Rule {
        path,
        rule,
        message,
    }
}

const fn bound(path: &'static str, key: &'static str, value: u32) -> Bound {
    Bound { path, key, value }
}

const ONE_STEP_MEMBER: &str = "[has(self.setWeight), has(self.pause), has(self.analysis), has(self.experiment), \
     has(self.setCanaryScale), has(self.setHeaderRoute), has(self.setMirrorRoute), has(self.plugin)]\
     .filter(set, set).size() == 1";

const ONE_PROVIDER: &str = "[has(self.prometheus), has(self.web), has(self.job), has(self.datadog), has(self.newRelic), \
     has(self.wavefront), has(self.cloudWatch), has(self.graphite), has(self.influxdb), has(self.skywalking), \
     has(self.kayenta), has(self.plugin)].filter(set, set).size() == 1";

const SELECTOR_MATCHES_TEMPLATE: &str = "!has(self.template) || !has(self.selector) || !has(self.selector.matchLabels) || \
     self.selector.matchLabels.all(key, has(self.template.metadata) && has(self.template.metadata.labels) && \
     key in self.template.metadata.labels && self.template.metadata.labels[key] == self.selector.matchLabels[key])";

const WEIGHTS_WITHIN_MAXIMUM: &str = "!has(self.steps) || self.steps.all(step, !has(step.setWeight) || step.setWeight <= \
     (has(self.trafficRouting) && has(self.trafficRouting.maxTrafficWeight) ? self.trafficRouting.maxTrafficWeight : 100))";

const SOME_TEMPLATE: &str = "has(self.templates) && self.templates.size() > 0";
const SOME_TEMPLATE_MESSAGE: &str = "name at least one template: templates: [{templateName: …}]";

const ONE_VALUE: &str = "!(has(self.value) && has(self.valueFrom))";
const ONE_VALUE_MESSAGE: &str = "set either value or valueFrom, not both";

const ROLLOUT: &[Rule] = &[
    rule(
        "spec",
        "!has(oldSelf.selector) || (has(self.selector) && self.selector == oldSelf.selector)",
        "selector cannot be changed; create a Rollout with another name and delete this one once the new one serves",
    ),
    rule(
        "spec",
        "has(self.template) != has(self.workloadRef)",
        "set exactly one of template and workloadRef",
    ),
    rule(
        "spec",
        "!has(self.template) || has(self.selector)",
        "set selector to labels of template.metadata.labels",
    ),
    rule(
        "spec.selector",
        "(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",
        "an empty selector selects every pod; set matchLabels to labels of template.metadata.labels",
    ),
    rule(
        "spec",
        SELECTOR_MATCHES_TEMPLATE,
        "selector.matchLabels does not select the template's pods; give template.metadata.labels the same labels",
    ),
    rule(
        "spec",
        "(has(self.progressDeadlineSeconds) ? self.progressDeadlineSeconds : 600) > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",
        "set progressDeadlineSeconds (600 when absent) higher than minReadySeconds, or no update can succeed",
    ),
    rule(
        "spec.strategy",
        "has(self.canary) != has(self.blueGreen)",
        "set exactly one of canary and blueGreen",
    ),
    rule(
        "spec.strategy.canary",
        "!has(self.canaryService) || !has(self.stableService) || self.canaryService != self.stableService",
        "canaryService and stableService are the same; make two Services, because each selects one version's pods only",
    ),
    rule(
        "spec.strategy.canary",
        "!has(self.trafficRouting) || has(self.pingPong) || has(self.trafficRouting.istio) || (has(self.canaryService) && has(self.stableService))",
        "trafficRouting splits between two Services; set both canaryService and stableService",
    ),
    rule(
        "spec.strategy.canary",
        "has(self.trafficRouting) || !has(self.scaleDownDelaySeconds)",
        "scaleDownDelaySeconds works only with trafficRouting; remove it or set trafficRouting",
    ),
    rule(
        "spec.strategy.canary",
        "has(self.trafficRouting) || !has(self.abortScaleDownDelaySeconds)",
        "abortScaleDownDelaySeconds works only with trafficRouting; remove it or set trafficRouting",
    ),
    rule(
        "spec.strategy.canary",
        "!(has(self.dynamicStableScale) && self.dynamicStableScale) || !has(self.scaleDownDelaySeconds)",
        "dynamicStableScale takes the old pods away as traffic leaves them; remove scaleDownDelaySeconds",
    ),
    rule(
        "spec.strategy.canary",
        "has(self.trafficRouting) || !has(self.bake)",
        "bake works only with trafficRouting; remove it or set trafficRouting",
    ),
    rule(
        "spec.strategy.canary",
        "!(has(self.maxSurge) && has(self.maxUnavailable) && self.maxSurge in [dyn(0), dyn('0'), dyn('0%')] && self.maxUnavailable in [dyn(0), dyn('0'), dyn('0%')])",
        "maxSurge and maxUnavailable are both 0, so no pod could ever be replaced; raise one of them",
    ),
    rule(
        "spec.strategy.canary",
        WEIGHTS_WITHIN_MAXIMUM,
        "setWeight must not be above trafficRouting.maxTrafficWeight (100 when absent)",
    ),
    rule(
        "spec.strategy.canary.trafficRouting.nginx",
        "has(self.stableIngress) != has(self.stableIngresses)",
        "set exactly one of stableIngress and stableIngresses",
    ),
    rule(
        "spec.strategy.canary.trafficRouting.gatewayAPI",
        "has(self.httpRoutes) && self.httpRoutes.size() > 0",
        "name at least one route: httpRoutes: [{name: …}]",
    ),
    rule(
        "spec.strategy.canary.steps[]",
        ONE_STEP_MEMBER,
        "set exactly one of setWeight, pause, analysis, setCanaryScale, experiment, setHeaderRoute, setMirrorRoute and plugin; \
         an own step is needed for each",
    ),
    rule(
        "spec.strategy.canary.steps[].setCanaryScale",
        "[has(self.weight), has(self.replicas), has(self.matchTrafficWeight)].filter(set, set).size() == 1",
        "set exactly one of weight, replicas and matchTrafficWeight",
    ),
    rule(
        "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue",
        "[has(self.exact), has(self.prefix), has(self.regex)].filter(set, set).size() == 1",
        "set exactly one of exact, prefix and regex",
    ),
    rule(
        "spec.strategy.canary.steps[].analysis",
        SOME_TEMPLATE,
        SOME_TEMPLATE_MESSAGE,
    ),
    rule(
        "spec.strategy.canary.analysis",
        SOME_TEMPLATE,
        SOME_TEMPLATE_MESSAGE,
    ),
    rule(
        "spec.strategy.canary.steps[].analysis.args[]",
        ONE_VALUE,
        ONE_VALUE_MESSAGE,
    ),
    rule(
        "spec.strategy.canary.analysis.args[]",
        ONE_VALUE,
        ONE_VALUE_MESSAGE,
    ),
];

const ANALYSIS: &[Rule] = &[
    rule(
        "spec.metrics[].provider",
        ONE_PROVIDER,
        "set exactly one provider, such as prometheus; an own metric is needed for each",
    ),
    rule("spec.args[]", ONE_VALUE, ONE_VALUE_MESSAGE),
    rule(
        "spec.args[].valueFrom",
        "has(self.secretKeyRef) != has(self.fieldRef)",
        "set exactly one of secretKeyRef and fieldRef",
    ),
];

const EXPERIMENT: &[Rule] = &[rule("spec.analyses[].args[]", ONE_VALUE, ONE_VALUE_MESSAGE)];

const ROLLOUT_BOUNDS: &[Bound] = &[
    bound("spec.selector.matchLabels", "maxProperties", 100),
    bound("spec.selector.matchLabels.*", "maxLength", 63),
    bound("spec.selector.matchExpressions", "maxItems", 100),
    bound("spec.selector.matchExpressions[].key", "maxLength", 317),
    bound("spec.selector.matchExpressions[].operator", "maxLength", 16),
    bound("spec.selector.matchExpressions[].values", "maxItems", 100),
    bound("spec.selector.matchExpressions[].values[]", "maxLength", 63),
    bound("spec.template.metadata.labels.*", "maxLength", 63),
    bound("spec.strategy.canary.canaryService", "maxLength", 63),
    bound("spec.strategy.canary.stableService", "maxLength", 63),
    bound("spec.strategy.canary.maxSurge", "maxLength", 32),
    bound("spec.strategy.canary.maxUnavailable", "maxLength", 32),
    bound("spec.strategy.canary.maxPendingPods", "maxLength", 32),
];

/// The rules of a kind.
pub const fn rules(kind: Kind) -> &'static [Rule] {
    match kind {
        Kind::Rollout => ROLLOUT,
        Kind::AnalysisTemplate | Kind::ClusterAnalysisTemplate | Kind::AnalysisRun => ANALYSIS,
        Kind::Experiment => EXPERIMENT,
    }
}

const fn bounds(kind: Kind) -> &'static [Bound] {
    match kind {
        Kind::Rollout => ROLLOUT_BOUNDS,
        Kind::AnalysisTemplate
        | Kind::ClusterAnalysisTemplate
        | Kind::AnalysisRun
        | Kind::Experiment => &[],
    }
}

/// Puts rules and bounds into the schema of a kind.
pub(super) fn apply(kind: Kind, root: &mut Value) -> Result<(), CrdError> {
    for bound in bounds(kind) {
        field(kind, root, bound.path)?.insert(bound.key.to_owned(), json!(bound.value));
    }
    for rule in rules(kind) {
        let validations = field(kind, root, rule.path)?
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]));
        if let Some(validations) = validations.as_array_mut() {
            validations.push(json!({ "rule": rule.rule, "message": rule.message }));
        }
    }
    Ok(())
}

/// The schema of the field at `path`; `[]` goes to the items of a list, `.*` to the values of a map.
fn field<'a>(
    kind: Kind,
    root: &'a mut Value,
    path: &str,
) -> Result<&'a mut Map<String, Value>, CrdError> {
    let mut pointer = String::new();
    for part in path.split('.') {
        let name = part.trim_end_matches("[]");
        if name == "*" {
            pointer.push_str("/additionalProperties");
        } else {
            pointer.push_str("/properties/");
            pointer.push_str(name);
        }
        if part.ends_with("[]") {
            pointer.push_str("/items");
        }
    }
    root.pointer_mut(&pointer)
        .and_then(Value::as_object_mut)
        .ok_or_else(|| CrdError::NoSuchField {
            kind: kind.name(),
            path: path.to_owned(),
        })
}
