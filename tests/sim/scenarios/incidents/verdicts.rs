//! What counts as a success: A29 to A31, A33 to A37.

use serde_json::json;

use super::{
    Incident, all, at_end, created, pods,
    stages::{self, is_aborted, metric, one_query, template},
    weights,
};
use crate::sim::{
    run::Get,
    scenarios::stories::{share_of_errors, weight},
};

fn asks_about_analysis(get: Get<'_>) -> bool {
    let status = &get("rollouts/web")["status"];
    status["pauseConditions"].as_array().is_some_and(|pauses| {
        pauses
            .iter()
            .any(|pause| pause["reason"] == "InconclusiveAnalysisRun")
    })
}

/// The query of a step finds nothing.
pub(in crate::sim::scenarios) fn no_data() -> Incident {
    Incident::of("A29", stages::canary)
        .answers(one_query("errors", &[]))
        .updated()
        .until("the question to a person", asks_about_analysis)
        .pause(120)
        .so("nothing went on from there", |outcome| {
            weights(outcome) == [20, 50] && pods(outcome, "web:1") == 5
        })
}

#[test]
fn incident_a29_an_answer_with_nothing_in_it_is_no_success() {
    no_data().is_green();
}

#[test]
fn incident_a30_an_experiment_is_no_success_while_its_analysis_goes_on() {
    Incident::of("A30", |stage| {
        let late = metric("late", &json!({"initialDelay": "20s", "count": 1}));
        template(stage, "late", &json!([late]));
        let experiment = json!({
            "duration": "5s", "templates": [{"name": "candidate", "specRef": "canary"}],
            "analyses": [{"name": "late", "templateName": "late", "requiredForCompletion": true}],
        });
        stages::steps(
            stage,
            &json!([{"setWeight": 20}, {"experiment": experiment}, {"setWeight": 60}]),
        );
    })
    .answers(one_query("late", &[0.5]))
    .updated()
    .until("the abort", is_aborted)
    .so("what came late has decided", |outcome| {
        weights(outcome) == [20, 0] && pods(outcome, "web:1") == 5
    })
    .is_green();
}

/// One of two metrics fails at once; the other one goes on for an hour.
pub(in crate::sim::scenarios) fn one_of_two_metrics() -> Incident {
    Incident::of("A31", |stage| {
        let long = metric("long", &json!({"interval": "10s", "count": 360}));
        template(stage, "two", &json!([metric("short", &json!({})), long]));
        let analysis = json!({"templates": [{"templateName": "two"}]});
        stages::steps(stage, &json!([{"setWeight": 20}, {"analysis": analysis}]));
    })
    .answers(one_query("short", &[0.5]))
    .updated()
    .until("the first weight", |get| weight(get) == 20)
    .pause(20)
    .so("the update was given up within seconds", |outcome| {
        at_end(outcome, "rollouts/web")["status"]["abort"] == true
            && weights(outcome) == [20, 0]
            && all(outcome, "analysisruns/")
                .iter()
                .all(|(_, run)| run["status"]["phase"] == "Failed")
    })
}

#[test]
fn incident_a31_a_metric_that_fails_stops_the_release_whatever_others_measure() {
    one_of_two_metrics().is_green();
}

/// Somebody breaks an analysis off before it has found anything bad.
pub(in crate::sim::scenarios) fn broken_off() -> Incident {
    Incident::of("A33", |stage| {
        let long = metric("long", &json!({"interval": "10s", "count": 3}));
        template(stage, "long", &json!([long]));
        let analysis = json!({"templates": [{"templateName": "long"}]});
        stages::steps(stage, &json!([{"setWeight": 20}, {"analysis": analysis}]));
    })
    .updated()
    .until("the analysis", |get| {
        get("rollouts/web")["status"]["canary"]["currentStepAnalysisRunStatus"]["status"]
            == "Running"
    })
    .pause(5)
    .act(stages::terminate)
    .finished()
    .so("it was measured again, to the end", |outcome| {
        let good = all(outcome, "analysisruns/")
            .iter()
            .filter(|(_, run)| run["status"]["phase"] == "Successful")
            .count();
        created(outcome, "analysisruns/") == 2 && good == 1
    })
}

#[test]
fn incident_a33_an_analysis_that_is_broken_off_is_no_success() {
    broken_off().is_green();
}

