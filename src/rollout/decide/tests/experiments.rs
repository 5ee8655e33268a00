//! Experiments as steps.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::{
    api::{
        analysis::AnalysisPhase::{self, Error, Failed, Inconclusive, Running, Successful},
        request::Verb,
        rollout_status::{PauseReason, Phase},
    },
    rollout::{decide::validate, decision::Action},
};

fn step() -> Value {
    json!({"experiment": {
        "duration": "60s",
        "templates": [
            {"name": "baseline", "specRef": "stable", "replicas": 2, "service": {},
             "metadata": {"labels": {"role": "baseline"}, "annotations": {"why": "compare"}}},
            {"name": "candidate", "specRef": "canary"},
        ],
        "analyses": [{
            "name": "errors", "templateName": "errors", "requiredForCompletion": true,
            "args": [
                {"name": "stable", "valueFrom": {"podTemplateHashValue": "Stable"}},
                {"name": "name", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "hash", "value": "{{templates.candidate.podTemplateHash}}"},
            ],
        }],
        "analysisRunMetadata": {"labels": {"team": "a"}},
        "scaleDownDelaySeconds": 7,
    }})
}

/// Containers of these have a port, so that they can have a Service.
fn with_port(world: &mut World) {
    world.set(
        "/template/spec/containers/0/ports",
        json!([{"containerPort": 8080}]),
    );
}

fn released() -> World {
    let mut world = world()
        .services()
        .steps(json!([step(), {"setWeight": 50}, {"pause": {}}]));
    world.spec["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}]);
    world.read_spec();
    let mut world = world.deployed();
    world.declare("v2");
    with_port(&mut world);
    rest(&mut world);
    world
}

/// Plays as far as it goes by itself; an Experiment ends when it is told to.
fn rest(world: &mut World) {
    world.play_until(|_| false);
}

fn only(world: &World) -> (String, AnalysisPhase, bool) {
    let [one] = &world.experiments[..] else {
        panic!("one Experiment, not {:?}", world.experiments);
    };
    (one.name.clone(), one.phase, one.terminate)
}

fn ends(world: &mut World, phase: AnalysisPhase) {
    let one = world.experiments.last_mut().unwrap();
    one.phase = phase;
    one.message = "because".to_owned();
    rest(world);
}

fn made(world: &World) -> &Value {
    let mut actions = world.actions.iter().rev();
    let object = actions.find_map(|action| {
        if let Action::CreateExperiment { object, .. } = action {
            Some(object)
        } else {
            None
        }
    });
    object.expect("an Experiment was made")
}

#[test]
fn a_step_makes_an_experiment_of_both_versions() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].experiment.templates[].name",
        "spec.strategy.canary.steps[].experiment.templates[].specRef",
        "spec.strategy.canary.steps[].experiment.templates[].replicas",
        "spec.strategy.canary.steps[].experiment.templates[].metadata",
        "spec.strategy.canary.steps[].experiment.templates[].service",
        "spec.strategy.canary.steps[].experiment.duration",
        "spec.strategy.canary.steps[].experiment.analyses[]",
        "spec.strategy.canary.steps[].experiment.analysisRunMetadata",
        "spec.strategy.canary.steps[].experiment.scaleDownDelaySeconds",
        "status.canary.currentExperiment",
    ]);
    let world = released();
    let (name, phase, _) = only(&world);
    let (stable, canary) = (&world.status.stable_rs, &world.status.current_pod_hash);
    assert_eq!(
        (name.as_str(), phase),
        (&*format!("demo-{canary}-2-0"), Running)
    );
    assert_eq!(
        world.status.canary.current_experiment.as_deref(),
        Some(&*name)
    );
    let object = made(&world);
    assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "Rollout");
    let spec = &object["spec"];
    let pods = |index: usize| &spec["templates"][index]["template"];
    let image = "/spec/containers/0/image";
    assert_eq!(
        [0, 1].map(|index| pods(index).pointer(image).unwrap().as_str().unwrap()),
        ["demo:v1", "demo:v2"]
    );
    let labels = json!({"app": "demo", "role": "baseline"});
    assert_eq!(pods(0)["metadata"]["labels"], labels);
    assert_eq!(pods(0)["metadata"]["annotations"]["why"], "compare");
    assert_eq!(spec["templates"][0]["selector"]["matchLabels"], labels);
    assert_eq!(spec["templates"][0]["replicas"], 2);
    assert_eq!(
        spec["analyses"][0]["args"],
        json!([
            {"name": "stable", "value": stable},
            {"name": "name", "value": "demo"},
            {"name": "hash", "value": "{{templates.candidate.podTemplateHash}}"},
        ])
    );
    assert_eq!(
        (&spec["duration"], &spec["scaleDownDelaySeconds"]),
        (&json!("60s"), &json!(7))
    );
    assert_eq!(spec["analysisRunMetadata"]["labels"]["team"], "a");
}

