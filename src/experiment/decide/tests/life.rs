//! From the first pod to the last.

use serde_json::json;

use super::world::{analyses, template, world};
use crate::{
    api::{analysis::AnalysisPhase, experiment::TemplatePhase},
    experiment::snapshot::Refused,
};

#[test]
fn every_template_gets_its_pods_and_the_duration_counts_from_when_all_are_available() {
    let _covers = testbed::covers(&[
        "Experiment spec.templates[].name",
        "Experiment spec.templates[].template",
        "Experiment spec.templates[].replicas",
        "Experiment spec.duration",
        "Experiment status.availableAt",
    ]);
    let mut two = template("two");
    two["replicas"] = json!(3);
    let templates = json!([template("one"), two]);
    let mut world = world(&json!({"templates": templates, "duration": "60s"}));
    world.settle();
    assert_eq!(world.sizes(), [1, 3]);
    world.wait(100);
    assert_eq!(
        (world.phase(), world.status.available_at),
        (AnalysisPhase::Pending, None)
    );
    world.pods(2);
    let phases = [0, 1].map(|index| world.template_status(index).status.unwrap());
    assert_eq!(phases, [TemplatePhase::Running, TemplatePhase::Progressing]);
    world.pods(3);
    assert_eq!(world.phase(), AnalysisPhase::Running);
    world.wait(59);
    assert_eq!(world.phase(), AnalysisPhase::Running);
    world.wait(1);
    assert_eq!(world.phase(), AnalysisPhase::Successful);
    assert_eq!(world.condition("Ready").unwrap().0, "True");
}

#[test]
fn pods_stay_for_the_delay_after_the_end_and_the_verdict_for_ever() {
    let _covers = testbed::covers(&["Experiment spec.scaleDownDelaySeconds"]);
    for (delay, seconds) in [(None, 30), (Some(90), 90), (Some(0), 0)] {
        let mut world =
            world(&json!({"duration": "60s", "scaleDownDelaySeconds": delay})).available();
        world.wait(60);
        if seconds > 0 {
            world.wait(seconds - 1);
            assert_eq!(world.sizes(), [1], "{delay:?}");
            world.wait(1);
        }
        assert_eq!(world.sizes(), [0], "{delay:?}");
        world.pods(0);
        world.wait(10_000);
        assert_eq!(world.phase(), AnalysisPhase::Successful);
    }
}

#[test]
fn pods_that_are_late_fail_it_and_flapping_does_not_reset_the_clock() {
    let _covers = testbed::covers(&["Experiment spec.progressDeadlineSeconds"]);
    for (limit, seconds) in [(None, 600), (Some(40), 40)] {
        let templates = json!([template("one"), template("two")]);
        let mut world = world(&json!({"templates": templates, "progressDeadlineSeconds": limit}));
        world.settle();
        let name = "exp-one".to_owned();
        for available in [1, 0] {
            world.wait(seconds / 4);
            let set = world.sets.get_mut(&name).unwrap();
            (set.current, set.available) = (1, available);
            world.settle();
        }
        world.wait(seconds / 2 - 1);
        assert_eq!(world.phase(), AnalysisPhase::Pending);
        world.wait(1);
        assert_eq!(world.phase(), AnalysisPhase::Failed);
        let message = world.status.message.clone().unwrap();
        assert!(
            message.contains(&format!("not available within {seconds} seconds")),
            "{message}"
        );
        assert_eq!(world.condition("Stalled").unwrap().0, "True");
    }
}

#[test]
fn pods_that_vanish_keep_it_from_being_successful() {
    let mut world = world(&json!({"duration": "60s", "progressDeadlineSeconds": 50})).available();
    world.wait(30);
    world.pods(0);
    world.wait(31);
    assert_eq!(world.phase(), AnalysisPhase::Running);
    world.pods(1);
    assert_eq!(world.phase(), AnalysisPhase::Successful);
}

#[test]
fn without_a_duration_it_runs_until_the_required_analyses_have_ended_or_for_ever() {
    let _covers = testbed::covers(&["Experiment spec.analyses[].requiredForCompletion"]);
    for (words, ends) in [("errors!", true), ("errors", false), ("", false)] {
        let mut world = world(&json!({"analyses": analyses(words)})).available();
        world.wait(1_000_000);
        assert_eq!(world.phase(), AnalysisPhase::Running, "{words}");
        if !words.is_empty() {
            world.ends("errors", AnalysisPhase::Successful);
        }
        let ended = world.phase() == AnalysisPhase::Successful;
        assert_eq!(ended, ends, "{words}");
    }
}

