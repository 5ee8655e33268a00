//! A Deployment with its Service and Ingress in a namespace of its own, for tests that need no Rollout.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use testbed::{
    Testbed,
    load::{Load, LoadOptions},
};
use tokio::time::Instant;

use super::kubectl::kubectl;

const DEADLINE: Duration = Duration::from_mins(1);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The application's Deployment, called `demo`, reached through the proxy by its host name.
pub struct DemoApp<'a> {
    testbed: &'a Testbed,
    namespace: String,
    replicas: usize,
}

impl<'a> DemoApp<'a> {
    /// Applies version `v1` and waits until the proxy serves it. Its pods serve `drain` seconds after SIGTERM.
    pub async fn start(testbed: &'a Testbed, namespace: &str, replicas: usize, drain: u32) -> Self {
        let manifests = manifests(namespace, replicas, drain)
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("\n---\n");
        let applied = kubectl(testbed, &["apply", "-f", "-"], &manifests).await;
        assert!(applied.ok, "{}", applied.stderr);
        let app = Self {
            testbed,
            namespace: namespace.to_owned(),
            replicas,
        };
        app.rolled_out("v1").await;
        app.served_by_the_proxy().await;
        app
    }

    /// Requests through the proxy, for as long as a test may take.
    pub fn load(&self, rate: u32) -> Load {
        Load::start(self.load_options(rate, 2 * rate * 60)).unwrap()
    }

    /// Rolls to a version and waits until no pod of another one is left.
    pub async fn roll(&self, version: &str) {
        let image = json!({"name": "app", "image": format!("demo:{version}")});
        let patch = json!({"spec": {"template": {"spec": {"containers": [image]}}}});
        let deployments: Api<Deployment> = Api::namespaced(self.testbed.client(), &self.namespace);
        deployments
            .patch("demo", &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .unwrap();
        self.rolled_out(version).await;
    }

    /// Deletes the namespace, without waiting for its end.
    pub async fn delete(self) {
        let namespaces: Api<Namespace> = Api::all(self.testbed.client());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
    }

    async fn rolled_out(&self, version: &str) {
        let api: Api<Pod> = Api::namespaced(self.testbed.client(), &self.namespace);
        let image = format!("demo:{version}");
        let deadline = Instant::now() + DEADLINE;
        loop {
            let pods = api.list(&ListParams::default()).await.unwrap().items;
            if pods.len() == self.replicas && pods.iter().all(|pod| runs(pod, &image)) {
                return;
            }
            let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
            assert!(
                Instant::now() < deadline,
                "{image} is not rolled out: {names:?}"
            );
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn served_by_the_proxy(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let load = Load::start(self.load_options(50, 5)).unwrap();
            while !load.is_finished() {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            let summary = load.stop().await;
            if summary.lost == 0 {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the proxy does not serve {}: {summary}",
                self.namespace
            );
        }
    }

    fn load_options(&self, rate: u32, max_requests: u32) -> LoadOptions {
        let url = self.testbed.proxy_url().unwrap();
        let host = format!("{}.test", self.namespace);
        LoadOptions::new(url, &host, rate, max_requests, 2 * DEADLINE)
    }
}

fn runs(pod: &Pod, image: &str) -> bool {
    let spec = pod.spec.as_ref().unwrap();
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    spec.containers[0].image.as_deref() == Some(image)
        && pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn manifests(namespace: &str, replicas: usize, drain: u32) -> [Value; 4] {
    let labels = json!({"app": "demo"});
    let metadata = json!({"name": "demo", "namespace": namespace});
    let container = json!({
        "name": "app",
        "image": "demo:v1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "DRAIN", "value": drain.to_string()}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
    });
    let backend = json!({"service": {"name": "demo", "port": {"name": "http"}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
            "replicas": replicas,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        }}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
            "selector": labels,
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        }}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": format!("{namespace}.test"), "http": {"paths": [path]}}],
        }}),
    ]
}
