//! Good manifests, and what makes them bad.

use serde_json::{Value, json};
use tidegate::api::names::{ApiNames, Kind};

/// A change that makes a good manifest bad, and what the API server must say about it.
pub struct Bad {
    pub kind: Kind,
    /// Merge patch on [`good`].
    pub change: Value,
    /// The rule's field and words from its message.
    pub path: &'static str,
    pub says: &'static str,
}

fn bad(kind: Kind, path: &'static str, says: &'static str, change: Value) -> Bad {
    Bad {
        kind,
        change,
        path,
        says,
    }
}

pub fn canary(change: Value) -> Value {
    json!({ "spec": { "strategy": { "canary": change } } })
}

fn steps(step: Value) -> Value {
    canary(json!({ "steps": [{ "setWeight": 5 }, step] }))
}

/// A manifest that is accepted.
pub fn good(kind: Kind) -> Value {
    let spec = match kind {
        Kind::Rollout => json!({
            "selector": { "matchLabels": { "app": "demo" } },
            "template": {
                "metadata": { "labels": { "app": "demo", "tier": "web" } },
                "spec": { "containers": [{ "name": "demo", "image": "demo:v1" }] },
            },
            "strategy": { "canary": {
                "canaryService": "demo-canary",
                "stableService": "demo-stable",
                "trafficRouting": { "nginx": { "stableIngress": "demo" } },
                "scaleDownDelaySeconds": 30,
                "abortScaleDownDelaySeconds": 30,
                "maxSurge": "25%",
                "maxUnavailable": 0,
                "analysis": { "templates": [{ "templateName": "errors" }] },
                "steps": [
                    { "setWeight": 5 },
                    { "pause": {} },
                    { "pause": { "duration": "30s" } },
                    { "analysis": { "templates": [{ "templateName": "errors" }], "args": [{ "name": "a", "value": "b" }] } },
                    { "setCanaryScale": { "replicas": 2 } },
                    { "setWeight": 100 },
                ],
            } },
        }),
        Kind::AnalysisTemplate | Kind::ClusterAnalysisTemplate | Kind::AnalysisRun => json!({
            "args": [{ "name": "service" }, { "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }],
            "metrics": [{
                "name": "errors",
                "successCondition": "result[0] < 0.05",
                "provider": { "prometheus": { "query": "vector(0)" } },
            }],
        }),
        Kind::Experiment => json!({
            "templates": [{
                "name": "baseline",
                "selector": { "matchLabels": { "app": "demo" } },
                "template": { "metadata": { "labels": { "app": "demo" } } },
            }],
            "analyses": [{ "name": "errors", "templateName": "errors" }],
        }),
    };
    json!({
        "apiVersion": ApiNames::default().api_version(),
        "kind": kind.name(),
        "metadata": { "generateName": "rules-" },
        "spec": spec,
    })
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn everything_bad() -> Vec<Bad> {
    use Kind::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, Experiment, Rollout};
    let no_template = json!({ "templates": [] });
    let two_values = json!([{ "name": "a", "value": "b", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
    let mut rows = vec![
        bad(
            Rollout,
            "spec",
            "exactly one of template and workloadRef",
            json!({ "spec": { "workloadRef": { "name": "demo" } } }),
        ),
        bad(
            Rollout,
            "spec",
            "set selector",
            json!({ "spec": { "selector": null } }),
        ),
        bad(
            Rollout,
            "spec.selector",
            "an empty selector",
            json!({ "spec": { "selector": { "matchLabels": null } } }),
        ),
        bad(
            Rollout,
            "spec",
            "does not select the template's pods",
            json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } }),
        ),
        bad(
            Rollout,
            "spec",
            "does not select the template's pods",
            json!({ "spec": { "template": { "metadata": null } } }),
        ),
        bad(
            Rollout,
            "spec",
            "higher than minReadySeconds",
            json!({ "spec": { "minReadySeconds": 600 } }),
        ),
        bad(
            Rollout,
            "spec",
            "higher than minReadySeconds",
            json!({ "spec": { "minReadySeconds": 10, "progressDeadlineSeconds": 10 } }),
        ),
        bad(
            Rollout,
            "spec.strategy",
            "exactly one of canary and blueGreen",
            json!({ "spec": { "strategy": { "canary": null } } }),
        ),
        bad(
            Rollout,
            "spec.strategy",
            "exactly one of canary and blueGreen",
            json!({ "spec": { "strategy": { "blueGreen": { "activeService": "demo" } } } }),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "are the same",
            canary(json!({ "canaryService": "demo-stable" })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "set both canaryService and stableService",
            canary(json!({ "canaryService": null })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "scaleDownDelaySeconds works only with",
            canary(json!({ "trafficRouting": null, "abortScaleDownDelaySeconds": null })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "abortScaleDownDelaySeconds works only with",
            canary(json!({ "trafficRouting": null, "scaleDownDelaySeconds": null })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "dynamicStableScale takes the old pods away",
            canary(json!({ "dynamicStableScale": true })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "bake works only with trafficRouting",
            canary(json!({
                "trafficRouting": null, "scaleDownDelaySeconds": null, "abortScaleDownDelaySeconds": null,
                "bake": { "duration": "1h" },
            })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "both 0",
            canary(json!({ "maxSurge": 0 })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "both 0",
            canary(json!({ "maxSurge": "0%", "maxUnavailable": "0" })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "setWeight must not be above",
            steps(json!({ "setWeight": 101 })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "setWeight must not be above",
            canary(
                json!({ "trafficRouting": { "maxTrafficWeight": 1000 }, "steps": [{ "setWeight": 1001 }] }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.trafficRouting.nginx",
            "exactly one of stableIngress",
            canary(json!({ "trafficRouting": { "nginx": { "stableIngresses": ["other"] } } })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.trafficRouting.gatewayAPI",
            "name at least one route",
            canary(
                json!({ "trafficRouting": { "gatewayAPI": { "grpcRoutes": [{ "name": "demo" }] } } }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[]",
            "set exactly one of setWeight",
            steps(json!({})),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[]",
            "set exactly one of setWeight",
            steps(json!({ "setWeight": 10, "pause": {} })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[]",
            "set exactly one of setWeight",
            steps(
                json!({ "experiment": { "duration": "1m", "templates": [] }, "plugin": { "name": "x" } }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].setCanaryScale",
            "exactly one of weight, replicas",
            steps(json!({ "setCanaryScale": { "weight": 10, "replicas": 1 } })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].setHeaderRoute.match[].headerValue",
            "set exactly one of",
            steps(
                json!({ "setHeaderRoute": { "name": "beta", "match": [{ "headerName": "x", "headerValue": { "exact": "a", "prefix": "b" } }] } }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].analysis",
            "at least one template",
            steps(json!({ "analysis": no_template })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.analysis",
            "at least one template",
            canary(json!({ "analysis": no_template })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].analysis.args[]",
            "either value or valueFrom",
            steps(
                json!({ "analysis": { "templates": [{ "templateName": "t" }], "args": two_values } }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.analysis.args[]",
            "either value or valueFrom",
            canary(json!({ "analysis": { "args": two_values } })),
        ),
        bad(
            Experiment,
            "spec.analyses[].args[]",
            "either value or valueFrom",
            json!({ "spec": { "analyses": [{ "name": "a", "templateName": "t", "args": two_values }] } }),
        ),
    ];
    for kind in [AnalysisTemplate, ClusterAnalysisTemplate, AnalysisRun] {
        let metric = |provider: Value| json!({ "spec": { "metrics": [{ "name": "errors", "provider": provider }] } });
        let value_from =
            |value: Value| json!({ "spec": { "args": [{ "name": "a", "valueFrom": value }] } });
        rows.extend([
            bad(
                kind,
                "spec.metrics[].provider",
                "exactly one provider",
                metric(json!({})),
            ),
            bad(
                kind,
                "spec.metrics[].provider",
                "exactly one provider",
                metric(json!({ "prometheus": { "query": "up" }, "web": { "url": "http://x" } })),
            ),
            bad(
                kind,
                "spec.args[]",
                "either value or valueFrom",
                json!({ "spec": { "args": two_values } }),
            ),
            bad(
                kind,
                "spec.args[].valueFrom",
                "exactly one of secretKeyRef",
                value_from(json!({})),
            ),
        ]);
    }
    rows
}
