//! What AnalysisRuns come to.

use serde_json::json;

use super::world::{analyses, template, world};
use crate::{
    api::analysis::AnalysisPhase::{self, Error, Failed, Inconclusive, Running, Successful},
    experiment::snapshot::Refused,
};

#[test]
fn a_run_that_ends_badly_ends_the_experiment_with_its_phase() {
    for required in ["errors!", "errors"] {
        for phase in [Failed, Error, Inconclusive] {
            let mut world =
                world(&json!({"duration": "60s", "analyses": analyses(required)})).available();
            world.ends("errors", phase);
            assert_eq!(world.phase(), phase, "{required}");
            let expected = format!("AnalysisRun exp-errors is {phase:?}: because");
            assert_eq!(world.status.message.as_deref(), Some(&*expected));
        }
    }
}

#[test]
fn argo_943_an_experiment_is_not_successful_while_its_run_later_fails() {
    let required = json!({"duration": "60s", "analyses": analyses("errors!")});
    for phase in [Successful, Failed, Error, Inconclusive] {
        let mut world = world(&required).available();
        world.wait(1_000);
        assert_eq!(
            world.phase(),
            Running,
            "its duration is over, its analysis is not"
        );
        assert!(!world.runs["exp-errors"].terminate);
        world.ends("errors", phase);
        assert_eq!(world.phase(), phase);
    }
    // One that is not required is broken off, and what it had found counts.
    let optional = json!({"duration": "60s", "analyses": analyses("errors")});
    for (phase, verdict) in [
        (Successful, Successful),
        (Failed, Failed),
        (Error, Error),
        (Inconclusive, Successful),
    ] {
        let mut world = world(&optional).available();
        world.wait(60);
        assert!(world.runs["exp-errors"].terminate);
        assert_eq!(
            world.phase(),
            Running,
            "a broken off run has not said its last word"
        );
        world.ends("errors", phase);
        assert_eq!(world.phase(), verdict, "{phase:?}");
    }
}

#[test]
fn the_worst_run_counts() {
    let mut world = world(&json!({"analyses": analyses("errors! latency!")})).available();
    world.runs.get_mut("exp-latency").unwrap().phase = Failed;
    world.ends("errors", Inconclusive);
    assert_eq!(world.phase(), Failed);
    assert!(world.status.message.unwrap().contains("exp-latency"));
}

#[test]
fn analyses_start_when_all_versions_are_available() {
    let templates = json!([template("one"), template("two")]);
    let mut world = world(&json!({"templates": templates, "analyses": analyses("errors!")}));
    world.settle();
    for (name, runs) in [("exp-one", 0), ("exp-two", 1)] {
        let set = world.sets.get_mut(name).unwrap();
        (set.current, set.available) = (1, 1);
        world.settle();
        assert_eq!(world.runs.len(), runs, "{name}");
    }
}

#[test]
fn what_a_run_that_is_gone_has_said_counts() {
    for (phase, runs) in [(Successful, 0), (Running, 1)] {
        let mut world =
            world(&json!({"duration": "60s", "analyses": analyses("errors!")})).available();
        world.ends("errors", phase);
        world.runs.clear();
        world.settle();
        assert_eq!(world.runs.len(), runs, "{phase:?}");
        world.wait(60);
        let ended = world.phase() == Successful;
        assert_eq!(ended, phase == Successful);
    }
}

#[test]
fn a_run_has_the_arguments_of_the_experiment() {
    let _covers = testbed::covers(&[
        "Experiment spec.analysisRunMetadata.labels",
        "Experiment spec.analysisRunMetadata.annotations",
        "Experiment spec.analyses[].name",
        "Experiment spec.analyses[].templateName",
        "Experiment spec.analyses[].args[]",
        "Experiment spec.analysisRunMetadata",
    ]);
    let mut all = analyses("errors! latency");
    all[0]["args"] = json!([{"name": "hash", "value": "{{templates.one.podTemplateHash}}"}]);
    let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    all[1]["args"] = json!([{"name": "hash", "valueFrom": from}]);
    let metadata = json!({"labels": {"team": "a"}, "annotations": {"why": "b"}});
    let mut world = world(&json!({"analyses": all, "analysisRunMetadata": metadata}));
    // A Secret may stand in a header only.
    let spec = world
        .templates
        .values_mut()
        .nth(1)
        .unwrap()
        .as_mut()
        .unwrap();
    let metric = json!([{
        "name": "latency", "successCondition": "result[0] < 1",
        "provider": {"prometheus": {"address": "http://prometheus", "query": "q",
            "headers": [{"key": "X-Token", "value": "{{args.hash}}"}]}},
    }]);
    spec.metrics = serde_json::from_value(metric).unwrap();
    let world = world.available();
    let hash = &world.sets["exp-one"].pod_template_hash;
    let run = &world.objects["exp-errors"];
    assert_eq!(
        run["spec"]["args"],
        json!([{"name": "hash", "value": hash}])
    );
    assert_eq!(run["metadata"]["labels"]["team"], "a");
    assert_eq!(run["metadata"]["annotations"]["why"], "b");
    assert_eq!(run["metadata"]["ownerReferences"][0]["kind"], "Experiment");
    assert_eq!(
        world.objects["exp-latency"]["spec"]["args"],
        json!([{"name": "hash", "valueFrom": from}])
    );
}

#[test]
fn rules_reach_the_runs_whose_metrics_they_fit() {
    let _covers = testbed::covers(&[
        "Experiment spec.measurementRetention[].limit",
        "Experiment spec.measurementRetention[].metricName",
        "Experiment spec.dryRun[].metricName",
        "Experiment spec.measurementRetention[]",
    ]);
    let world = world(&json!({
        "analyses": analyses("errors latency"),
        "dryRun": [{"metricName": "err.*"}],
        "measurementRetention": [{"metricName": "latency", "limit": 7}],
    }))
    .available();
    let spec = |run: &str| &world.objects[run]["spec"];
    assert_eq!(
        spec("exp-errors")["dryRun"],
        json!([{"metricName": "err.*"}])
    );
    assert_eq!(spec("exp-latency").get("dryRun"), None);
    assert_eq!(spec("exp-errors").get("measurementRetention"), None);
    assert_eq!(
        spec("exp-latency")["measurementRetention"],
        json!([{"metricName": "latency", "limit": 7}])
    );
}

#[test]
fn a_template_that_vanished_before_its_run_started_is_an_error() {
    let mut world = world(&json!({"duration": "60s", "analyses": analyses("errors!")}));
    world.settle();
    world.templates.clear();
    world.pods(1);
    assert_eq!(world.phase(), AnalysisPhase::Error);
    let message = world.status.message.unwrap();
    assert!(
        message.contains("AnalysisTemplate errors does not exist"),
        "{message}"
    );
}

#[test]
fn a_run_that_the_server_refuses_is_an_error() {
    let mut world = world(&json!({"duration": "60s", "analyses": analyses("errors!")}));
    world.settle();
    world
        .refusals
        .insert("exp-errors".to_owned(), Refused::Invalid("no".to_owned()));
    world.pods(1);
    assert_eq!(world.phase(), AnalysisPhase::Error);
}
