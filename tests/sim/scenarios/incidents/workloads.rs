//! Workloads that a Rollout refers to, autoscalers, and HTTPRoutes: A5, A17, A24, A43, A45, F17.

use serde_json::{Value, json};
use tidegate::sim::nature::Entry;

use super::{
    Incident, at_end, done, pods, sizes,
    stages::{self, image, is_paused, is_taken_back},
    weights,
};
use crate::sim::{
    run::{Get, Stage},
    scenarios::{manifests, stories},
};

fn deployment(replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "legacy"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    })
}

/// A Rollout that takes a Deployment's template, and scales it down when its own pods serve.
fn refers(stage: &Stage) {
    let strategy = json!({ "canary": stories::strategy() });
    let mut rollout = manifests::with_strategy(5, "web:1", &strategy);
    if let Some(spec) = rollout["spec"].as_object_mut() {
        spec.remove("template");
    }
    rollout["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "legacy", "scaleDown": "onsuccess"});
    stage.create(deployment(5));
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(manifests::ingress("web-stable"));
    stage.create(manifests::template("errors"));
    stage.create(rollout);
}

fn second_template(stage: &Stage) {
    stage.patch("deployments", "legacy", &manifests::image("web:2"));
}

#[test]
fn incident_a24_a_workload_that_vanishes_takes_no_pod_with_it() {
    Incident::of("A24", refers)
        .act(second_template)
        .until("the first weight", |get| stories::weight(get) == 20)
        .act(|stage| stage.delete("deployments", "legacy", "Background"))
        .pause(120)
        .so(
            "everything stays where it was, and it says why",
            |outcome| {
                let rollout = at_end(outcome, "rollouts/web");
                weights(outcome) == [20]
                    && pods(outcome, "web:1") == 5
                    && pods(outcome, "web:2") == 1
                    && rollout["status"].to_string().contains("Deployment legacy")
            },
        )
        .is_green();
}

#[test]
fn incident_a43_a_rollout_that_is_deleted_gives_the_deployment_its_pods_back() {
    Incident::of("A43", refers)
        .until("the Deployment to be scaled down", |get| {
            get("deployments/legacy")["spec"]["replicas"] == 0
        })
        .act(|stage| {
            stage.close_traffic();
            stage.delete("rollouts", "web", "Background");
        })
        .until("its pods", |get| {
            get("deployments/legacy")["status"]["availableReplicas"] == 5
        })
        .so("it is as it was", |outcome| {
            let deployment = at_end(outcome, "deployments/legacy");
            deployment["spec"]["replicas"] == 5
                && deployment["metadata"]["labels"]["tidegate.dev/managed-by-rollout"].is_null()
        })
        .is_green();
}

fn autoscaled(stage: &Stage) {
    stages::canary(stage);
    stage.create(json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": "web"},
            "minReplicas": 3, "maxReplicas": 8,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    }));
}

#[test]
fn incident_f17_after_an_abort_an_autoscaler_still_sizes_what_serves() {
    Incident::of("F17", autoscaled)
        .graceful()
        .updated()
        .until("some weight", |get| stories::weight(get) > 0)
        .act(|stage| stages::ask(stage, "one", "abort"))
        .until("the end of the weight", is_taken_back)
        .pause(60)
        .so(
            "the first version has the size that the autoscaler wants",
            |outcome| {
                let rollout = at_end(outcome, "rollouts/web");
                rollout["spec"]["replicas"] == 3
                    && pods(outcome, "web:1") == 3
                    && pods(outcome, "web:2") == 0
            },
        )
        .is_green();
}

#[test]
fn incident_f18_a_release_that_is_over_is_not_healthy_without_pods() {
    Incident::of("F18", autoscaled)
        .graceful()
        .updated()
        .finished()
        .pause(60)
        .so(
            "the second version has the size that the autoscaler wants",
            |outcome| {
                let rollout = at_end(outcome, "rollouts/web");
                rollout["status"]["phase"] == "Healthy"
                    && rollout["status"]["availableReplicas"] == 3
                    && pods(outcome, "web:2") == 3
            },
        )
        .is_green();
}

fn route(stage: &Stage, steps: &Value) {
    let backend = |service: &str, weight: u32| json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": weight});
    stage.create(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {
            "parentRefs": [{"name": "gateway"}],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [backend("web-stable", 1), backend("web-canary", 0)],
            }],
        },
    }));
    let routing = json!({"gatewayAPI": {"httpRoutes": [{"name": "web"}]}, "managedRoutes": [{"name": "beta"}]});
    let mut strategy = stories::strategy();
    strategy["trafficRouting"] = routing;
    strategy["steps"] = steps.clone();
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(manifests::template("errors"));
    stage.create(manifests::with_strategy(
        5,
        "web:1",
        &json!({ "canary": strategy }),
    ));
}

fn routed_weights(get: Get<'_>) -> Vec<i64> {
    let rules = get("httproutes/web")["spec"]["rules"].clone();
    let last = rules.as_array().and_then(|rules| rules.last()).cloned();
    let refs = last.map_or(Value::Null, |rule| rule["backendRefs"].clone());
    let weights = refs.as_array().into_iter().flatten();
    weights
        .filter_map(|backend| backend["weight"].as_i64())
        .collect()
}

fn by_route(name: &'static str, apply: fn(&Stage)) -> Incident {
    let mut incident = Incident::of(name, apply);
    incident.scenario.nature.entry = Entry::HttpRoute("web".to_owned());
    incident
}

#[test]
fn incident_a5_a_route_leads_to_a_first_version_when_its_pods_are_ready() {
    by_route("A5", |stage| {
        route(
            stage,
            &json!([{"setWeight": 50}, {"pause": {"duration": 5}}]),
        )
    })
    .updated()
    .finished()
    .until("the route at rest", |get| routed_weights(get) == [1, 0])
    .so("each Service was led there once more", |outcome| {
        let selects = |name| {
            done(outcome, name)
                .iter()
                .filter(|line| line.starts_with("selects"))
                .count()
        };
        selects("services/web-stable") == 2 && pods(outcome, "web:2") == 5
    })
    .is_green();
}

#[test]
fn incident_a17_after_an_abort_no_rule_of_a_route_leads_to_the_canary() {
    by_route("A17", |stage| {
        let header = json!({"setHeaderRoute": {
            "name": "beta", "match": [{"headerName": "x-user", "headerValue": {"exact": "beta"}}],
        }});
        route(stage, &json!([{"setWeight": 20}, header, {"pause": {}}]));
    })
    .updated()
    .until("the pause", is_paused)
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the route at rest", |get| routed_weights(get) == [1, 0])
    .until("the pods to go", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .so("there is the one rule that users wrote", |outcome| {
        let rules = &at_end(outcome, "httproutes/web")["spec"]["rules"];
        rules.as_array().map(Vec::len) == Some(1)
    })
    .is_green();
}

#[test]
fn incident_a45_a_rollback_takes_weight_before_pods_and_before_the_service() {
    by_route("A45", |stage| {
        route(stage, &json!([{"setWeight": 50}, {"pause": {}}]))
    })
    .updated()
    .until("the pause", is_paused)
    .act(|stage| image(stage, "web:1"))
    .until("the first version", stories::is_healthy)
    .until("the route at rest", |get| routed_weights(get) == [1, 0])
    .so("the first version was whole all the time", |outcome| {
        sizes(outcome, "web:1") == [5] && pods(outcome, "web:2") == 0
    })
    .is_green();
}
