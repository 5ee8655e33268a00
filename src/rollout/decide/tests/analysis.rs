//! What AnalysisRuns decide.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::{
    api::{
        analysis::{AnalysisPhase, AnalysisTemplateSpec},
        request::Verb,
        rollout_status::Phase,
    },
    rollout::{decision::Action, snapshot::TemplateKey},
};

fn analysis() -> Value {
    json!({"analysis": {"templates": [{"templateName": "errors"}]}})
}

fn with_step() -> World {
    world()
        .nginx()
        .steps(json!([{"setWeight": 25}, analysis(), {"setWeight": 50}, {"pause": {}}]))
}

fn with_background() -> World {
    world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"pause": {"duration": 20}}, {"setWeight": 100}, {"pause": {}}]))
        .with("analysis", json!({"templates": [{"templateName": "latency"}], "startingStep": 1}))
}

#[test]
fn only_a_success_goes_on() {
    use AnalysisPhase as P;
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].analysis",
        "spec.strategy.canary.steps[].analysis.templates",
        "spec.strategy.canary.steps[].analysis.templates[].templateName",
    ]);
    for (verdict, phase, weight, index) in [
        (P::Successful, Phase::Paused, 50, 3),
        (P::Failed, Phase::Degraded, 0, 0),
        (P::Error, Phase::Degraded, 0, 0),
        (P::Inconclusive, Phase::Paused, 25, 1),
    ] {
        let world = with_step()
            .verdict("2-1", Some(verdict))
            .deployed()
            .updated();
        let seen = (
            world.status.phase,
            world.weight(),
            world.status.current_step_index,
        );
        assert_eq!(
            seen,
            (Some(phase), weight, Some(index)),
            "{verdict:?}\n{world}"
        );
    }
}

#[test]
fn an_inconclusive_step_asks_a_person_who_may_promote_or_abort() {
    let asked = with_step()
        .verdict("2-1", Some(AnalysisPhase::Inconclusive))
        .deployed()
        .updated();
    assert_eq!(asked.status.message, "InconclusiveAnalysisRun");
    let run = &asked.runs[0].name;
    assert_eq!(
        asked.status.waiting_for,
        Some(format!(
            "a person to promote or abort: AnalysisRun {run} is inconclusive"
        ))
    );
    let mut promoted = asked.clone();
    promoted.ask("1", Verb::Promote);
    promoted.play();
    assert_eq!(
        (promoted.weight(), promoted.status.current_step_index),
        (50, Some(3)),
        "{promoted}"
    );
    let mut aborted = asked;
    aborted.ask("1", Verb::Abort);
    aborted.play();
    assert_eq!(aborted.status.phase, Some(Phase::Degraded));
}

#[test]
fn an_inconclusive_background_run_stops_the_steps_until_a_person_is_heard() {
    let mut world = with_background()
        .verdict("latency", None)
        .verdict("-2", Some(AnalysisPhase::Inconclusive))
        .deployed();
    world.declare("v2");
    world.play();
    assert_eq!(
        (world.status.message.as_str(), world.weight()),
        ("InconclusiveAnalysisRun", 25),
        "{world}"
    );
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(
        (world.status.message.as_str(), world.weight()),
        ("CanaryPauseStep", 100),
        "asked once: {world}"
    );
}

#[test]
fn bad_news_end_an_update_at_every_moment() {
    for what in ["paused at 25", "paused at 100"] {
        let mut world = with_background().verdict("-2", None).deployed();
        world.declare("v2");
        if what == "paused at 25" {
            world.play_until(|world| world.weight() == 25 && !world.runs.is_empty());
        } else {
            world.play();
            assert_eq!(world.weight(), 100, "{world}");
        }
        let run = world.runs.last_mut().unwrap();
        run.phase = AnalysisPhase::Failed;
        run.message = "metric latency failed".to_owned();
        let name = run.name.clone();
        assert_eq!(world.would()[0], "weight 0", "{what}");
        world.reconcile();
        assert_eq!(world.weight(), 0, "{what}");
        let cause = format!("AnalysisRun {name} is Failed: metric latency failed");
        assert_eq!(world.status.abort_cause, Some(cause), "{what}");
    }
}