#[test]
fn incident_a33_an_analysis_in_the_background_without_a_verdict_asks_a_person_once() {
    Incident::of("A33", |stage| {
        let fields = json!({
            "analysis": {"templates": [{"templateName": "after"}]},
            "steps": [{"setWeight": 20}, {"pause": {"duration": "30s"}}, {"setWeight": 60}, {"pause": {"duration": "30s"}}],
        });
        stages::canary_with(stage, &fields);
    })
    .answers(one_query("after", &[f64::NAN]))
    .updated()
    .until("the question to a person", asks_about_analysis)
    .pause(120)
    .so("there is one run, and nothing went on", |outcome| {
        created(outcome, "analysisruns/") == 1 && weights(outcome) == [20] && pods(outcome, "web:1") == 5
    })
    .is_green();
}

#[test]
fn incident_a34_a_metric_in_dry_run_changes_no_decision() {
    Incident::of("A34", |stage| {
        template(
            stage,
            "two",
            &json!([metric("dry", &json!({})), metric("real", &json!({}))]),
        );
        let analysis =
            json!({"templates": [{"templateName": "two"}], "dryRun": [{"metricName": "dry"}]});
        stages::steps(stage, &json!([{"setWeight": 20}, {"analysis": analysis}]));
    })
    .answers(one_query("dry", &[0.9]))
    .updated()
    .finished()
    .so("the other one has decided", |outcome| {
        pods(outcome, "web:2") == 5
            && all(outcome, "analysisruns/")
                .iter()
                .all(|(_, run)| run["status"]["phase"] == "Successful")
    })
    .is_green();
}

#[test]
fn incident_a35_an_analysis_without_a_template_is_no_success() {
    Incident::of("A35", stages::canary)
        .act(|stage| {
            let steps = json!([{"setWeight": 20}, {"analysis": {"templates": []}}]);
            stages::spec(stage, &json!({"strategy": {"canary": {"steps": steps}}}));
        })
        .refused("name at least one template")
        .act(|stage| {
            template(stage, "hollow", &json!([]));
            let steps = json!([{"setWeight": 20}, {"analysis": {"templates": [{"templateName": "hollow"}]}}]);
            stages::spec(stage, &json!({"strategy": {"canary": {"steps": steps}}}));
        })
        .act(|stage| stages::image(stage, "web:2"))
        .pause(120)
        .so("one without a metric goes no further", |outcome| {
            let status = &at_end(outcome, "rollouts/web")["status"];
            pods(outcome, "web:1") == 5
                && status["stableRS"] != status["currentPodHash"]
                && status["message"].to_string().contains("hollow")
        })
        .is_green();
}

#[test]
fn incident_a36_a_metric_that_was_never_measured_is_no_success() {
    Incident::of("A36", |stage| {
        let late = metric("late", &json!({"initialDelay": "1h", "count": 1}));
        template(stage, "late", &json!([late]));
        let analysis = json!({"templates": [{"templateName": "late"}]});
        stages::steps(stage, &json!([{"setWeight": 20}, {"analysis": analysis}]));
    })
    .updated()
    .until("the analysis", |get| {
        get("rollouts/web")["status"]["canary"]["currentStepAnalysisRunStatus"]["status"]
            == "Running"
    })
    .act(stages::terminate)
    .pause(60)
    .so("it is to be measured again", |outcome| {
        let phases: Vec<_> = all(outcome, "analysisruns/")
            .iter()
            .map(|(_, run)| run["status"]["phase"].clone())
            .collect();
        weights(outcome) == [20]
            && phases.contains(&json!("Running"))
            && !phases.contains(&json!("Successful"))
    })
    .is_green();
}

/// Somebody promotes in full, and sees at once that it was wrong.
pub(in crate::sim::scenarios) fn abort_after_promotion() -> Incident {
    Incident::of("A37", |stage| {
        stages::canary_with(stage, &json!({"bake": {"duration": "60s"}}));
    })
    .updated()
    .until("the first weight", |get| weight(get) == 20)
    .act(|stage| stages::ask(stage, "one", "promote-full"))
    .until("the promotion", |get| stages::handled(get, "one"))
    .act(|stage| stages::ask(stage, "two", "abort"))
    .until("the answer", |get| stages::handled(get, "two"))
    .pause(120)
    .so("the first version has everything", |outcome| {
        at_end(outcome, "rollouts/web")["status"]["abort"] == true
            && pods(outcome, "web:1") == 5
            && pods(outcome, "web:2") == 0
    })
}

#[test]
fn incident_a37_an_abort_stops_a_promotion_in_full() {
    abort_after_promotion().is_green();
}

#[test]
fn incident_a28_what_a_failed_run_says_is_not_promoted() {
    Incident::of("A28", stages::canary)
        .answers(share_of_errors(0.5))
        .updated()
        .until("the abort", stages::is_taken_back)
        .so("nobody got more of it than its step says", |outcome| {
            weights(outcome) == [20, 50, 0] && created(outcome, "analysisruns/") == 1
        })
        .is_green();
}