#[test]
fn only_a_successful_experiment_goes_on() {
    for (phase, step, aborted) in [
        (Running, 0, false),
        (Successful, 2, false),
        (Failed, 0, true),
        (Error, 0, true),
        (Inconclusive, 0, false),
    ] {
        let mut world = released();
        ends(&mut world, phase);
        assert_eq!(world.status.abort, aborted, "{phase:?}");
        assert_eq!(world.status.current_step_index, Some(step), "{phase:?}");
        if aborted {
            let cause = world.status.abort_cause.clone().unwrap();
            assert!(
                cause.ends_with(&format!("is {phase:?}: because")),
                "{cause}"
            );
        }
        assert_eq!(
            world.status.canary.current_experiment.is_some(),
            step == 0 && !aborted
        );
    }
}

#[test]
fn an_inconclusive_one_asks_a_person_whose_promotion_skips_it() {
    let mut world = released();
    ends(&mut world, Inconclusive);
    assert_eq!(
        world.status.pause_conditions[0].reason,
        PauseReason::InconclusiveExperiment
    );
    assert_eq!(
        (world.status.phase, world.status.message.as_str()),
        (Some(Phase::Paused), "InconclusiveExperiment")
    );
    let asked = world.status.waiting_for.clone().unwrap();
    assert!(
        asked.starts_with("a person to promote or abort: Experiment demo-"),
        "{asked}"
    );
    world.ask("1", Verb::Promote);
    rest(&mut world);
    assert_eq!(world.status.current_step_index, Some(2));
}

#[test]
fn what_tries_out_nothing_any_more_is_terminated() {
    type Act = fn(&mut World);
    let cases: [(&str, Act); 4] = [
        ("abort", |world| world.ask("1", Verb::Abort)),
        ("promote", |world| world.ask("1", Verb::Promote)),
        ("full promotion", |world| world.ask("1", Verb::PromoteFull)),
        ("the version before", |world| {
            world.declare("v1");
            with_port(world);
        }),
    ];
    for (what, act) in cases {
        let mut world = released();
        assert!(!only(&world).2);
        act(&mut world);
        rest(&mut world);
        assert!(only(&world).2, "{what}");
        assert_eq!(world.status.canary.current_experiment, None, "{what}");
    }
}

#[test]
fn another_version_and_another_attempt_get_an_experiment_of_their_own() {
    let mut world = released();
    ends(&mut world, Failed);
    world.ask("1", Verb::Retry);
    rest(&mut world);
    let names: Vec<String> = world
        .experiments
        .iter()
        .map(|one| one.name.clone())
        .collect();
    assert_eq!(names[1], format!("{}-1", names[0]));
    assert!(!world.status.abort);
    world.declare("v3");
    with_port(&mut world);
    rest(&mut world);
    let last = world.experiments.last().unwrap();
    assert_eq!(
        last.name,
        format!("demo-{}-3-0", world.status.current_pod_hash)
    );
    assert!(world.experiments[1].terminate);
}

#[test]
fn an_experiment_that_cannot_run_gives_the_version_up() {
    // The version that serves has no port for a Service.
    let mut world = world().services().deployed();
    world.canary("steps", json!([step()]));
    world.declare("v2");
    with_port(&mut world);
    rest(&mut world);
    assert_eq!(world.experiments.len(), 0);
    let cause = world.status.abort_cause.unwrap();
    assert!(
        cause.contains("spec.templates[0].service: has no port"),
        "{cause}"
    );
}