#[test]
fn a_background_run_starts_at_its_step_with_the_first_traffic_and_ends_with_the_update() {
    let _covers = testbed::covers(&["spec.strategy.canary.analysis"]);
    let mut world = with_background().verdict("-2", None).deployed();
    world.declare("v2");
    world.play_until(|world| !world.runs.is_empty());
    assert_eq!(
        (world.weight(), world.status.current_step_index),
        (25, Some(1))
    );
    world.play();
    world.ask("1", Verb::Promote);
    world.play();
    assert!(world.runs[0].terminate && world.runs.len() == 1, "{world}");
}

#[test]
fn a_background_run_does_not_start_before_its_step_though_there_is_traffic() {
    let _covers = testbed::covers(&["spec.strategy.canary.analysis.startingStep"]);
    let background = json!({"templates": [{"templateName": "latency"}], "startingStep": 2});
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"pause": {}}, {"pause": {}}]))
        .with("analysis", background)
        .deployed()
        .updated();
    assert_eq!((world.weight(), world.runs.len()), (25, 0), "{world}");
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(world.runs.len(), 1, "{world}");
}

#[test]
fn a_promoted_pause_is_no_promoted_analysis() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"pause": {}}, analysis(), {"pause": {}}]))
        .verdict("2-2", None)
        .deployed()
        .updated();
    world.ask("1", Verb::Promote);
    world.play_for(60);
    assert_eq!(world.status.current_step_index, Some(2), "{world}");
    assert_eq!(world.status.message, "waiting for analysis to complete");
}

#[test]
fn a_run_that_was_broken_off_proves_nothing() {
    let mut world = with_step().verdict("2-1", None).deployed().updated();
    world.runs[0].terminate = true;
    world.runs[0].phase = AnalysisPhase::Successful;
    let mut world = world.verdict("2-1.1", Some(AnalysisPhase::Successful));
    world.play();
    assert_eq!(world.short_run(&world.runs[1].name), "v2-2-1.1");
    assert_eq!(world.status.current_step_index, Some(3), "measured again");
}

#[test]
fn a_retry_measures_again() {
    let mut world = with_step()
        .verdict("2-1", Some(AnalysisPhase::Failed))
        .deployed()
        .updated();
    world = world.verdict("2-1.1", Some(AnalysisPhase::Successful));
    world.ask("1", Verb::Retry);
    world.play();
    assert_eq!(
        (world.status.phase, world.weight()),
        (Some(Phase::Paused), 50),
        "{world}"
    );
}

#[test]
fn verdicts_of_one_version_say_nothing_about_another() {
    let mut world = with_step()
        .verdict("2-1", Some(AnalysisPhase::Failed))
        .deployed()
        .updated();
    world.declare("v3");
    world.play();
    assert_eq!(
        (world.status.phase, world.weight()),
        (Some(Phase::Paused), 50),
        "{world}"
    );
}

#[test]
fn a_skipped_analysis_is_ended() {
    let mut world = with_step().verdict("2-1", None).deployed().updated();
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(
        (world.runs[0].terminate, world.weight()),
        (true, 50),
        "{world}"
    );
}

#[test]
fn finished_runs_are_kept_up_to_the_limits() {
    let _covers = testbed::covers(&[
        "spec.analysis",
        "spec.analysis.successfulRunHistoryLimit",
        "spec.analysis.unsuccessfulRunHistoryLimit",
    ]);
    let mut world = world()
        .nginx()
        .steps(json!([analysis()]))
        .with_spec(
            "analysis",
            json!({"successfulRunHistoryLimit": 1, "unsuccessfulRunHistoryLimit": 0}),
        )
        .verdict("2-0", Some(AnalysisPhase::Failed))
        .deployed();
    for version in ["v2", "v3", "v4"] {
        world.declare(version);
        world.play();
    }
    let runs: Vec<_> = world
        .runs
        .iter()
        .map(|run| world.short_run(&run.name))
        .collect();
    assert_eq!(runs, ["v4-4-0"]);
}

