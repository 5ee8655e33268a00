mod combinations;
mod ending;
mod jobs;
mod properties;
mod run;
mod timing;

use jiff::ToSpan;
use serde_json::{Value, json};

use super::*;
use crate::api::analysis::MeasurementPhase;
use MeasurementPhase::{Error, Failed, Inconclusive, NoData, Successful};
use run::Run;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn limits_turn_measurements_into_a_verdict() {
    use AnalysisPhase as P;
    let ten = json!({"interval": "1s", "count": 10});
    let with = |change: Value| {
        let mut metric = ten.clone();
        for (key, value) in change.as_object().unwrap() {
            metric[key] = value.clone();
        }
        metric
    };
    for (what, metric, answers, phase, measured) in [
        ("once", json!({}), vec![Successful], P::Successful, 1),
        ("once, bad", json!({}), vec![Failed], P::Failed, 1),
        (
            "once, inconclusive",
            json!({}),
            vec![Inconclusive],
            P::Inconclusive,
            1,
        ),
        ("all good", ten.clone(), vec![Successful], P::Successful, 10),
        (
            "first bad one fails",
            ten.clone(),
            vec![Successful, Successful, Failed, Successful],
            P::Failed,
            3,
        ),
        (
            "two may be bad",
            with(json!({"failureLimit": 2})),
            vec![Failed, Failed, Successful],
            P::Successful,
            10,
        ),
        (
            "the third may not",
            with(json!({"failureLimit": "2"})),
            vec![Failed, Successful, Failed, Failed],
            P::Failed,
            4,
        ),
        (
            "failures do not count",
            with(json!({"failureLimit": -1})),
            vec![Failed, Failed, Failed, Successful],
            P::Successful,
            10,
        ),
        (
            "only failures are no success",
            with(json!({"failureLimit": -1})),
            vec![Failed],
            P::Inconclusive,
            10,
        ),
        (
            "failures up to the limit are no success",
            json!({"failureLimit": 1}),
            vec![Failed],
            P::Inconclusive,
            1,
        ),
        (
            "one inconclusive is allowed",
            with(json!({"inconclusiveLimit": 1})),
            vec![Inconclusive, Successful],
            P::Successful,
            10,
        ),
        (
            "two are not",
            with(json!({"inconclusiveLimit": 1})),
            vec![Inconclusive, Successful, Inconclusive],
            P::Inconclusive,
            3,
        ),
        (
            "only inconclusive ones are no success",
            with(json!({"inconclusiveLimit": 10})),
            vec![Inconclusive],
            P::Inconclusive,
            10,
        ),
        (
            "four errors are retried",
            ten.clone(),
            vec![Error, Error, Error, Error, Successful],
            P::Successful,
            14,
        ),
        ("the fifth ends it", ten.clone(), vec![Error], P::Error, 5),
        (
            "errors count in a row",
            json!({"interval": "1s", "count": 2, "consecutiveErrorLimit": 1}),
            vec![Error, Successful, Error, Successful],
            P::Successful,
            4,
        ),
        (
            "three in a row are enough",
            json!({"interval": "1s", "consecutiveSuccessLimit": 3, "failureLimit": -1}),
            vec![Successful, Failed, Successful],
            P::Successful,
            5,
        ),
        (
            "an error breaks the row",
            json!({"interval": "1s", "consecutiveSuccessLimit": 2}),
            vec![Successful, Error, Successful],
            P::Successful,
            4,
        ),
        (
            "never enough in a row",
            with(json!({"consecutiveSuccessLimit": 3, "failureLimit": -1, "count": 4})),
            vec![Successful, Failed, Successful, Failed],
            P::Failed,
            4,
        ),
        (
            "neither limit",
            with(json!({"consecutiveSuccessLimit": 3, "failureLimit": 2, "count": 5})),
            vec![Successful, Failed, Successful, Failed, Successful],
            P::Inconclusive,
            5,
        ),
        (
            "no data is waited out",
            ten.clone(),
            vec![NoData, NoData, NoData, NoData, Successful],
            P::Successful,
            14,
        ),
        (
            "no data for long",
            ten.clone(),
            vec![NoData],
            P::Inconclusive,
            5,
        ),
        (
            "no data for long, again",
            ten.clone(),
            vec![Successful, NoData],
            P::Inconclusive,
            6,
        ),
        (
            "no data may fail",
            with(json!({"noData": {"policy": "fail", "limit": 1}})),
            vec![NoData],
            P::Failed,
            2,
        ),
        (
            "no data is waited for",
            with(json!({"noData": {"policy": "hold"}})),
            vec![NoData],
            P::Running,
            61,
        ),
        (
            "data breaks the row",
            with(json!({"noData": {"limit": 1}, "count": 3})),
            vec![NoData, Successful, NoData, Successful],
            P::Successful,
            5,
        ),
        (
            "no data breaks the row of errors",
            json!({"interval": "1s", "count": 1, "consecutiveErrorLimit": 1}),
            vec![Error, NoData, Error, Successful],
            P::Successful,
            4,
        ),
        (
            "errors do not break the row",
            with(json!({"noData": {"limit": 1}})),
            vec![NoData, Error, NoData],
            P::Inconclusive,
            3,
        ),
        (
            "no data, no interval",
            json!({}),
            vec![NoData, Successful],
            P::Successful,
            2,
        ),
        (
            "without end",
            json!({"interval": "1s"}),
            vec![Successful],
            P::Running,
            61,
        ),
    ] {
        let mut run = Run::one(metric).answers("m", &answers);
        run.until(60);
        assert_eq!(
            (run.phase(), run.taken.len()),
            (phase, measured),
            "{what}: {:?}",
            run.status.message
        );
    }
}