#[test]
fn finished_ones_go_with_their_version() {
    let mut world = released();
    world.set("/revisionHistoryLimit", json!(0));
    ends(&mut world, Failed);
    assert_eq!(
        world.experiments.len(),
        1,
        "the evidence of what was given up"
    );
    world.declare("v1");
    with_port(&mut world);
    rest(&mut world);
    assert_eq!(world.experiments.len(), 0, "{world}");
}

#[test]
fn its_pods_are_not_counted_for_autoscalers() {
    let world = released();
    let selector = &world.status.selector;
    assert!(
        selector.ends_with(",!tidegate.dev/experiment-name"),
        "{selector}"
    );
}

fn wrong(world: &World) -> Vec<String> {
    let spec = serde_json::from_value(world.spec.clone()).unwrap();
    let errors = validate(&spec).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn argo_4526_pods_of_an_experiment_are_not_selected_by_the_live_service() {
    // Pinned Services select by a hash that is salted with the Experiment (`experiment::decide`); the label of the version
    // is never handed on.
    let world = released();
    let templates = made(&world)["spec"]["templates"].as_array().unwrap();
    for template in templates {
        let labels = template["template"]["metadata"]["labels"]
            .as_object()
            .unwrap();
        assert!(
            !labels.contains_key("tidegate.dev/pod-template-hash"),
            "{labels:?}"
        );
    }
    // Without, whatever selects the Rollout's labels would send live traffic there.
    let templates =
        |labels: Value| json!([{"name": "a", "specRef": "canary", "metadata": {"labels": labels}}]);
    for (labels, refused) in [
        (json!({}), true),
        (json!({"role": "a"}), true),
        (json!({"app": "demo"}), true),
        (json!({"app": "demo-experiment"}), false),
    ] {
        let step = json!({"duration": "60s", "templates": templates(labels.clone())});
        let world = super::world::world().steps(json!([{"experiment": step}]));
        let wrong = wrong(&world);
        assert_eq!(!wrong.is_empty(), refused, "{labels}: {wrong:?}");
        assert!(
            wrong.iter().all(|text| text.contains("stableService")),
            "{wrong:?}"
        );
    }
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let path = "spec.strategy.canary.steps[0].experiment";
    let template = |more: Value| {
        let mut one = json!({"name": "a", "specRef": "canary"});
        for (key, value) in more.as_object().unwrap() {
            one[key] = value.clone();
        }
        json!({"duration": "60s", "templates": [one]})
    };
    let argument = json!([{"name": "a", "templateName": "errors", "args": [{"name": "x"}]}]);
    for (step, field, words) in [
        (
            template(json!({"weight": 5})),
            ".templates[0].weight",
            "not supported",
        ),
        (
            template(json!({"service": {}})),
            ".templates[0].service",
            "no port",
        ),
        (
            template(json!({"replicas": -1})),
            ".templates[0].replicas",
            "at least 0",
        ),
        (
            template(json!({"selector": {"matchLabels": {"app": "x"}}})),
            ".templates[0].template.metadata.labels",
            "must have app: x",
        ),
        (json!({"duration": "60s"}), ".templates", "is empty"),
        (
            json!({"duration": "x", "templates": []}),
            ".duration",
            "not a duration",
        ),
        (json!({"templates": []}), "", "would never end"),
        (
            json!({"duration": "1s", "analyses": argument, "templates": []}),
            ".analyses[0].args[0]",
            "exactly one",
        ),
    ] {
        let world = world().services().steps(json!([{"experiment": step}]));
        let found = wrong(&world);
        let expected = format!("{path}{field}: ");
        assert!(
            found
                .iter()
                .any(|text| text.starts_with(&expected) && text.contains(words)),
            "{expected}{words} in {found:?}"
        );
    }
}

#[test]
fn what_a_step_declares_is_in_the_experiment() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].experiment.templates[].service",
        "spec.strategy.canary.steps[].experiment",
        "spec.strategy.canary.steps[].experiment.templates",
        "spec.strategy.canary.steps[].experiment.templates[].metadata.labels",
        "spec.strategy.canary.steps[].experiment.templates[].metadata.annotations",
        "spec.strategy.canary.steps[].experiment.templates[].selector",
        "spec.strategy.canary.steps[].experiment.templates[].selector.matchLabels",
        "spec.strategy.canary.steps[].experiment.templates[].service.name",
        "spec.strategy.canary.steps[].experiment.analyses[].name",
        "spec.strategy.canary.steps[].experiment.analyses[].templateName",
        "spec.strategy.canary.steps[].experiment.analyses[].requiredForCompletion",
        "spec.strategy.canary.steps[].experiment.analyses[].args",
        "spec.strategy.canary.steps[].experiment.dryRun",
        "spec.strategy.canary.steps[].experiment.dryRun[].metricName",
        "spec.strategy.canary.steps[].experiment.analysisRunMetadata.labels",
        "spec.strategy.canary.steps[].experiment.analysisRunMetadata.annotations",
    ]);
    let declared = json!({
        "duration": "60s",
        "templates": [{
            "name": "candidate", "specRef": "canary", "service": {"name": "tried"},
            "metadata": {"labels": {"role": "tried"}, "annotations": {"why": "compare"}},
            "selector": {"matchLabels": {"role": "tried"}},
        }],
        "analyses": [{
            "name": "first", "templateName": "errors", "requiredForCompletion": true,
            "args": [{"name": "a", "value": "b"}],
        }],
        "dryRun": [{"metricName": "errors"}],
        "analysisRunMetadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
    });
    let mut world = world()
        .services()
        .steps(json!([{"experiment": declared}, {"pause": {}}]));
    world.spec["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}]);
    world.read_spec();
    let mut world = world.deployed();
    world.declare("v2");
    with_port(&mut world);
    rest(&mut world);
    let spec = &made(&world)["spec"];
    for field in ["analyses", "dryRun", "analysisRunMetadata"] {
        assert_eq!(spec[field], declared[field], "{field}");
    }
    let (made, wanted) = (&spec["templates"][0], &declared["templates"][0]);
    assert_eq!(made["selector"], wanted["selector"]);
    assert_eq!(made["service"], wanted["service"]);
    let metadata = &made["template"]["metadata"];
    assert_eq!(metadata["labels"]["role"], "tried");
    assert_eq!(metadata["annotations"]["why"], "compare");
}