#[test]
fn a_missing_template_stops_everything_but_the_abort() {
    let mut world = with_step().deployed();
    world.templates.clear();
    world.declare("v2");
    world.play();
    assert_eq!(world.set_of("v2").map(|set| set.view.replicas), None);
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("AnalysisTemplate errors to exist")
    );
    world.ask("1", Verb::Abort);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Degraded));
}

#[test]
fn a_nested_template_that_is_missing_or_leads_back_stops_everything_too() {
    let refer = |world: &mut World, to: &str| {
        let key = TemplateKey {
            name: "errors".to_owned(),
            cluster_scope: false,
        };
        if let Some(Ok(template)) = world.templates.get_mut(&key) {
            let reference = json!([{"templateName": to, "clusterScope": to != "errors"}]);
            template.templates = serde_json::from_value(reference).unwrap();
        }
    };
    let mut world = with_step().deployed();
    refer(&mut world, "shared");
    world.declare("v2");
    world.play();
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("ClusterAnalysisTemplate shared to exist")
    );
    refer(&mut world, "errors");
    world.play();
    let waiting = world.status.waiting_for.clone().unwrap();
    assert!(
        waiting.contains("AnalysisTemplate errors refers to itself"),
        "{waiting}"
    );
    assert_eq!(world.set_of("v2").map(|set| set.view.replicas), None);
}

#[test]
fn argo_2897_a_retry_is_not_blocked_by_the_failed_run_of_the_attempt_before() {
    let mut world = with_step()
        .verdict("2-1", Some(AnalysisPhase::Failed))
        .deployed()
        .updated();
    let failed = world.runs[0].clone();
    assert_eq!(world.status.phase, Some(Phase::Degraded), "{world}");
    world = world.verdict("2-1.1", Some(AnalysisPhase::Successful));
    world.ask("1", Verb::Retry);
    world.play();
    let retried = world
        .runs
        .iter()
        .find(|run| run.name != failed.name)
        .unwrap();
    assert_eq!(
        (
            world.short_run(&failed.name),
            world.short_run(&retried.name)
        ),
        ("v2-2-1".to_owned(), "v2-2-1.1".to_owned())
    );
    assert!(world.runs.contains(&failed), "the evidence stays: {world}");
    assert_eq!(world.weight(), 50, "{world}");
}

#[test]
fn argo_3850_an_inconclusive_background_run_is_not_promoted() {
    let mut world = with_background()
        .verdict("-2", Some(AnalysisPhase::Inconclusive))
        .deployed();
    world.declare("v2");
    world.play_for(600);
    assert_eq!(
        (world.status.message.as_str(), world.weight()),
        ("InconclusiveAnalysisRun", 25),
        "{world}"
    );
    assert_ne!(world.status.phase, Some(Phase::Healthy));
}

#[test]
fn runs_that_a_deleted_rollout_has_left_do_not_hold_up_the_next_one() {
    let mut world = with_step().deployed();
    world.declare("v2");
    let name = format!("demo-{}-2-1", world.hash("v2"));
    world.foreign_runs.push(name.clone());
    world.play();
    assert_eq!(world.runs[0].name, format!("{name}.1"));
    assert_eq!(world.weight(), 50, "{world}");
}

#[test]
fn a_name_that_somebody_elses_run_has_is_told_and_waited_for() {
    let mut world = with_step().deployed();
    world.declare("v2");
    world.reconcile();
    let name = format!("demo-{}-2-1", world.hash("v2"));
    world.foreign_runs.push(name.clone());
    world.play();
    assert_eq!(
        world.status.waiting_for,
        Some(format!(
            "the name {name} to be free: another AnalysisRun has it"
        ))
    );
    assert_eq!((world.runs.len(), world.weight()), (0, 25), "{world}");
    world.foreign_runs.clear();
    world.play();
    assert_eq!(world.weight(), 50, "{world}");
}

