//! Who can carry what: A3, A4, A6, A7, A11 to A13, A15, A19 to A21, A25, A26.

use serde_json::json;

use super::{
    Incident, at_end, done, pods, rises, sizes,
    stages::{self, image},
    weights,
};
use crate::sim::scenarios::stories::{is_healthy, share_of_errors, weight};

pub(in crate::sim::scenarios) fn promoted_in_full() -> Incident {
    Incident::of("A3", stages::canary)
        .updated()
        .act(|stage| stages::ask(stage, "one", "promote-full"))
        .finished()
        .so("all traffic came when all pods were there", |outcome| {
            weights(outcome) == [100, 0] && pods(outcome, "web:2") == 5
        })
}

#[test]
fn incident_a3_a_promotion_in_full_waits_for_pods_that_are_available() {
    promoted_in_full().is_green();
}

pub(in crate::sim::scenarios) fn dynamic() -> Incident {
    Incident::of("A4", |stage| {
        let fields = json!({"dynamicStableScale": true, "scaleDownDelaySeconds": null});
        stages::canary_with(stage, &fields);
    })
    .graceful()
    .updated()
    .finished()
    .so("the old version shrank step by step", |outcome| {
        let sizes = sizes(outcome, "web:1");
        sizes.len() > 2 && sizes.iter().rev().copied().collect::<Vec<_>>().is_sorted()
    })
}

#[test]
fn incident_a4_a_stable_version_that_shrinks_with_its_traffic_loses_none_of_it() {
    dynamic().is_green();
}

#[test]
fn incident_a6_an_abort_without_an_update_changes_nothing() {
    Incident::of("A6", stages::canary)
        .act(|stage| stages::ask(stage, "one", "abort"))
        .until("the answer", |get| stages::handled(get, "one"))
        .pause(60)
        .so("it was refused, and no size was written", |outcome| {
            let request = &at_end(outcome, "rollouts/web")["status"]["lastHandledRequest"];
            request["accepted"] == json!(false) && sizes(outcome, "web:1") == [5]
        })
        .is_green();
}

#[test]
fn incident_a7_weight_goes_back_only_to_as_many_stable_pods_as_carry_it() {
    Incident::of("A7", |stage| {
        let canary = json!({
            "dynamicStableScale": true, "scaleDownDelaySeconds": null,
            "trafficRouting": {"maxTrafficWeight": 1000},
            "steps": [{"setWeight": 800}, {"pause": {"duration": "30s"}}],
        });
        stages::canary_with(stage, &canary);
    })
    .graceful()
    .updated()
    .until("most of the traffic", |get| weight(get) == 800)
    .until("a small stable version", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .act(|stage| image(stage, "web:3"))
    .until("the weight to go back", |get| weight(get) == 0)
    .finished()
    .so("the last version has all pods", |outcome| {
        (
            pods(outcome, "web:1"),
            pods(outcome, "web:2"),
            pods(outcome, "web:3"),
        ) == (0, 0, 5)
    })
    .is_green();
}

#[test]
fn incident_a11_a_change_of_strategy_in_mid_flight_takes_no_pod_of_the_stable_version() {
    Incident::of("A11", stages::canary)
        .updated()
        .until("the first weight", |get| weight(get) == 20)
        .act(|stage| {
            let blue_green = json!({"activeService": "web-stable", "previewService": "web-canary", "scaleDownDelaySeconds": 10});
            stages::spec(stage, &json!({"strategy": {"canary": null, "blueGreen": blue_green}}));
        })
        .finished()
        .so("the old version had all its pods until it had none", |outcome| {
            sizes(outcome, "web:1") == [5, 0] && pods(outcome, "web:2") == 5
        })
        .is_green();
}

#[test]
fn incident_a12_a_rollback_gives_a_small_stable_version_no_more_than_it_carries() {
    Incident::of("A12", |stage| {
        let canary = json!({
            "dynamicStableScale": true, "scaleDownDelaySeconds": null,
            "steps": [{"setWeight": 80}, {"pause": {}}],
        });
        stages::canary_with(stage, &canary);
    })
    .graceful()
    .updated()
    .until("the pause", stages::is_paused)
    .until("a small stable version", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .act(|stage| image(stage, "web:1"))
    .until("the first version", is_healthy)
    .until("the end of the weight", |get| weight(get) == 0)
    .so("all pods are of the first version", |outcome| {
        pods(outcome, "web:1") == 5 && pods(outcome, "web:2") == 0
    })
    .is_green();
}

/// An analysis fails when most of the few pods are of the new version.
pub(in crate::sim::scenarios) fn aborted_by_pods() -> Incident {
    Incident::of("A13", |stage| {
        let steps = json!([
            {"setWeight": 75}, {"analysis": {"templates": [{"templateName": "errors"}]}},
        ]);
        stages::by_pods(stage, &json!({ "steps": steps }));
    })
    .unrouted()
    .answers(share_of_errors(0.5))
    .updated()
    .until("the abort", stages::is_aborted)
    .until("the first version to be whole", |get| {
        let status = &get("rollouts/web")["status"];
        status["availableReplicas"] == 4 && status["updatedReplicas"].as_i64().unwrap_or(0) == 0
    })
    .so("all pods are of the first version", |outcome| {
        pods(outcome, "web:1") == 4 && pods(outcome, "web:2") == 0
    })
}

#[test]
fn incident_a13_a_failed_analysis_takes_no_more_pods_than_others_make_up_for() {
    aborted_by_pods().is_green();
}

#[test]
fn incident_a15_a_size_that_comes_with_a_version_does_not_resize_what_serves() {
    Incident::of("A15", |stage| {
        stages::blue_green(stage, &json!({"autoPromotionEnabled": false}));
    })
    .act(|stage| {
        let containers = json!([{"name": "web", "image": "web:2"}]);
        stages::spec(
            stage,
            &json!({"replicas": 2, "template": {"spec": {"containers": containers}}}),
        );
    })
    .until("the pause", stages::is_paused)
    .pause(30)
    .act(|stage| stages::ask(stage, "one", "promote"))
    .finished()
    .so("what served kept its size until it went", |outcome| {
        sizes(outcome, "web:1") == [5, 0] && pods(outcome, "web:2") == 2
    })
    .is_green();
}

/// A whole of a hundred million and more pods than 32 bits of product have room for.
pub(in crate::sim::scenarios) fn great_weights() -> Incident {
    Incident::of("A19", |stage| {
        let canary = json!({
            "trafficRouting": {"maxTrafficWeight": 100_000_000},
            "steps": [{"setWeight": 50_000_000}, {"pause": {"duration": 5}}, {"setWeight": 99_999_999}, {"pause": {"duration": 5}}],
        });
        stages::canary_with(stage, &canary);
        stages::spec(stage, &json!({"replicas": 43}));
    })
    .updated()
    .finished()
    .so("half of it took half of the pods", |outcome| {
        sizes(outcome, "web:2") == [22, 43]
    })
}

#[test]
fn incident_a19_a_hundred_million_parts_of_the_traffic_are_counted_right() {
    great_weights().is_green();
}

#[test]
fn incident_a20_a_version_that_overtakes_another_without_a_router_is_finished() {
    Incident::of("A20", |stage| stages::by_pods(stage, &json!({})))
        .unrouted()
        .updated()
        .until("a pod of the second version", |get| {
            get("rollouts/web")["status"]["updatedReplicas"] == 1
        })
        .act(|stage| image(stage, "web:3"))
        .until("the third version", |get| {
            let rollout = get("rollouts/web");
            is_healthy(get) && rollout["status"]["currentPodHash"] == rollout["status"]["stableRS"]
        })
        .so("all pods are of the third version", |outcome| {
            (
                pods(outcome, "web:1"),
                pods(outcome, "web:2"),
                pods(outcome, "web:3"),
            ) == (0, 0, 4)
        })
        .is_green();
}

#[test]
fn incident_a21_a_way_back_by_pods_stays_within_the_surge() {
    Incident::of("A21", |stage| {
        stages::by_pods(stage, &json!({"steps": [{"setWeight": 75}, {"pause": {}}]}));
    })
    .unrouted()
    .updated()
    .until("the pause", stages::is_paused)
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the first version to be whole", |get| {
        let status = &get("rollouts/web")["status"];
        status["availableReplicas"] == 4 && status["updatedReplicas"].as_i64().unwrap_or(0) == 0
    })
    .so("the first version grew one pod at a time", |outcome| {
        let sizes = sizes(outcome, "web:1");
        sizes.windows(2).all(|pair| pair[1] - pair[0] <= 1) && sizes.last() == Some(&4)
    })
    .is_green();
}