#[test]
fn a_template_of_the_cluster_is_asked_for() {
    let _covers =
        testbed::covers(&["spec.strategy.canary.steps[].experiment.analyses[].clusterScope"]);
    let analyses = json!([{"name": "errors", "templateName": "errors", "clusterScope": true}]);
    let templates = json!([{"name": "candidate", "specRef": "canary"}]);
    let step =
        json!({"experiment": {"duration": "60s", "templates": templates, "analyses": analyses}});
    let mut world = world().services().deployed();
    world.canary("steps", json!([step]));
    world.declare("v2");
    rest(&mut world);
    let waits = world.status.waiting_for.clone().unwrap_or_default();
    assert!(waits.contains("ClusterAnalysisTemplate errors"), "{world}");
}

#[test]
fn traffic_for_an_experiment_is_refused() {
    let mut refusals = testbed::refusals();
    let path = "spec.strategy.canary.steps[].experiment.templates[].weight";
    let templates = json!([{"name": "candidate", "specRef": "canary", "weight": 5}]);
    let step = json!({"experiment": {"duration": "60s", "templates": templates}});
    let mut world = world().steps(json!([step]));
    world.play();
    let (_, _, told) = world.condition("InvalidSpec").unwrap();
    let message = "is not supported yet; remove it";
    let wanted = format!(
        "{}: {message}",
        path.replace("steps[]", "steps[0]")
            .replace("templates[]", "templates[0]")
    );
    assert!(told.contains(&wanted), "{told}");
    refusals.add(path, message);
}
