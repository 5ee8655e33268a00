//! What a user writes: a Rollout called `demo` with its Services and its Ingress.

use serde_json::{Value, json};

use super::{Rollout, World};

/// Manifests of one application.
#[derive(Clone, Debug)]
pub struct App {
    router: bool,
    replicas: u32,
    drain: u32,
    spec: Value,
    kind: &'static str,
    strategy: Value,
}

/// Seconds: as long as a proxy on a busy machine may take to hear that a pod goes away.
const DRAIN: u32 = 5;

impl App {
    /// A canary through an Ingress.
    pub fn canary(replicas: u32, steps: Value) -> Self {
        Self {
            router: true,
            replicas,
            drain: DRAIN,
            spec: json!({}),
            kind: "canary",
            strategy: json!({
                "stableService": "demo-stable",
                "canaryService": "demo-canary",
                "trafficRouting": {"nginx": {"stableIngress": "demo"}},
                "scaleDownDelaySeconds": 1,
                "abortScaleDownDelaySeconds": 1,
                "steps": steps,
            }),
        }
    }

    /// A canary by pod ratio, behind one plain Service.
    pub fn pod_ratio(replicas: u32, steps: Value) -> Self {
        Self {
            router: false,
            replicas,
            drain: DRAIN,
            spec: json!({}),
            kind: "canary",
            strategy: json!({"maxSurge": 1, "maxUnavailable": 0, "steps": steps}),
        }
    }

    /// A switch behind an Ingress.
    pub fn blue_green(replicas: u32, fields: Value) -> Self {
        let app = Self {
            router: true,
            replicas,
            drain: DRAIN,
            spec: json!({}),
            kind: "blueGreen",
            strategy: json!({
                "activeService": "demo-stable",
                "previewService": "demo-canary",
                "scaleDownDelaySeconds": 3,
                "abortScaleDownDelaySeconds": 3,
            }),
        };
        app.strategy(fields)
    }

    /// With pods that serve so many seconds after SIGTERM; 0 closes at once.
    pub fn drain(mut self, seconds: u32) -> Self {
        self.drain = seconds;
        self
    }

    /// With these fields of `spec`.
    pub fn spec(mut self, fields: Value) -> Self {
        json_patch::merge(&mut self.spec, &fields);
        self
    }

    /// With these fields of the strategy.
    pub fn strategy(mut self, fields: Value) -> Self {
        json_patch::merge(&mut self.strategy, &fields);
        self
    }

    /// The Rollout, with version `v1`.
    pub fn rollout(&self) -> Value {
        let labels = json!({"app": "demo"});
        let container = json!({
            "name": "app",
            "image": "demo:v1",
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "DRAIN", "value": self.drain.to_string()}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        });
        let mut spec = json!({
            "replicas": self.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            "strategy": {self.kind: self.strategy},
        });
        json_patch::merge(&mut spec, &self.spec);
        json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "demo"},
            "spec": spec,
        })
    }

    /// The Services.
    pub fn services(&self) -> Vec<Value> {
        let names: &[&str] = if self.router {
            &["demo-stable", "demo-canary"]
        } else {
            &["demo"]
        };
        names.iter().map(|name| service(name)).collect()
    }

    /// The Ingress, for the host that `World::load` asks for.
    pub fn ingress(&self, namespace: &str) -> Value {
        let service = if self.router { "demo-stable" } else { "demo" };
        let backend = json!({"service": {"name": service, "port": {"name": "http"}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "demo"},
            "spec": {
                "ingressClassName": "nginx",
                "rules": [{"host": format!("{namespace}.test"), "http": {"paths": [path]}}],
            },
        })
    }

    /// Everything.
    pub fn manifests(&self, namespace: &str) -> Vec<Value> {
        let mut all = self.services();
        all.push(self.ingress(namespace));
        all.push(self.rollout());
        all
    }
}

/// A Service that selects the pods of all versions.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"team": "shop"}},
        "spec": {"selector": {"app": "demo"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

impl World {
    /// Applies an application and waits until `v1` serves through the proxy.
    pub async fn deploy(&self, app: &App) -> Rollout {
        self.apply(&app.manifests(self.namespace())).await;
        let rollout = self.healthy().await;
        self.serves("v1").await;
        rollout
    }
}
