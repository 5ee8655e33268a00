//! What is refused, and what is waited for.

use serde_json::{Value, json};

use super::world::{analyses, template, world};
use crate::api::analysis::AnalysisPhase;

fn with(index: &str, value: Value) -> Value {
    let mut one = template("one");
    one[index] = value;
    json!({"templates": [one]})
}

#[test]
fn what_cannot_work_is_named_before_anything_starts() {
    let _covers = testbed::covers(&[
        "Experiment spec.templates[].minReadySeconds",
        "Experiment spec.templates[].selector",
        "Experiment spec.templates[].selector.matchLabels",
    ]);
    let twice = json!({"templates": [template("one"), template("one")]});
    let no_port = json!({"templates": [{
        "name": "one", "selector": {"matchLabels": {"app": "a"}}, "service": {},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "main"}]}},
    }]});
    let mut both = analyses("errors");
    both[0]["args"] = json!([{"name": "hash"}]);
    let mut unknown = analyses("errors");
    unknown[0]["args"] = json!([{"name": "hash", "value": "{{templates.other.podTemplateHash}}"}]);
    for (more, path, words) in [
        (json!({"templates": []}), "spec.templates", "is empty"),
        (twice, "spec.templates[1].name", "is there twice"),
        (
            with("name", json!("Ä")),
            "spec.templates[0].name",
            "lower case",
        ),
        (
            with("replicas", json!(-1)),
            "spec.templates[0].replicas",
            "at least 0",
        ),
        (
            with("minReadySeconds", json!(600)),
            "spec.templates[0].minReadySeconds",
            "less than",
        ),
        (
            with("selector", json!({})),
            "spec.templates[0].selector",
            "is empty",
        ),
        (
            with("selector", json!({"matchLabels": {"app": "other"}})),
            "spec.templates[0].template.metadata.labels",
            "must have app: other",
        ),
        (no_port, "spec.templates[0].service", "has no port"),
        (
            json!({"duration": "soon"}),
            "spec.duration",
            "not a duration",
        ),
        (json!({"duration": "0s"}), "spec.duration", "longer than 0"),
        (
            json!({"progressDeadlineSeconds": 0}),
            "spec.progressDeadlineSeconds",
            "at least 1",
        ),
        (
            json!({"scaleDownDelaySeconds": -1}),
            "spec.scaleDownDelaySeconds",
            "at least 0",
        ),
        (
            json!({"analyses": analyses("errors errors")}),
            "spec.analyses[1].name",
            "is there twice",
        ),
        (
            json!({"analyses": both}),
            "spec.analyses[0].args[0]",
            "exactly one",
        ),
        (
            json!({"analyses": unknown}),
            "spec.analyses[0]",
            "stands for nothing",
        ),
        (
            json!({"dryRun": [{"metricName": "x"}]}),
            "spec.dryRun",
            "matches the name of no metric",
        ),
    ] {
        let mut world = world(&more);
        world.settle();
        let (status, message) = world.condition("InvalidSpec").expect(path);
        assert_eq!(status, "True");
        assert!(message.starts_with(&format!("{path}: ")), "{message}");
        assert!(message.contains(words), "{message}");
        assert_eq!(
            (world.phase(), world.actions.len()),
            (AnalysisPhase::Pending, 0),
            "{path}"
        );
        assert_eq!(world.condition("Stalled").unwrap().0, "True");
    }
}

#[test]
fn a_spec_that_was_corrected_goes_on() {
    let mut world = world(&json!({"duration": "soon"}));
    world.settle();
    world.wait(1_000);
    world.spec["duration"] = json!("60s");
    let mut world = world.available();
    assert_eq!(world.condition("InvalidSpec"), None);
    world.wait(60);
    assert_eq!(world.phase(), AnalysisPhase::Successful);
}

#[test]
fn a_spec_that_cannot_be_read_is_told() {
    let mut world = world(&json!({"duration": 5}));
    world.settle();
    assert_eq!(world.condition("InvalidSpec").unwrap().0, "True");
    assert_eq!(world.actions.len(), 0);
}

#[test]
fn a_missing_template_is_waited_for() {
    let _covers = testbed::covers(&["Experiment spec.analyses[].clusterScope"]);
    let mut all = analyses("errors!");
    all[0]["clusterScope"] = json!(true);
    let mut world = world(&json!({"analyses": all}));
    world.settle();
    world.wait(10_000);
    assert_eq!(world.actions.len(), 0);
    assert_eq!(
        world.condition("ReferenceMissing").unwrap().1,
        "ClusterAnalysisTemplate errors does not exist; create it or correct the spec"
    );
    let (mut key, spec) = world.templates.clone().into_iter().next().unwrap();
    key.cluster_scope = true;
    world.templates.insert(key, spec);
    let world = world.available();
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn a_template_that_was_changed_after_its_start_is_refused() {
    let mut world = world(&json!({"duration": "60s"})).available();
    let image = "/templates/0/template/spec/containers/0/image";
    *world.spec.pointer_mut(image).unwrap() = json!("demo:2");
    world.settle();
    let message = world.condition("InvalidSpec").unwrap().1;
    assert!(message.contains("create another Experiment"), "{message}");
    assert_eq!(world.sets.len(), 1);
}
