//! Where traffic goes: A1, A2, A5, A8, A10, A14, A16 to A18, A27, A45.

use serde_json::json;

use super::{
    Incident, at_end, done, in_order, rises,
    stages::{self, image, is_aborted, is_taken_back},
    weights,
};
use crate::sim::{
    run::{Beat, Stage},
    scenarios::{
        manifests,
        stories::{self, is_healthy, weight},
    },
};

/// Pods of another making serve behind the Service before there is a Rollout.
pub(in crate::sim::scenarios) fn adopted_service() -> Incident {
    let story = vec![
        Beat::Do(|stage| {
            stage.create(json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "legacy"},
                "spec": {
                    "replicas": 2, "selector": {"matchLabels": {"app": "web", "of": "legacy"}},
                    "template": {
                        "metadata": {"labels": {"app": "web", "of": "legacy"}},
                        "spec": {"containers": [{"name": "web", "image": "web:0"}]},
                    },
                },
            }));
            stage.create(manifests::service("web-stable"));
            stage.create(manifests::service("web-canary"));
            stage.create(manifests::ingress("web-stable"));
            stage.create(manifests::template("errors"));
        }),
        Beat::Until("the pods that serve already", |get| {
            get("replicasets/legacy")["status"]["availableReplicas"] == 2
        }),
        Beat::Pause(std::time::Duration::from_secs(3)),
        Beat::Do(Stage::open_traffic),
        Beat::Do(|stage| {
            let strategy = json!({ "canary": stories::strategy() });
            stage.create(manifests::with_strategy(5, "web:1", &strategy));
        }),
    ];
    Incident::of("A1", stages::canary)
        .begun(story)
        .finished()
        .so("the Service was narrowed once", |outcome| {
            done(outcome, "services/web-stable").len() == 1
        })
}

#[test]
fn incident_a1_a_service_in_use_is_narrowed_only_to_pods_that_are_available() {
    adopted_service().is_green();
}

pub(in crate::sim::scenarios) fn to_the_end() -> Incident {
    Incident::of("A2", stages::canary).updated().finished().so(
        "the old pods went after the Service had left them",
        |outcome| {
            in_order(
                outcome,
                &["services/web-stable {", "{\"replicas\":0}", " -> 200"],
            ) && pods_of_both(outcome) == (0, 5)
        },
    )
}

fn pods_of_both(outcome: &crate::sim::run::Outcome) -> (i64, i64) {
    (super::pods(outcome, "web:1"), super::pods(outcome, "web:2"))
}

#[test]
fn incident_a2_old_pods_stay_until_the_stable_service_has_left_them() {
    to_the_end().is_green();
}

#[test]
fn incident_a5_nothing_leads_to_a_first_version_before_its_pods_are_ready() {
    Incident::of("A5", stages::canary)
        .so(
            "each Service was led to it once, and no canary Ingress was made",
            |outcome| {
                let once = |name| done(outcome, name).len() == 1;
                once("services/web-stable")
                    && done(outcome, "services/web-canary").len() <= 1
                    && done(outcome, "ingresses/web-web-canary").is_empty()
            },
        )
        .is_green();
}

/// A third version comes while the second has half of the traffic.
pub(in crate::sim::scenarios) fn overtaken() -> Incident {
    Incident::of("A8", stages::canary)
        .updated()
        .until("half of the traffic", |get| weight(get) == 50)
        .act(|stage| image(stage, "web:3"))
        .until("the weight to go back", |get| weight(get) == 0)
        .finished()
        .so("the weight began again at nothing", |outcome| {
            weights(outcome) == [20, 50, 0, 20, 50, 80, 100, 0]
        })
}

#[test]
fn incident_a8_the_canary_service_leaves_a_version_that_was_overtaken_after_its_weight() {
    overtaken().is_green();
}

pub(in crate::sim::scenarios) fn past_the_last_step() -> Incident {
    Incident::of("A10", stages::canary).updated().finished().so(
        "the weight only rose, and went when the Service led to the new version",
        |outcome| {
            let ends = [
                "canary-weight\":\"100\"",
                "services/web-stable {",
                "canary-weight\":\"0\"",
            ];
            in_order(outcome, &ends) && weights(outcome) == [20, 50, 80, 100, 0]
        },
    )
}

#[test]
fn incident_a10_after_the_last_step_all_traffic_stays_until_the_service_leads_to_it() {
    past_the_last_step().is_green();
}