#[test]
fn terminate_is_a_success_only_for_what_waits_for_nothing_else() {
    let _covers = testbed::covers(&["Experiment spec.terminate"]);
    let (successful, inconclusive) = (AnalysisPhase::Successful, AnalysisPhase::Inconclusive);
    for (more, seconds, verdict) in [
        (json!({}), 0, successful),
        (json!({"duration": "60s"}), 0, inconclusive),
        (json!({"analyses": analyses("errors!")}), 0, inconclusive),
        (
            json!({"duration": "60s", "analyses": analyses("errors!")}),
            100,
            inconclusive,
        ),
    ] {
        let mut world = world(&more).available();
        world.wait(seconds);
        world.spec["terminate"] = json!(true);
        world.settle();
        assert_eq!(world.phase(), verdict, "{more}");
        assert!(world.runs.values().all(|run| run.terminate), "{more}");
        world.wait(30);
        assert_eq!(world.sizes(), [0], "{more}");
    }
}

#[test]
fn terminated_before_it_was_available_it_proves_nothing() {
    let mut world = world(&json!({"terminate": true}));
    world.settle();
    assert_eq!(
        (world.phase(), world.sets.len()),
        (AnalysisPhase::Inconclusive, 0)
    );
}

#[test]
fn a_name_that_is_taken_is_never_taken_over() {
    let mut world = world(&json!({"duration": "60s"}));
    world.refusals.insert("exp-one".to_owned(), Refused::Taken);
    world.reconcile();
    world.sets.clear();
    world.reconcile();
    let message = world.template_status(0).message.clone().unwrap();
    assert!(message.contains("the name exp-one to be free"), "{message}");
    assert!(
        world
            .actions
            .iter()
            .all(|action| *action == "create_replica_set")
    );
}

#[test]
fn a_pod_template_that_the_server_refuses_is_told_and_fails_at_the_deadline() {
    let mut world = world(&json!({"duration": "60s"}));
    world.refusals.insert(
        "exp-one".to_owned(),
        Refused::Invalid("no such field".to_owned()),
    );
    world.settle();
    assert_eq!(world.actions, [] as [&str; 0]);
    assert_eq!(
        world.condition("ReplicaFailure").unwrap().1,
        "exp-one: no such field"
    );
    world.wait(600);
    assert_eq!(world.phase(), AnalysisPhase::Failed);
}

#[test]
fn another_number_of_pods_is_followed() {
    let mut world = world(&json!({"duration": "60s"})).available();
    world.spec["templates"][0]["replicas"] = json!(2);
    world.settle();
    assert_eq!(world.sizes(), [2]);
}

#[test]
fn the_hash_of_its_pods_is_that_of_no_other_version() {
    let mut world = world(&json!({"templates": [template("one"), template("one")]}));
    world.spec["templates"][1]["name"] = json!("two");
    world.settle();
    let hashes: Vec<&String> = world
        .sets
        .values()
        .map(|set| &set.pod_template_hash)
        .collect();
    assert_ne!(hashes[0], hashes[1]);
    let labels = &world.objects["exp-one"]["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["tidegate.dev/experiment-name"], "exp");
    assert_eq!(labels["tidegate.dev/template-name"], "one");
    assert_eq!(
        world.objects["exp-one"]["spec"]["selector"]["matchLabels"]["tidegate.dev/pod-template-hash"],
        **hashes[0]
    );
}

#[test]
fn what_happens_is_told_once() {
    let mut world = world(&json!({"duration": "60s", "analyses": analyses("errors")})).available();
    world.wait(60);
    world.ends("errors", AnalysisPhase::Successful);
    let told: Vec<&str> = world.notes.iter().map(|note| note.reason).collect();
    assert_eq!(
        told,
        [
            "TemplateRunning",
            "ExperimentRunning",
            "AnalysisRunRunning",
            "AnalysisRunSuccessful",
            "ExperimentSuccessful",
        ]
    );
}