#[test]
fn a_failed_metric_ends_the_run_and_says_why() {
    let mut run = Run::new(json!([{"name": "error-rate", "interval": "1s", "count": 9}, {"name": "latency", "interval": "1s"}]))
        .answers("error-rate", &[Successful, Failed])
        .answers("latency", &[Successful]);
    run.until(60);
    assert_eq!(run.phase(), AnalysisPhase::Failed);
    assert_eq!(
        run.status.message.as_deref(),
        Some(
            "metric \"error-rate\" assessed Failed: 0.21 does not satisfy `result < 0.05`; 1 failure exceeds failureLimit 0"
        )
    );
    assert_eq!(
        run.result("latency").message.as_deref(),
        Some("metric \"latency\" assessed Successful: metric \"error-rate\" ended Failed; 2 good")
    );
    assert_eq!(run.seconds(), [0, 0, 1, 1]);
    assert_eq!(
        run.status.completed_at,
        Some(run.start.checked_add(1.seconds()).unwrap())
    );
    let summary = run.status.run_summary.clone().unwrap();
    assert_eq!(
        (summary.count, summary.successful, summary.failed),
        (2, 1, 1)
    );
}

#[test]
fn an_ended_run_does_not_change() {
    let mut run = Run::one(json!({})).answers("m", &[Failed]);
    run.until(60);
    let ended = run.status.clone();
    run.spec.terminate = Some(true);
    let good = Run::one(json!({})).answers("m", &[Successful]).measure("m");
    let decision = run.decide(vec![good]);
    assert_eq!((decision.status, decision.next), (ended, Next::Ended));
}

#[test]
fn a_metric_that_ended_takes_no_more_measurements() {
    let mut run = Run::new(json!([{"name": "done"}, {"name": "open", "interval": "1s"}]))
        .answers("done", &[Successful, Failed])
        .answers("open", &[Successful]);
    run.until(0);
    let before = run.result("done").clone();
    let late = run.measure("done");
    run.status = run.decide(vec![late]).status;
    assert_eq!(
        (run.phase(), run.result("done")),
        (AnalysisPhase::Running, &before)
    );
}

#[test]
fn the_worst_metric_decides() {
    use AnalysisPhase as P;
    for (first, second, phase) in [
        (Successful, Successful, P::Successful),
        (Successful, Inconclusive, P::Inconclusive),
        (Inconclusive, Error, P::Error),
        (Error, Failed, P::Failed),
        (Failed, Inconclusive, P::Failed),
    ] {
        let mut run = Run::new(json!([
            {"name": "a", "consecutiveErrorLimit": 0}, {"name": "b", "consecutiveErrorLimit": 0},
        ]))
        .answers("a", &[first])
        .answers("b", &[second]);
        run.until(0);
        assert_eq!(run.phase(), phase, "{first:?} and {second:?}");
    }
}

