//! Runs that are terminated, and runs whose time is over.

use jiff::ToSpan;
use serde_json::{Value, json};

use super::run::Run;
use crate::analysis::decide::Next;
use crate::api::analysis::{AnalysisPhase, AnalysisRunSpec, MeasurementPhase};
use MeasurementPhase::{Failed, NoData, Successful};

/// How a metric ends that is terminated after these measurements, and what is told.
fn terminated(metric: Value, answers: &[MeasurementPhase]) -> (AnalysisPhase, String) {
    let mut run = Run::one(metric).answers("m", answers);
    for _ in answers {
        let decision = run.decide(Vec::new());
        run.status = decision.status;
        if let Next::At { time, .. } = decision.next {
            run.now = time;
            run.status = run.decide(Vec::new()).status;
        }
        let outcome = run.measure("m");
        run.status = run.decide(vec![outcome]).status;
    }
    run.spec.terminate = heard(&json!({"terminate": true})).terminate;
    run.status = run.decide(Vec::new()).status;
    let message = run.result("m").message.clone().unwrap_or_default();
    (run.phase(), message)
}

/// A spec with this.
fn heard(more: &Value) -> AnalysisRunSpec {
    let mut spec = json!({"metrics": []});
    json_patch::merge(&mut spec, more);
    serde_json::from_value(testbed::heard("AnalysisRun", spec)).unwrap()
}

#[test]
fn argo_1329_a_terminated_metric_is_no_success() {
    let _covers = testbed::covers(&["AnalysisRun spec.terminate"]);
    let ten = json!({"interval": "1s", "count": 10});
    for (metric, answers, evidence) in [
        (ten.clone(), vec![], "it was never measured"),
        (
            ten.clone(),
            vec![Successful, Successful],
            "2 of 10 measurements taken (2 good)",
        ),
        (
            json!({"interval": "1s"}),
            vec![NoData],
            "no measurement was good (1 without data)",
        ),
        (
            json!({"interval": "1s", "failureLimit": 3}),
            vec![Failed],
            "no measurement was good (1 bad)",
        ),
        (
            json!({"interval": "1s", "consecutiveSuccessLimit": 3}),
            vec![Successful],
            "1 of 3 good measurements in a row",
        ),
    ] {
        assert_eq!(
            terminated(metric, &answers),
            (
                AnalysisPhase::Inconclusive,
                format!("metric \"m\" assessed Inconclusive: the run was terminated; {evidence}")
            )
        );
    }
}

#[test]
fn a_metric_without_end_is_successful_on_what_was_measured_when_it_is_terminated() {
    let (phase, message) = terminated(
        json!({"interval": "1s", "failureLimit": 1}),
        &[Successful, Failed, Successful],
    );
    assert_eq!(phase, AnalysisPhase::Successful);
    assert!(
        message.ends_with("the run was terminated; 2 good, 1 bad"),
        "{message}"
    );
}

#[test]
fn argo_2158_a_metric_that_another_one_has_ended_is_no_success() {
    let mut run = Run::new(json!([
        {"name": "slow", "interval": "1s", "count": 10}, {"name": "bad", "initialDelay": "3s"},
    ]))
    .answers("slow", &[Successful])
    .answers("bad", &[Failed]);
    run.until(20);
    assert_eq!(run.phase(), AnalysisPhase::Failed);
    let slow = run.result("slow");
    assert_eq!(slow.phase, Some(AnalysisPhase::Inconclusive), "{slow:?}");
}

#[test]
fn a_run_is_deleted_when_its_time_is_over() {
    let _covers = testbed::covers(&[
        "AnalysisRun spec.ttlStrategy",
        "AnalysisRun spec.ttlStrategy.secondsAfterCompletion",
        "AnalysisRun spec.ttlStrategy.secondsAfterFailure",
        "AnalysisRun spec.ttlStrategy.secondsAfterSuccess",
    ]);
    for (ttl, answer, seconds) in [
        (json!({"secondsAfterCompletion": 30}), Successful, Some(30)),
        (json!({"secondsAfterCompletion": 30}), Failed, Some(30)),
        (
            json!({"secondsAfterCompletion": 30, "secondsAfterFailure": 60}),
            Failed,
            Some(60),
        ),
        (
            json!({"secondsAfterCompletion": 30, "secondsAfterSuccess": 0}),
            Successful,
            Some(0),
        ),
        (json!({"secondsAfterSuccess": 10}), Failed, None),
        (json!({"secondsAfterFailure": 10}), Successful, None),
        (json!({}), Successful, None),
    ] {
        let mut run = Run::one(json!({})).answers("m", &[answer]);
        run.spec.ttl_strategy = heard(&json!({"ttlStrategy": ttl})).ttl_strategy;
        assert!(!run.decide(Vec::new()).expired, "it has not even begun");
        run.until(5);
        let ended = run.decide(Vec::new());
        let at = seconds.map(|seconds: i64| run.start.checked_add(seconds.seconds()).unwrap());
        match at {
            None => assert_eq!((ended.expired, ended.next), (false, Next::Ended), "{ttl}"),
            Some(at) if at <= run.now => assert!(ended.expired, "{ttl}"),
            Some(at) => {
                assert_eq!(
                    (ended.expired, ended.next),
                    (false, Next::Expires(at)),
                    "{ttl}"
                );
                run.now = at;
                assert!(run.decide(Vec::new()).expired, "{ttl}");
            }
        }
    }
}
