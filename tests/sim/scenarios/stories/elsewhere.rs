//! Canaries behind other routes, of other workloads, and with somebody else who says how large they are.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::sim::{
    nature::Entry,
    traffic::{Load, rate::Rate},
};

use super::{deployed, is_healthy, routed, second_version, strategy, weight};
use crate::sim::{
    run::{Beat, Same, Scenario, Stage},
    scenarios::manifests,
};

fn apply_all(stage: &Stage, others: &[Value], rollout: Value) {
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(manifests::template("errors"));
    for other in others {
        stage.create(other.clone());
    }
    stage.create(rollout);
}

/// The first version, that `apply` brings, is there, and requests come in; then this.
fn after(apply: fn(&Stage), story: Vec<Beat>) -> Vec<Beat> {
    let mut first = deployed();
    first[0] = Beat::Do(apply);
    [first, story].concat()
}

/// The weights are those of an HTTPRoute.
pub(in crate::sim) fn http_route() -> Scenario {
    let mut scenario = routed("HTTPRoute", Vec::new());
    scenario.nature.entry = Entry::HttpRoute("web".to_owned());
    scenario.story = after(
        |stage| {
            let mut strategy = strategy();
            strategy["trafficRouting"] = json!({"gatewayAPI": {"httpRoutes": [{"name": "web"}]}});
            let route = json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
                "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [
                    {"name": "web-stable", "port": 80, "weight": 100}, {"name": "web-canary", "port": 80, "weight": 0},
                ]}]},
            });
            let rollout = manifests::with_strategy(5, "web:1", &json!({ "canary": strategy }));
            apply_all(stage, &[route], rollout);
        },
        vec![
            Beat::Do(second_version),
            Beat::Until("the first weight", |get| {
                get("httproutes/web")["spec"]["rules"][0]["backendRefs"][1]["weight"] == 20
            }),
            Beat::Until("the second version", is_healthy),
        ],
    );
    scenario
}

/// The pod template is that of a Deployment, whose own pods go when those of the Rollout serve.
pub(in crate::sim) fn workload() -> Scenario {
    let mut scenario = routed("workloadRef", Vec::new());
    scenario.story = after(
        |stage| {
            let pods = json!({
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            });
            let deployment = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "legacy"},
                "spec": {"replicas": 5, "selector": {"matchLabels": {"app": "web"}}, "template": pods},
            });
            let mut rollout =
                manifests::with_strategy(5, "web:1", &json!({ "canary": strategy() }));
            if let Some(spec) = rollout["spec"].as_object_mut() {
                spec.remove("template");
            }
            rollout["spec"]["workloadRef"] = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "legacy", "scaleDown": "onsuccess",
            });
            let ingress = manifests::ingress("web-stable");
            apply_all(stage, &[deployment, ingress], rollout);
        },
        vec![
            Beat::Do(|stage| stage.patch("deployments", "legacy", &manifests::image("web:2"))),
            Beat::Until("the first weight", |get| weight(get) == 20),
            Beat::Until("the second version", is_healthy),
        ],
    );
    scenario
}

/// An autoscaler wants more pods in the middle of it.
pub(in crate::sim) fn autoscaled() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Do(|stage| {
            let target = json!({"type": "Utilization", "averageUtilization": 60});
            stage.create(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": "web"},
                    "minReplicas": 2, "maxReplicas": 8,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
                },
            }));
        }),
        Beat::Until("more replicas", |get| {
            get("rollouts/web")["spec"]["replicas"].as_i64() == Some(8)
        }),
        Beat::Until("the second version", is_healthy),
    ];
    let mut scenario = routed("autoscaler in mid-flight", story);
    scenario.same = Same::End;
    scenario.nature.grace = Duration::from_secs(3);
    scenario.nature.load = Load {
        rate: Rate::Constant(50.0),
        ..Load::default()
    };
    scenario
}
