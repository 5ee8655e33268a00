//! What went wrong with Flagger: F1, F3 to F12, F15.

use serde_json::json;

use super::{
    Incident, all, at_end, created, done, in_order, pods, rises, sizes,
    stages::{self, image, is_aborted, is_paused, is_taken_back, one_query},
    weights,
};
use crate::sim::scenarios::stories::{is_healthy, share_of_errors, weight};

#[test]
fn incident_f1_no_weight_comes_before_the_gate_is_open() {
    Incident::of("F1", |stage| {
        stages::steps(
            stage,
            &json!([{"pause": {}}, {"setWeight": 50}, {"pause": {"duration": 5}}]),
        );
    })
    .updated()
    .until("the gate", is_paused)
    .pause(60)
    .act(|stage| stages::ask(stage, "one", "promote"))
    .finished()
    .so("half came after it was opened", |outcome| {
        in_order(
            outcome,
            &["\\\"verb\\\":\\\"promote\\\"", "canary-weight\":\"50\""],
        ) && weights(outcome) == [50, 100, 0]
    })
    .is_green();
}

#[test]
fn incident_f3_requests_under_way_are_answered_by_pods_that_are_to_go() {
    Incident::of("F3", |stage| {
        stages::blue_green(stage, &json!({"scaleDownDelaySeconds": 0}));
    })
    .updated()
    .finished()
    .until("the old pods to go", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .so(
        "the old version went as a whole, after the switch",
        |outcome| sizes(outcome, "web:1") == [5, 0],
    )
    .is_green();
}

#[test]
fn incident_f4_a_service_in_use_is_adopted_by_blue_green_without_a_gap() {
    let mut incident = super::routing::adopted_service();
    incident.scenario.name = "F4";
    if let Some(last) = incident.scenario.story.iter_mut().rev().nth(1) {
        *last = crate::sim::run::Beat::Do(|stage| {
            let strategy = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary"}});
            stage.create(crate::sim::scenarios::manifests::with_strategy(
                5, "web:1", &strategy,
            ));
        });
    }
    incident
        .so("the Service was narrowed once", |outcome| {
            done(outcome, "services/web-stable").len() == 1
        })
        .is_green();
}

#[test]
fn incident_f5_the_weight_goes_on_from_where_it_was_to_the_end() {
    Incident::of("F5", stages::canary)
        .updated()
        .until("most of the traffic", |get| weight(get) == 80)
        .act(|stage| stages::spec(stage, &json!({"replicas": 6})))
        .finished()
        .so("it only rose", |outcome| {
            let weights = weights(outcome);
            rises(&weights[..weights.len() - 1]) && pods(outcome, "web:2") == 6
        })
        .is_green();
}

#[test]
fn incident_f6_a_metric_without_a_provider_is_no_success() {
    Incident::of("F6", stages::canary)
        .act(|stage| {
            stages::template(
                stage,
                "hollow",
                &json!([{"name": "hollow", "provider": {}}]),
            );
            let analysis = json!({"templates": [{"templateName": "hollow"}]});
            let steps = json!([{"setWeight": 20}, {"analysis": analysis}]);
            stages::spec(stage, &json!({"strategy": {"canary": {"steps": steps}}}));
        })
        .act(|stage| image(stage, "web:2"))
        .pause(120)
        .refused("set exactly one provider")
        .so("nothing has traffic by it", |outcome| {
            weights(outcome).is_empty() && pods(outcome, "web:1") == 5
        })
        .is_green();
}

#[test]
fn incident_f7_a_failure_while_a_person_is_waited_for_is_heeded() {
    Incident::of("F7", |stage| {
        let fields = json!({
            "analysis": {"templates": [{"templateName": "late"}]},
            "steps": [{"setWeight": 20}, {"pause": {}}],
        });
        let late = stages::metric("late", &json!({"initialDelay": "60s", "count": null}));
        stages::template(stage, "late", &json!([late]));
        stages::canary_with(stage, &fields);
    })
    .answers(one_query("late", &[0.5]))
    .updated()
    .until("the pause", is_paused)
    .until("the abort", is_taken_back)
    .so("the first version has everything", |outcome| {
        weights(outcome) == [20, 0] && pods(outcome, "web:1") == 5
    })
    .is_green();
}

#[test]
fn incident_f8_at_rest_no_annotation_splits_traffic() {
    Incident::of("F8", |stage| {
        let header = json!({"setHeaderRoute": {
            "name": "beta", "match": [{"headerName": "x-user", "headerValue": {"exact": "beta"}}],
        }});
        let canary = json!({
            "trafficRouting": {"nginx": {"stableIngress": "web"}, "managedRoutes": [{"name": "beta"}]},
            "steps": [{"setWeight": 20}, header, {"pause": {"duration": 5}}, {"setWeight": 60}],
        });
        stages::canary_with(stage, &canary);
    })
    .updated()
    .finished()
    .so("the canary Ingress sends nothing anywhere else", |outcome| {
        let canary = at_end(outcome, "ingresses/web-web-canary").to_string();
        weights(outcome).last() == Some(&0) && !canary.contains("canary-by-header")
    })
    .is_green();
}

/// A third version while the second one is measured, whose verdict is good.
pub(in crate::sim::scenarios) fn evidence() -> Incident {
    Incident::of("F9", stages::canary)
        .updated()
        .until("the good verdict", |get| weight(get) == 80)
        .act(|stage| image(stage, "web:3"))
        .until("the weight to go back", |get| weight(get) == 0)
        .finished()
        .so("each version was measured for itself", |outcome| {
            created(outcome, "analysisruns/") == 2 && pods(outcome, "web:3") == 5
        })
}

#[test]
fn incident_f9_a_verdict_counts_for_its_own_version_only() {
    evidence().is_green();
}

#[test]
fn incident_f10_going_back_to_what_is_stable_is_no_new_canary() {
    Incident::of("F10", stages::canary)
        .answers(share_of_errors(0.5))
        .updated()
        .until("the abort", is_taken_back)
        .act(|stage| image(stage, "web:1"))
        .until("the first version", is_healthy)
        .pause(60)
        .so(
            "the first version was neither measured nor made again",
            |outcome| {
                weights(outcome) == [20, 50, 0]
                    && created(outcome, "analysisruns/") == 1
                    && created(outcome, "replicasets/") == 2
            },
        )
        .is_green();
}

#[test]
fn incident_f11_defaults_that_somebody_writes_out_are_no_new_version() {
    Incident::of("F11", stages::canary)
        .act(|stage| {
            let template = json!({"metadata": {"annotations": {}}, "spec": {"nodeSelector": {}, "volumes": []}});
            stages::spec(stage, &json!({ "template": template }));
        })
        .pause(120)
        .so("there is one version, at rest", |outcome| {
            created(outcome, "replicasets/") == 1
                && at_end(outcome, "rollouts/web")["status"]["phase"] == "Healthy"
        })
        .is_green();
}

#[test]
fn incident_f12_a_rollout_that_is_deleted_puts_back_what_it_changed() {
    Incident::of("F12", stages::canary)
        .updated()
        .until("the first weight", |get| weight(get) == 20)
        .act(|stage| {
            stage.close_traffic();
            stage.delete("rollouts", "web", "Background");
        })
        .until("everything to be put back", |get| {
            let selector = &get("services/web-canary")["spec"]["selector"];
            get("ingresses/web-web-canary").is_null() && *selector == json!({"app": "web"})
        })
        .so("the Services are as users declared them", |outcome| {
            ["services/web-stable", "services/web-canary"]
                .iter()
                .all(|path| {
                    let service = at_end(outcome, path);
                    let label = &service["metadata"]["labels"]["tidegate.dev/managed-by-rollout"];
                    service["spec"]["selector"] == json!({"app": "web"}) && label.is_null()
                })
                && all(outcome, "replicasets/").is_empty()
        })
        .is_green();
}

#[test]
fn incident_f15_a_version_that_fails_after_its_promotion_goes_back_to_one_that_is_whole() {
    Incident::of("F15", |stage| {
        let bake =
            json!({"duration": "30s", "analysis": {"templates": [{"templateName": "after"}]}});
        stages::canary_with(stage, &json!({"bake": bake, "steps": [{"setWeight": 50}]}));
    })
    .answers(one_query("after", &[0.5]))
    .updated()
    .until("the abort", is_aborted)
    .until("the end of the weight", is_taken_back)
    .so(
        "the first version had all its pods all the time",
        |outcome| sizes(outcome, "web:1") == [5] && weights(outcome) == [50, 100, 0],
    )
    .is_green();
}