#[test]
fn incident_a25_a_new_size_in_mid_flight_loses_neither_step_nor_weight() {
    Incident::of("A25", |stage| {
        stages::steps(
            stage,
            &json!([{"setWeight": 20}, {"pause": {"duration": "40s"}}, {"setWeight": 60}]),
        );
    })
    .graceful()
    .updated()
    .until("the pause", stages::is_paused)
    .act(|stage| stages::spec(stage, &json!({"replicas": 9})))
    .until("the new size", |get| {
        get("rollouts/web")["status"]["replicas"].as_i64() >= Some(11)
    })
    .act(|stage| stages::spec(stage, &json!({"replicas": 3})))
    .finished()
    .so("the weight only rose", |outcome| {
        weights(outcome) == [20, 60, 100, 0] && pods(outcome, "web:2") == 3
    })
    .is_green();
}

#[test]
fn incident_a26_a_version_and_a_size_that_come_together_are_finished() {
    Incident::of("A26", |stage| stages::by_pods(stage, &json!({})))
        .unrouted()
        .act(|stage| {
            let containers = json!([{"name": "web", "image": "web:2"}]);
            stages::spec(
                stage,
                &json!({"replicas": 7, "template": {"spec": {"containers": containers}}}),
            );
        })
        .until("the update to begin", |get| !is_healthy(get))
        .finished()
        .so("all seven pods are of the second version", |outcome| {
            pods(outcome, "web:2") == 7 && rises(&sizes(outcome, "web:2"))
        })
        .is_green();
}

#[test]
fn incident_a24_a_service_that_is_missing_takes_no_pod_and_no_weight() {
    Incident::of("A24", stages::canary)
        .updated()
        .until("the first weight", |get| weight(get) == 20)
        .act(|stage| stage.delete("analysistemplates", "errors", "Background"))
        .pause(60)
        .so("the canary stays where it was, and says why", |outcome| {
            let rollout = at_end(outcome, "rollouts/web");
            weights(outcome) == [20]
                && pods(outcome, "web:1") == 5
                && done(outcome, "services/web-stable").len() <= 1
                && rollout["status"]["message"].to_string().contains("errors")
        })
        .is_green();
}