#[test]
fn incident_a14_after_an_abort_the_canary_service_is_moved_once() {
    Incident::of("A14", |stage| {
        stages::canary_with(stage, &json!({"abortScaleDownDelaySeconds": 60}));
    })
    .updated()
    .until("the first weight", |get| weight(get) == 20)
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the end of the weight", is_taken_back)
    .pause(120)
    .so("its selector went there and back", |outcome| {
        let moves = done(outcome, "services/web-canary");
        let selectors = moves.iter().filter(|line| line.starts_with("selects"));
        selectors.count() <= 3
    })
    .is_green();
}

#[test]
fn incident_a16_pods_outlive_their_last_route_by_what_proxies_are_late() {
    Incident::of("A16", |stage| {
        stages::canary_with(
            stage,
            &json!({"scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 1}),
        );
    })
    .updated()
    .until("half of the traffic", |get| weight(get) == 50)
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the end of the weight", is_taken_back)
    .act(|stage| stages::ask(stage, "two", "retry"))
    .until("the retry", |get| !is_aborted(get))
    .finished()
    .so("only pods of the new version are left", |outcome| {
        pods_of_both(outcome) == (0, 5)
    })
    .is_green();
}

/// Weight, a header route and the canary Service lead to a version that is given up.
pub(in crate::sim::scenarios) fn all_routes() -> Incident {
    Incident::of("A17", |stage| {
        let header = json!({"setHeaderRoute": {
            "name": "beta", "match": [{"headerName": "x-user", "headerValue": {"exact": "beta"}}],
        }});
        let canary = json!({
            "trafficRouting": {"nginx": {"stableIngress": "web"}, "managedRoutes": [{"name": "beta"}]},
            "steps": [{"setWeight": 20}, header, {"pause": {}}],
        });
        stages::canary_with(stage, &canary);
    })
    .updated()
    .until("the pause", stages::is_paused)
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the end of the weight", is_taken_back)
    .until("the pods to go", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .so("nothing leads to it any more", |outcome| {
        let stable = &at_end(outcome, "rollouts/web")["status"]["stableRS"];
        let canary = at_end(outcome, "ingresses/web-web-canary").to_string();
        let selector = &at_end(outcome, "services/web-canary")["spec"]["selector"];
        !canary.contains("canary-by-header") && selector["tidegate.dev/pod-template-hash"] == *stable
    })
}

#[test]
fn incident_a17_after_an_abort_no_route_leads_to_the_canary() {
    all_routes().is_green();
}

#[test]
fn incident_a18_weights_stay_within_their_total_when_an_abort_meets_a_scale_down() {
    Incident::of("A18", stages::canary)
        .graceful()
        .updated()
        .until("half of the traffic", |get| weight(get) == 50)
        .act(|stage| {
            stages::spec(stage, &json!({"replicas": 1}));
            stages::ask(stage, "one", "abort");
        })
        .until("the end of the weight", is_taken_back)
        .so("each weight was between 0 and 100", |outcome| {
            let weights = weights(outcome);
            !weights.is_empty() && weights.iter().all(|weight| (0..=100).contains(weight))
        })
        .is_green();
}

#[test]
fn incident_a27_what_users_wrote_into_an_ingress_is_there_in_the_end() {
    Incident::of("A27", |stage| {
        stages::canary(stage);
        let annotations = json!({"nginx.ingress.kubernetes.io/proxy-read-timeout": "77", "team": "shop"});
        let path = json!({"path": "/other", "pathType": "Exact", "backend": {"service": {"name": "other", "port": {"name": "http"}}}});
        let rule = json!({"host": "other.example.com", "http": {"paths": [path]}});
        let own = json!({"host": "web.example.com", "http": {"paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "web-stable", "port": {"number": 80}}},
        }]}});
        let patch = json!({"metadata": {"annotations": annotations}, "spec": {"rules": [own, rule]}});
        stage.patch("ingresses", "web", &patch);
    })
    .updated()
    .finished()
    .so("the Ingress is as it was", |outcome| {
        let ingress = at_end(outcome, "ingresses/web");
        ingress["metadata"]["annotations"].as_object().map(serde_json::Map::len) == Some(2)
            && ingress["spec"]["rules"][1]["http"]["paths"][0]["pathType"] == "Exact"
            && done(outcome, "ingresses/web").is_empty()
    })
    .is_green();
}

#[test]
fn incident_a45_a_rollback_in_mid_flight_shows_no_version_that_was_not_asked_for() {
    Incident::of("A45", stages::canary)
        .updated()
        .until("half of the traffic", |get| weight(get) == 50)
        .act(|stage| image(stage, "web:1"))
        .until("the first version", is_healthy)
        .until("the end of the weight", |get| weight(get) == 0)
        .so("the weight rose to 50 and went", |outcome| {
            let weights = weights(outcome);
            rises(&weights[..weights.len() - 1])
                && weights.last() == Some(&0)
                && pods_of_both(outcome) == (5, 0)
        })
        .is_green();
}
