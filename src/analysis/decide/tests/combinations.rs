//! Count, interval, delay and limits together: every combination of what is set and what is not.

use serde_json::{Value, json};

use super::run::Run;
use crate::api::analysis::{AnalysisPhase, MeasurementPhase};

/// `S` good, `F` bad, `I` neither, `E` not taken, `N` no data; the last one goes on for ever.
fn answers(script: &str) -> Vec<MeasurementPhase> {
    let answer = |letter| match letter {
        'S' => MeasurementPhase::Successful,
        'F' => MeasurementPhase::Failed,
        'I' => MeasurementPhase::Inconclusive,
        'E' => MeasurementPhase::Error,
        'N' => MeasurementPhase::NoData,
        other => panic!("{other} is no answer"),
    };
    script.chars().map(answer).collect()
}

/// The phase after 100 seconds, as its first letters, and when measurements were taken.
fn outcome(metric: &Value, script: &str) -> (String, Vec<i64>) {
    let mut run = Run::one(metric.clone()).answers("m", &answers(script));
    run.until(100);
    (format!("{:?}", run.phase()), run.seconds())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_combination_of_limits_has_its_outcome() {
    // count, failureLimit, consecutiveSuccessLimit (null: not set), script, phase, measurements at these seconds.
    let every = |seconds: i64, count: i64| (0..count).map(|n| n * seconds).collect::<Vec<_>>();
    for (count, failures, successes, script, phase, seconds) in [
        // Only a count: the first bad one is one too many.
        (
            json!(3),
            json!(null),
            json!(null),
            "S",
            "Successful",
            every(20, 3),
        ),
        (
            json!(3),
            json!(null),
            json!(null),
            "SF",
            "Failed",
            every(20, 2),
        ),
        (
            json!("3"),
            json!(0),
            json!(0),
            "SSF",
            "Failed",
            every(20, 3),
        ),
        // A count and a failure limit.
        (
            json!(3),
            json!(1),
            json!(null),
            "FS",
            "Successful",
            every(20, 3),
        ),
        (
            json!(3),
            json!("1"),
            json!(null),
            "FSF",
            "Failed",
            every(20, 3),
        ),
        (
            json!(3),
            json!(3),
            json!(null),
            "F",
            "Inconclusive",
            every(20, 3),
        ),
        // A count, and failures that do not matter.
        (
            json!(3),
            json!(-1),
            json!(null),
            "FFS",
            "Successful",
            every(20, 3),
        ),
        (
            json!(3),
            json!(-1),
            json!(null),
            "F",
            "Inconclusive",
            every(20, 3),
        ),
        (
            json!(3),
            json!("-1"),
            json!(0),
            "SF",
            "Successful",
            every(20, 3),
        ),
        // A count and both limits: whichever is reached first; neither: nobody knows.
        (
            json!(5),
            json!(2),
            json!(3),
            "S",
            "Successful",
            every(20, 3),
        ),
        (
            json!(5),
            json!(2),
            json!(3),
            "FSFSF",
            "Failed",
            every(20, 5),
        ),
        (
            json!(5),
            json!(2),
            json!(3),
            "FFSSS",
            "Successful",
            every(20, 5),
        ),
        (
            json!(5),
            json!(2),
            json!(3),
            "SSFSS",
            "Inconclusive",
            every(20, 5),
        ),
        (
            json!(3),
            json!(null),
            json!(3),
            "SSS",
            "Successful",
            every(20, 3),
        ),
        (
            json!(3),
            json!(null),
            json!(2),
            "SF",
            "Failed",
            every(20, 2),
        ),
        (
            json!(4),
            json!(0),
            json!(4),
            "SSSS",
            "Successful",
            every(20, 4),
        ),
        // A count and only a success limit: not reached is failed.
        (
            json!(4),
            json!(-1),
            json!(2),
            "FSS",
            "Successful",
            every(20, 3),
        ),
        (
            json!(4),
            json!(-1),
            json!(2),
            "FSFS",
            "Failed",
            every(20, 4),
        ),
        (json!(4), json!(-1), json!("2"), "F", "Failed", every(20, 4)),
        // No count.
        (
            json!(null),
            json!(null),
            json!(null),
            "S",
            "Running",
            every(20, 6),
        ),
        (
            json!(0),
            json!(null),
            json!(null),
            "S",
            "Running",
            every(20, 6),
        ),
        (
            json!(null),
            json!(1),
            json!(null),
            "SFSF",
            "Failed",
            every(20, 4),
        ),
        (
            json!(null),
            json!(-1),
            json!(null),
            "F",
            "Running",
            every(20, 6),
        ),
        (
            json!(null),
            json!(1),
            json!(2),
            "FSS",
            "Successful",
            every(20, 3),
        ),
        (
            json!(null),
            json!(1),
            json!(2),
            "FSF",
            "Failed",
            every(20, 3),
        ),
        (
            json!(null),
            json!(-1),
            json!(2),
            "FSFSFS",
            "Running",
            every(20, 6),
        ),
        (
            json!(null),
            json!(-1),
            json!(2),
            "FFFSS",
            "Successful",
            every(20, 5),
        ),
        // Errors are tried again after 10 seconds, do not count, and break a row of good ones.
        (
            json!(3),
            json!(null),
            json!(null),
            "SESS",
            "Successful",
            vec![0, 20, 30, 50],
        ),
        (
            json!(4),
            json!(-1),
            json!(2),
            "SESS",
            "Successful",
            vec![0, 20, 30, 50],
        ),
        (
            json!(2),
            json!(1),
            json!(null),
            "EEEEFS",
            "Successful",
            vec![0, 10, 20, 30, 40, 60],
        ),
        (
            json!(3),
            json!(null),
            json!(null),
            "E",
            "Error",
            vec![0, 10, 20, 30, 40],
        ),
        // So does no data, at the interval.
        (
            json!(3),
            json!(null),
            json!(2),
            "SNSS",
            "Successful",
            every(20, 4),
        ),
        (
            json!(2),
            json!(-1),
            json!(null),
            "N",
            "Inconclusive",
            every(20, 5),
        ),
        // What is neither good nor bad counts, and breaks a row.
        (
            json!(3),
            json!(null),
            json!(null),
            "I",
            "Inconclusive",
            every(20, 1),
        ),
    ] {
        let metric = json!({
            "interval": "20s", "count": count, "failureLimit": failures, "consecutiveSuccessLimit": successes,
        });
        let expected = (phase.to_owned(), seconds);
        assert_eq!(outcome(&metric, script), expected, "{metric} {script}");
    }
}

#[test]
fn other_limits_and_times_go_with_them() {
    for (metric, script, phase, seconds) in [
        (json!({}), "S", "Successful", vec![0]),
        (json!({"count": 1}), "S", "Successful", vec![0]),
        (json!({"initialDelay": "7s"}), "F", "Failed", vec![7]),
        (
            json!({"initialDelay": "7s", "interval": "30s", "count": 2}),
            "S",
            "Successful",
            vec![7, 37],
        ),
        // Tried again after 10 seconds, also where there is no interval.
        (
            json!({"initialDelay": "7s"}),
            "EES",
            "Successful",
            vec![7, 17, 27],
        ),
        (json!({}), "NNS", "Successful", vec![0, 10, 20]),
        (json!({"consecutiveErrorLimit": 0}), "ES", "Error", vec![0]),
        (
            json!({"interval": "30s", "count": 2, "consecutiveErrorLimit": 1}),
            "EFS",
            "Failed",
            vec![0, 10],
        ),
        (
            json!({"interval": "30s", "count": 2, "consecutiveErrorLimit": 1, "failureLimit": 1}),
            "EFES",
            "Successful",
            vec![0, 10, 40, 50],
        ),
        (
            json!({"interval": "30s", "count": 3, "inconclusiveLimit": 1, "failureLimit": 1}),
            "IFS",
            "Successful",
            vec![0, 30, 60],
        ),
        (
            json!({"interval": "30s", "count": 3, "inconclusiveLimit": 1, "failureLimit": 1}),
            "FIF",
            "Failed",
            vec![0, 30, 60],
        ),
        (
            json!({"interval": "30s", "count": 3, "inconclusiveLimit": 1, "consecutiveSuccessLimit": 2, "failureLimit": -1}),
            "SIS",
            "Failed",
            vec![0, 30, 60],
        ),
        (
            json!({"interval": "30s", "inconclusiveLimit": 1, "consecutiveSuccessLimit": 2}),
            "SII",
            "Inconclusive",
            vec![0, 30, 60],
        ),
        (
            json!({"interval": "36h", "count": 2, "consecutiveErrorLimit": 9}),
            "EEES",
            "Running",
            vec![0, 10, 20, 30],
        ),
    ] {
        let expected = (phase.to_owned(), seconds);
        assert_eq!(outcome(&metric, script), expected, "{metric} {script}");
    }
}

#[test]
fn limits_that_can_never_be_reached_are_refused() {
    for (metric, fits) in [
        (json!({"count": 3, "failureLimit": 3}), true),
        (json!({"count": 3, "failureLimit": 4}), false),
        (json!({"count": 3, "consecutiveSuccessLimit": 3}), true),
        (json!({"count": 3, "consecutiveSuccessLimit": 4}), false),
        (json!({"count": 3, "inconclusiveLimit": 4}), false),
        (json!({"count": 3, "consecutiveErrorLimit": 9}), true),
        (
            json!({"count": 3, "failureLimit": 1, "consecutiveSuccessLimit": 2}),
            true,
        ),
        (
            json!({"count": 3, "failureLimit": 2, "consecutiveSuccessLimit": 2}),
            false,
        ),
        (
            json!({"count": 3, "failureLimit": -1, "consecutiveSuccessLimit": 3}),
            true,
        ),
        (json!({"count": 3, "failureLimit": -2}), false),
        (json!({"count": 3, "consecutiveSuccessLimit": -1}), false),
        (json!({"count": 3, "consecutiveErrorLimit": -1}), false),
        (
            json!({"failureLimit": 9, "consecutiveSuccessLimit": 9, "inconclusiveLimit": 9}),
            true,
        ),
    ] {
        let mut metric = metric;
        metric["interval"] = json!("1s");
        let mut run = Run::one(metric.clone()).answers("m", &answers("S"));
        run.until(0);
        let refused = run.phase() == AnalysisPhase::Error && run.taken.is_empty();
        assert_eq!(!refused, fits, "{metric}: {:?}", run.status.message);
    }
}