/// What is told about templates of which no run can be made.
fn told_about(template: serde_json::Value, analysis: &serde_json::Value) -> (String, bool) {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"analysis": analysis}, {"pause": {}}]))
        .deployed();
    let spec: AnalysisTemplateSpec = serde_json::from_value(template).unwrap();
    for name in ["errors", "latency"] {
        let key = TemplateKey {
            name: name.to_owned(),
            cluster_scope: false,
        };
        world.templates.insert(key, Ok(spec.clone()));
    }
    world.declare("v2");
    world.play_until(|world| world.weight() == 25);
    (world.status.message.clone(), world.set_of("v2").is_none())
}

#[test]
fn templates_of_which_no_run_can_be_made_are_told_before_anything_starts() {
    let metric = |change: serde_json::Value| {
        let mut metric = json!({"name": "m", "provider": {"prometheus": {"query": "up"}}});
        json_patch::merge(&mut metric, &change);
        metric
    };
    let both = json!({"templates": [{"templateName": "errors"}, {"templateName": "latency"}]});
    let one = json!({"templates": [{"templateName": "errors"}]});
    for (template, analysis, told) in [
        (
            json!({"metrics": [metric(json!({}))]}),
            &both,
            "spec.strategy.canary.steps[1].analysis: metric \"m\" is in AnalysisTemplate errors and in AnalysisTemplate latency; metric names are unique in an analysis, rename one",
        ),
        (
            json!({"metrics": [metric(json!({}))], "args": [{"name": "a"}]}),
            &one,
            "spec.strategy.canary.steps[1].analysis: argument \"a\" of AnalysisTemplate errors has no value; give it one in the args of whatever uses the template",
        ),
        (
            json!({"metrics": [metric(json!({"interval": "1s"}))]}),
            &one,
            "spec.strategy.canary.steps[1].analysis: metric \"m\" of AnalysisTemplate errors has an interval but no count, so this analysis would never end; set count (or consecutiveSuccessLimit)",
        ),
        (
            json!({"metrics": [metric(json!({"failureCondition": "result >"}))]}),
            &one,
            "spec.strategy.canary.steps[1].analysis: AnalysisTemplate errors cannot be used: spec.metrics[0].failureCondition: the condition cannot be used: ",
        ),
    ] {
        let (message, still) = told_about(template, analysis);
        assert!(
            message.starts_with(&format!("InvalidSpec: {told}")) && still,
            "{message}"
        );
    }
}

#[test]
fn what_only_a_running_update_knows_is_no_error_of_a_template() {
    let template = json!({
        "metrics": [{"name": "m", "provider": {"prometheus": {"query": "up"}}}],
        "args": [
            {"name": "a"},
            {"name": "b", "valueFrom": {"fieldRef": {"fieldPath": "status.canary.weights.canary.weight"}}},
        ],
    });
    let analysis = json!({
        "templates": [{"templateName": "errors"}],
        "args": [{"name": "a", "valueFrom": {"podTemplateHashValue": "Stable"}}],
    });
    let (message, still) = told_about(template, &analysis);
    assert!(!message.contains("InvalidSpec") && !still, "{message}");
}

#[test]
fn a_run_has_the_labels_people_look_for_and_those_of_its_metadata() {
    let analysis = json!({
        "templates": [{"templateName": "errors"}],
        "analysisRunMetadata": {
            "labels": {"team": "shop", "tidegate.dev/step-index": "mine"}, "annotations": {"note": "x"},
        },
    });
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"analysis": analysis}]))
        .deployed();
    world.declare("v2");
    world.reconcile();
    // Until then it is only held up.
    world
        .foreign_runs
        .push(format!("demo-{}-2-1", world.hash("v2")));
    world.play();
    world.foreign_runs.clear();
    let actions = world.decide().actions;
    let created = actions.iter().find_map(|action| {
        let Action::CreateAnalysisRun { object, .. } = action else {
            return None;
        };
        Some(object)
    });
    let metadata = &created.expect("a run")["metadata"];
    let labels = &metadata["labels"];
    assert_eq!(
        (
            &labels["team"],
            &labels["tidegate.dev/step-index"],
            &labels["tidegate.dev/rollout-type"]
        ),
        (&json!("shop"), &json!("1"), &json!("Step"))
    );
    assert_eq!(metadata["annotations"]["note"], "x");
}