#[test]
fn a_terminated_run_is_successful_only_on_evidence() {
    use AnalysisPhase as P;
    let endless = json!({"interval": "10s", "failureLimit": 3, "inconclusiveLimit": 3});
    for (what, metric, answers, phase) in [
        (
            "good so far",
            endless.clone(),
            vec![Successful],
            P::Successful,
        ),
        (
            "good and bad within the limit",
            endless.clone(),
            vec![Failed, Successful],
            P::Successful,
        ),
        (
            "only bad ones",
            endless.clone(),
            vec![Failed],
            P::Inconclusive,
        ),
        (
            "only inconclusive ones",
            endless.clone(),
            vec![Inconclusive],
            P::Inconclusive,
        ),
        ("only errors", endless.clone(), vec![Error], P::Inconclusive),
        (
            "only no data",
            endless.clone(),
            vec![NoData],
            P::Inconclusive,
        ),
        (
            "not enough in a row",
            json!({"interval": "10s", "consecutiveSuccessLimit": 9}),
            vec![Successful],
            P::Inconclusive,
        ),
        (
            "never measured",
            json!({"initialDelay": "1h"}),
            vec![Successful],
            P::Inconclusive,
        ),
    ] {
        let mut run = Run::one(metric).answers("m", &answers);
        run.until(20);
        run.spec.terminate = Some(true);
        run.until(20);
        assert_eq!(run.phase(), phase, "{what}: {:?}", run.status.message);
        assert!(run.status.completed_at.is_some(), "{what}");
    }
}

#[test]
fn a_metric_in_dry_run_decides_nothing() {
    use AnalysisPhase as P;
    for (what, dry_answers, real_answers, phase) in [
        ("a bad one", Failed, Successful, P::Successful),
        ("one in error", Error, Successful, P::Successful),
        ("a good one", Successful, Failed, P::Failed),
        ("without end", NoData, Successful, P::Successful),
    ] {
        let mut run = Run::new(json!([
            {"name": "dry", "interval": "10s", "noData": {"policy": "hold"}},
            {"name": "real", "interval": "10s", "count": 3},
        ]))
        .dry_run("^dry$")
        .answers("dry", &[dry_answers])
        .answers("real", &[real_answers]);
        run.until(60);
        assert_eq!(run.phase(), phase, "{what}: {:?}", run.status.message);
        let (real, dry) = (
            run.status.run_summary.clone().unwrap(),
            run.status.dry_run_summary.clone().unwrap(),
        );
        assert_eq!((real.count, dry.count), (1, 1), "{what}");
    }
}

#[test]
fn a_run_with_nothing_but_dry_run_waits_for_it_and_succeeds() {
    let mut run = Run::one(json!({"interval": "1s", "count": 3, "failureLimit": 1}))
        .dry_run(".*")
        .answers("m", &[Failed]);
    run.until(60);
    assert_eq!(
        (run.phase(), run.taken.len()),
        (AnalysisPhase::Successful, 2)
    );
    assert_eq!(run.status.dry_run_summary.clone().unwrap().failed, 1);
}

#[test]
fn only_the_newest_measurements_are_kept() {
    let mut run = Run::one(json!({"interval": "1s", "count": 30})).answers("m", &[Successful]);
    run.until(60);
    let result = run.result("m");
    assert_eq!((result.successful, result.measurements.len()), (30, 10));
    let queries = result
        .measurements
        .iter()
        .filter(|measurement| measurement.query.is_some())
        .count();
    assert_eq!(
        (
            queries,
            result
                .metadata
                .get("ResolvedPrometheusQuery")
                .map(String::as_str)
        ),
        (1, Some("up"))
    );
}

#[test]
fn a_spec_that_cannot_be_used_ends_in_error_before_anything_is_measured() {
    let mut run = Run::one(json!({"successCondition": "result <"})).answers("m", &[Successful]);
    run.until(60);
    let message = run.status.message.clone().unwrap();
    assert_eq!((run.phase(), run.taken.len()), (AnalysisPhase::Error, 0));
    assert!(
        message.starts_with("the spec cannot be used: spec.metrics[0].successCondition: "),
        "{message}"
    );
}

#[test]
fn what_happened_is_told_once() {
    let mut run =
        Run::one(json!({"interval": "10s", "count": 2})).answers("m", &[Successful, Failed]);
    let reasons = |decision: &AnalysisDecision| {
        decision
            .notes
            .iter()
            .map(|note| note.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(&run.decide(Vec::new())), ["AnalysisRunRunning"]);
    run.until(5);
    assert_eq!(reasons(&run.decide(Vec::new())), Vec::<&str>::new());
    run.now = run.start.checked_add(10.seconds()).unwrap();
    let outcome = run.measure("m");
    assert_eq!(reasons(&run.decide(vec![outcome])), ["AnalysisRunFailed"]);
    run.until(60);
    assert_eq!(reasons(&run.decide(Vec::new())), Vec::<&str>::new());
}
