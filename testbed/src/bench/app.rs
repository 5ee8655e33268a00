//! Manifests of what is measured. Pure.

use serde_json::{Value, json};

/// The Rollouts' group and version.
pub(super) const API: &str = "tidegate.dev/v1alpha1";

/// A Rollout called `name` with version `v1`. Its pods have no port that Prometheus would scrape.
pub(super) fn rollout(name: &str, replicas: u32, canary: &Value) -> Value {
    let labels = json!({"app": name});
    let container = json!({
        "name": "app",
        "image": "demo:v1",
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "web"}, "periodSeconds": if replicas > 1 { 1 } else { 10 }},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    });
    json!({
        "apiVersion": API,
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            "strategy": {"canary": canary},
        },
    })
}

/// The names of the Services and of the Ingress, and the steps.
pub(super) fn through_ingress(name: &str, steps: &Value) -> Value {
    json!({
        "stableService": format!("{name}-stable"),
        "canaryService": format!("{name}-canary"),
        "trafficRouting": {"nginx": {"stableIngress": name}},
        "steps": steps,
    })
}

/// The two Services and the Ingress for `host`.
pub(super) fn services_and_ingress(name: &str, host: &str) -> [Value; 3] {
    let service = |role: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": format!("{name}-{role}")},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
        })
    };
    let backend = json!({"service": {"name": format!("{name}-stable"), "port": {"name": "http"}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    });
    [service("stable"), service("canary"), ingress]
}

/// A template that asks the metric server every second, and takes one bad answer for the end.
pub(super) fn template(name: &str) -> Value {
    json!({
        "apiVersion": API,
        "kind": "AnalysisTemplate",
        "metadata": {"name": name},
        "spec": {"metrics": [{
            "name": "errors",
            "interval": "1s",
            "count": 600,
            "successCondition": "result[0] < 0.5",
            "provider": {"prometheus": {"query": "errors"}},
        }]},
    })
}
