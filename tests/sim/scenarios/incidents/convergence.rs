//! What gets stuck, goes on for ever, or forgets: A22, A23, A38 to A42, A44, A46, A47.

use serde_json::json;

use super::{
    Incident, all, at_end, created, done, pods,
    stages::{self, image, is_aborted, is_paused, is_taken_back},
    weights,
};
use crate::sim::{
    faults::plan::{Fault, Moment, Request, Verb, What, When},
    scenarios::stories::{is_healthy, share_of_errors, weight},
};

/// The stable version has shrunk, and everything is to go back.
pub(in crate::sim::scenarios) fn abort_of_a_shrunk_stable() -> Incident {
    Incident::of("A22", |stage| {
        let canary = json!({
            "dynamicStableScale": true, "scaleDownDelaySeconds": null,
            "steps": [{"setWeight": 80}, {"pause": {}}],
        });
        stages::canary_with(stage, &canary);
    })
    .graceful()
    .updated()
    .until("the pause", is_paused)
    .until("a small stable version", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .act(|stage| stages::ask(stage, "one", "abort"))
    .until("the end of the weight", is_taken_back)
    .until("the pods to go", |get| {
        get("rollouts/web")["status"]["replicas"] == 5
    })
    .so("all pods are of the first version", |outcome| {
        pods(outcome, "web:1") == 5
            && pods(outcome, "web:2") == 0
            && weights(outcome).last() == Some(&0)
    })
}

#[test]
fn incident_a22_nothing_waits_in_a_circle_for_a_stable_version_to_grow() {
    abort_of_a_shrunk_stable().is_green();
}

#[test]
fn incident_a38_a_release_that_is_over_is_at_rest_whatever_is_asked_of_it() {
    Incident::of("A38", stages::canary)
        .updated()
        .finished()
        .until("the old pods to go", |get| {
            get("rollouts/web")["status"]["replicas"] == 5
        })
        .act(|stage| stages::ask(stage, "one", "abort"))
        .until("the answer", |get| stages::handled(get, "one"))
        .act(|stage| stages::spec(stage, &json!({"paused": true})))
        .pause(600)
        .so("that took a handful of writes", |outcome| {
            let request = &at_end(outcome, "rollouts/web")["status"]["lastHandledRequest"];
            let asked = outcome
                .trace
                .iter()
                .position(|line| line.contains("\\\"verb\\\":\\\"abort\\\""));
            let writes = outcome
                .trace
                .iter()
                .skip(asked.unwrap_or(0))
                .filter(|line| line.contains("-> 200"));
            request["accepted"] == json!(false) && asked.is_some() && writes.count() <= 6
        })
        .is_green();
}

#[test]
fn incident_a39_each_analysis_is_made_once() {
    Incident::of("A39", |stage| {
        stages::canary_with(
            stage,
            &json!({"analysis": {"templates": [{"templateName": "after"}]}}),
        );
    })
    .updated()
    .finished()
    .so(
        "there was one for the step and one for the background",
        |outcome| created(outcome, "analysisruns/") == 2,
    )
    .is_green();
}

/// People write to everything while the controller does.
pub(in crate::sim::scenarios) fn conflicts() -> Incident {
    let mut incident = Incident::of("A41", stages::canary).updated();
    for _ in 0..60 {
        incident = incident.act(stages::touch_everything);
        incident.scenario.story.push(crate::sim::run::Beat::Pause(
            std::time::Duration::from_millis(331),
        ));
    }
    incident.finished().so(
        "what people wrote is there, and each weight was written once",
        |outcome| {
            let kept = [
                "rollouts/web",
                "services/web-stable",
                "services/web-canary",
                "ingresses/web",
            ]
            .iter()
            .all(|path| at_end(outcome, path)["metadata"]["annotations"]["touched"].is_string());
            kept && weights(outcome) == [20, 50, 80, 100, 0]
        },
    )
}

#[test]
fn incident_a41_writes_that_meet_others_are_decided_again() {
    conflicts().is_green();
}

#[test]
fn incident_a44_a_pause_longer_than_the_deadline_is_no_failure() {
    Incident::of("A44", |stage| {
        stages::blue_green(stage, &json!({"autoPromotionEnabled": false}));
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
    .finished()
    .so("the second version has all pods", |outcome| {
        pods(outcome, "web:2") == 5
    })
    .is_green();
}

#[test]
fn incident_a46_a_canary_that_is_tried_again_begins_anew_and_ends() {
    Incident::of("A46", stages::canary)
        .updated()
        .until("half of the traffic", |get| weight(get) == 50)
        .act(|stage| stages::ask(stage, "one", "abort"))
        .until("the end of the weight", is_taken_back)
        .until("the pods to go", |get| {
            get("rollouts/web")["status"]["replicas"] == 5
        })
        .act(|stage| stages::ask(stage, "two", "retry"))
        .until("the retry", |get| !is_aborted(get))
        .finished()
        .so("it took all its steps", |outcome| {
            weights(outcome) == [20, 50, 0, 20, 50, 80, 100, 0] && pods(outcome, "web:2") == 5
        })
        .is_green();
}

/// Versions come and go, and leave pods to be taken away later.
pub(in crate::sim::scenarios) fn many_versions() -> Incident {
    Incident::of("A47", stages::canary)
        .updated()
        .until("the first weight", |get| weight(get) == 20)
        .act(|stage| image(stage, "web:3"))
        .until("the third version with some traffic", |get| {
            weight(get) == 50
        })
        .act(|stage| stages::ask(stage, "one", "abort"))
        .until("the end of the weight", is_taken_back)
        .act(|stage| image(stage, "web:4"))
        .until("the update to begin", |get| {
            !is_healthy(get) && !is_aborted(get)
        })
        .finished()
        .pause(120)
        .so("only pods of the last version are left", |outcome| {
            let sizes: i64 = all(outcome, "replicasets/")
                .iter()
                .filter_map(|(_, set)| set["spec"]["replicas"].as_i64())
                .sum();
            sizes == 5 && pods(outcome, "web:4") == 5
        })
}

#[test]
fn incident_a47_pods_of_versions_that_are_over_go() {
    many_versions().is_green();
}

#[test]
fn incident_a41_a_cache_that_is_late_and_writes_that_are_refused_are_no_end() {
    let conflict = What::Refuse {
        code: 409,
        moment: Moment::Before,
        retry_after: None,
    };
    let faults = vec![
        at("services", Verb::Patch, 3, conflict.clone()),
        at("ingresses", Verb::Patch, 1, conflict.clone()),
        at("replicasets", Verb::Patch, 1, conflict),
        at("ingresses", Verb::Patch, 2, hold("ingresses")),
        at("rollouts", Verb::Patch, 9, hold("rollouts")),
        at("replicasets", Verb::Patch, 2, hold("replicasets")),
    ];
    Incident::of("A41", stages::canary)
        .suffering(faults, 120)
        .updated()
        .finished()
        .so("each weight was written once", |outcome| {
            outcome.strikes == 6 && weights(outcome) == [20, 50, 80, 100, 0]
        })
        .is_green();
}

/// At the n-th such request.
fn at(kind: &str, verb: Verb, n: u32, what: What) -> Fault {
    let request = Request {
        n,
        verb: Some(verb),
        kind: Some(kind.to_owned()),
        name: None,
    };
    Fault {
        when: When::Request(request),
        what,
    }
}

fn hold(kind: &str) -> What {
    What::Hold {
        kind: kind.to_owned(),
        by: 4_000,
    }
}

#[test]
fn incident_a42_an_analysis_that_no_cache_shows_yet_gives_no_release_up() {
    let faults = vec![
        at("analysisruns", Verb::Create, 1, What::Break(Moment::After)),
        at("analysisruns", Verb::Create, 1, hold("analysisruns")),
    ];
    Incident::of("A42", stages::canary)
        .suffering(faults, 120)
        .updated()
        .finished()
        .so("there was one run, and the weight only rose", |outcome| {
            outcome.strikes == 2
                && all(outcome, "analysisruns/").len() == 1
                && weights(outcome) == [20, 50, 80, 100, 0]
        })
        .is_green();
}

#[test]
fn incident_a40_two_controllers_that_act_at_once_come_to_one_end() {
    let second = Fault {
        when: When::At(8_000),
        what: What::Second { by: 300_000 },
    };
    Incident::of("A40", stages::canary)
        .suffering(vec![second], 310)
        .updated()
        .finished()
        .so("all pods are of the second version", |outcome| {
            outcome.strikes == 1 && pods(outcome, "web:1") == 0 && pods(outcome, "web:2") == 5
        })
        .is_green();
}

#[test]
fn incident_a40_a_leader_that_sleeps_past_its_lease_writes_nothing_after_it() {
    let sleep = Fault {
        when: When::At(12_000),
        what: What::Freeze { by: 60_000 },
    };
    let mut incident = Incident::of("A40", stages::canary);
    incident.scenario.elect = true;
    incident
        .suffering(vec![sleep], 180)
        .updated()
        .finished()
        .so("all pods are of the second version", |outcome| {
            outcome.strikes == 1 && pods(outcome, "web:1") == 0 && pods(outcome, "web:2") == 5
        })
        .is_green();
}

#[test]
fn incident_a23_a_switch_back_waits_for_no_more_than_one_pod() {
    Incident::of("A23", |stage| {
        stages::blue_green(
            stage,
            &json!({
                "scaleDownDelaySeconds": 10,
                "postPromotionAnalysis": {"templates": [{"templateName": "after"}]},
            }),
        );
    })
    .answers(share_of_errors(0.5))
    .updated()
    .until("the abort", is_aborted)
    .until("the first version to serve again", |get| {
        let status = &get("rollouts/web")["status"];
        status["blueGreen"]["activeSelector"] == status["stableRS"]
    })
    .so("the Service went there and back", |outcome| {
        let moves = done(outcome, "services/web-stable");
        moves
            .iter()
            .filter(|line| line.starts_with("selects"))
            .count()
            == 3
            && pods(outcome, "web:1") == 5
    })
    .is_green();
}
