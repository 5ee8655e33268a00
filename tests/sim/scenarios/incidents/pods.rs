//! Pods that do not do as they should, those of Jobs too: A2, A9, A21, A28, A32, A36, F2, F14, F16.

use serde_json::json;
use tidegate::sim::actors::behaviour::{Behaviour, Run};

use super::{
    Incident, all, at_end, created, in_order, pods, rises, sizes,
    stages::{self, image, is_aborted, is_paused, is_taken_back, metric, template},
    weights,
};
use crate::sim::{
    run::{Beat, Stage},
    scenarios::stories::{is_healthy, weight},
};

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

fn flapping() -> Behaviour {
    Behaviour {
        flaps: Some(12 * SECOND),
        ..Behaviour::default()
    }
}

#[test]
fn incident_a2_pods_that_come_and_go_end_no_service_early() {
    Incident::of("A2", stages::canary)
        .image("web:2", flapping())
        .updated()
        .finished()
        .act(Stage::heal)
        .so(
            "the old pods went in one piece after the Service had left them",
            |outcome| {
                in_order(outcome, &["services/web-stable {", "{\"replicas\":0}"])
                    && sizes(outcome, "web:1") == [5, 0]
            },
        )
        .is_green();
}

#[test]
fn incident_a21_weight_does_not_rise_during_an_abort_while_stable_pods_come_and_go() {
    Incident::of("A21", |stage| {
        let canary = json!({
            "dynamicStableScale": true, "scaleDownDelaySeconds": null,
            "steps": [{"setWeight": 80}, {"pause": {}}],
        });
        stages::canary_with(stage, &canary);
    })
    .graceful()
    .image("web:1", flapping())
    .updated()
    .until("most of the traffic", |get| weight(get) == 80)
    .pause(20)
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the end of the weight", is_taken_back)
    .act(Stage::heal)
    .so("it only fell after the abort", |outcome| {
        let weights = weights(outcome);
        let highest = weights.iter().rposition(|weight| *weight == 80);
        weights[highest.unwrap_or(0)..]
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .is_sorted()
    })
    .is_green();
}

