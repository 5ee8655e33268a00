//! What people apply.

use serde_json::{Value, json};

/// The Rollout `web` with these canary fields beside its steps.
pub(in crate::sim) fn rollout(replicas: i32, image: &str, canary: &Value) -> Value {
    with_strategy(replicas, image, &json!({ "canary": canary }))
}

/// The Rollout `web` with this strategy.
pub(in crate::sim) fn with_strategy(replicas: i32, image: &str, strategy: &Value) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
            "strategy": strategy,
        },
    })
}

/// The patch to another image.
pub(in crate::sim) fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}})
}

pub(in crate::sim) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    })
}

pub(in crate::sim) fn ingress(service: &str) -> Value {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "web.example.com", "http": {
            "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}],
        }}]},
    })
}

/// Two measurements, five seconds apart; one that is bad fails. The query is the name.
pub(in crate::sim) fn template(name: &str) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {"metrics": [{
            "name": "errors", "interval": "5s", "count": 2, "successCondition": "result[0] < 0.05",
            "provider": {"prometheus": {"query": name}},
        }]},
    })
}