fn checked_by_a_job(name: &'static str) -> Incident {
    Incident::of(name, |stage| {
        let container = json!({"name": "check", "image": "check:1"});
        let job = json!({"spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}});
        template(
            stage,
            "job",
            &json!([{"name": "check", "provider": {"job": job}}]),
        );
        let analysis = json!({"templates": [{"templateName": "job"}]});
        stages::steps(stage, &json!([{"setWeight": 20}, {"analysis": analysis}]));
    })
}

#[test]
fn incident_a28_a_job_that_fails_is_no_success() {
    let fails = Behaviour::of_image("check:v1-fail");
    checked_by_a_job("A28")
        .image("check:1", fails)
        .updated()
        .until("the abort", is_taken_back)
        .so("the first version has everything", |outcome| {
            weights(outcome) == [20, 0] && pods(outcome, "web:1") == 5
        })
        .is_green();
}

#[test]
fn incident_a36_a_job_without_its_image_is_no_success() {
    let pulls = Behaviour {
        run: Run::NoImage,
        ..Behaviour::default()
    };
    checked_by_a_job("A36")
        .image("check:1", pulls)
        .updated()
        .until("the analysis", |get| {
            get("rollouts/web")["status"]["canary"]["currentStepAnalysisRunStatus"]["status"]
                == "Running"
        })
        .pause(600)
        .so("no run was successful, and nothing went on", |outcome| {
            let runs = all(outcome, "analysisruns/");
            weights(outcome) == [20]
                && runs.len() == 1
                && runs
                    .iter()
                    .all(|(_, run)| run["status"]["phase"] != "Successful")
        })
        .is_green();
}

#[test]
fn incident_a32_an_analysis_before_the_switch_is_whole_though_pods_come_and_go() {
    Incident::of("A32", |stage| {
        template(
            stage,
            "long",
            &json!([metric("long", &json!({"interval": "10s", "count": 6}))]),
        );
        let analysis = json!({"templates": [{"templateName": "long"}]});
        stages::blue_green(stage, &json!({"prePromotionAnalysis": analysis}));
    })
    .image("web:2", flapping())
    .updated()
    .finished()
    .act(Stage::heal)
    .so("there was one run, with all its measurements", |outcome| {
        let runs = all(outcome, "analysisruns/");
        runs.len() == 1 && runs[0].1["status"]["metricResults"][0]["count"] == 6
    })
    .is_green();
}

fn slow() -> Behaviour {
    Behaviour {
        ready_after: Some(20 * SECOND),
        ..Behaviour::default()
    }
}

#[test]
fn incident_f2_old_pods_stay_while_those_of_the_new_version_start_slowly() {
    Incident::of("F2", stages::canary)
        .image("web:2", slow())
        .updated()
        .act(|stage| stages::ask(stage, "one", "promote-full"))
        .finished()
        .so("the old version was whole until it went", |outcome| {
            weights(outcome) == [100, 0] && sizes(outcome, "web:1") == [5, 0]
        })
        .is_green();
}

#[test]
fn incident_f14_the_deadline_ends_a_promotion_too() {
    Incident::of("F14", |stage| {
        stages::steps(stage, &json!([{"setWeight": 20}]));
        stages::spec(
            stage,
            &json!({"progressDeadlineSeconds": 30, "progressDeadlineAbort": true}),
        );
    })
    .quota(7)
    .updated()
    .until("the abort", is_taken_back)
    .until("the pods to go", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .so("it was given up for want of progress", |outcome| {
        let rollout = at_end(outcome, "rollouts/web");
        rollout["status"]["message"]
            .to_string()
            .contains("no progress")
            && pods(outcome, "web:1") == 5
    })
    .is_green();
}

#[test]
fn incident_f16_a_broken_stable_version_does_not_keep_its_fix_out() {
    let crashes = Behaviour {
        run: Run::CrashesAfter(40 * SECOND),
        ..Behaviour::default()
    };
    Incident::of("F16", stages::canary)
        .image("web:1", crashes)
        .act(Stage::close_traffic)
        .pause(60)
        .updated()
        .finished()
        .so("all pods are of the fix", |outcome| {
            pods(outcome, "web:2") == 5 && pods(outcome, "web:1") == 0
        })
        .is_green();
}

#[test]
fn incident_f16_a_first_version_that_never_starts_does_not_keep_its_fix_out() {
    let never = Behaviour {
        ready_after: None,
        ..Behaviour::default()
    };
    Incident::of("F16", stages::canary)
        .image("web:1", never)
        .begun(vec![Beat::Do(stages::canary), Beat::Pause(60 * SECOND)])
        .act(|stage| image(stage, "web:2"))
        .finished()
        .until("the broken pods to go", |get| {
            get("rollouts/web")["status"]["replicas"] == 5
        })
        .so("all pods are of the fix", |outcome| {
            pods(outcome, "web:2") == 5
                && pods(outcome, "web:1") == 0
                && created(outcome, "replicasets/") == 2
        })
        .is_green();
}

#[test]
fn incident_a45_pods_that_cannot_start_are_given_up_at_the_deadline() {
    let pulls = Behaviour {
        run: Run::NoImage,
        ..Behaviour::default()
    };
    Incident::of("A45", |stage| {
        stages::canary(stage);
        stages::spec(
            stage,
            &json!({"progressDeadlineSeconds": 30, "progressDeadlineAbort": true}),
        );
    })
    .image("web:2", pulls)
    .updated()
    .until("the abort", is_aborted)
    .so("nobody was sent to it", |outcome| {
        weights(outcome).iter().all(|weight| *weight == 0) && rises(&sizes(outcome, "web:1"))
    })
    .is_green();
}

#[test]
fn incident_a44_a_canary_that_waits_for_a_person_is_not_late() {
    Incident::of("A44", |stage| {
        stages::steps(stage, &json!([{"setWeight": 20}, {"pause": {}}]));
        stages::spec(
            stage,
            &json!({"progressDeadlineSeconds": 20, "progressDeadlineAbort": true}),
        );
    })
    .updated()
    .until("the pause", is_paused)
    .pause(300)
    .until("the pause still", is_paused)
    .act(|stage| stages::ask(stage, "one", "promote"))
    .until("the second version", is_healthy)
    .so("it has all pods", |outcome| pods(outcome, "web:2") == 5)
    .is_green();
}

#[test]
fn incident_a9_a_restart_and_an_update_at_once_take_no_pod_too_many() {
    Incident::of("A9", |stage| {
        stages::by_pods(stage, &json!({}));
        stages::spec(stage, &json!({"replicas": 2}));
    })
    .unrouted()
    .pause(60)
    .act(|stage| stages::spec(stage, &json!({"restartAt": "2026-01-02T03:04:50Z"})))
    .updated()
    .finished()
    .until("the restart to be done", |get| {
        get("rollouts/web")["status"]["restartedAt"].is_string()
    })
    .so("both pods are of the second version", |outcome| {
        in_order(outcome, &["/eviction"])
            && pods(outcome, "web:2") == 2
            && pods(outcome, "web:1") == 0
    })
    .is_green();
}
