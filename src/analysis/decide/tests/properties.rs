//! What holds for every metric and every sequence of measurements.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::run::Run;
use crate::api::analysis::{AnalysisPhase, MeasurementPhase, MetricResult};
use MeasurementPhase::{Error, Failed, Inconclusive, NoData, Successful};

fn phases(among: Vec<MeasurementPhase>) -> impl Strategy<Value = Vec<MeasurementPhase>> {
    prop::collection::vec(prop::sample::select(among), 1..40)
}

fn metrics() -> impl Strategy<Value = Value> {
    let some = |values: Vec<Value>| prop::sample::select(values);
    (
        some(vec![Value::Null, json!("1s"), json!("30s")]),
        some(vec![Value::Null, json!(1), json!(5), json!("7")]),
        some(vec![Value::Null, json!(-1), json!(2), json!(5)]),
        some(vec![Value::Null, json!(1), json!(5)]),
        some(vec![Value::Null, json!(0), json!(2)]),
        some(vec![Value::Null, json!(1), json!(3)]),
        some(vec![Value::Null, json!({"policy": "hold"}), json!({"policy": "fail", "limit": 0}), json!({"limit": 40})]),
        some(vec![Value::Null, json!("15s")]),
    )
        .prop_map(|(interval, count, failures, inconclusive, errors, successes, no_data, delay)| {
            let mut metric = json!({
                "interval": interval, "count": count, "failureLimit": failures, "inconclusiveLimit": inconclusive,
                "consecutiveErrorLimit": errors, "consecutiveSuccessLimit": successes, "noData": no_data,
                "initialDelay": delay,
            });
            metric.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
            metric
        })
}

proptest! {
    #[test]
    fn without_a_good_measurement_a_run_is_never_successful(
        metric in metrics(),
        answers in phases(vec![NoData, Error, Inconclusive, Failed]),
        terminate in any::<bool>(),
    ) {
        let mut run = Run::one(metric).answers("m", &answers);
        run.until(600);
        if terminate {
            run.spec.terminate = Some(true);
            run.until(600);
        }
        prop_assert_ne!(run.phase(), AnalysisPhase::Successful);
    }

    #[test]
    fn a_run_without_hold_ends_when_its_count_is_limited(metric in metrics(), answers in phases(vec![NoData, Error, Inconclusive, Failed, Successful])) {
        prop_assume!(metric.get("count").is_some());
        prop_assume!(metric.pointer("/noData/policy") != Some(&json!("hold")));
        let mut run = Run::one(metric).answers("m", &answers);
        run.until(100_000);
        prop_assert!(run.phase().is_terminal());
    }

    #[test]
    fn no_status_makes_the_decision_panic(
        counts in prop::collection::vec(any::<i32>(), 8),
        seconds in -100_000_000_000_i64..100_000_000_000,
        outcome in prop::sample::select(vec![NoData, Error, Inconclusive, Failed, Successful]),
        metric in metrics(),
    ) {
        let mut run = Run::one(metric).answers("m", &[outcome]);
        let taken = run.measure("m");
        run.now = Timestamp::from_second(seconds).unwrap();
        run.status.phase = Some(AnalysisPhase::Running);
        run.status.metric_results = vec![MetricResult {
            name: "m".into(),
            count: counts[0], successful: counts[1], failed: counts[2], inconclusive: counts[3],
            error: counts[4], consecutive_error: counts[5], consecutive_success: counts[6], consecutive_no_data: counts[7],
            ..MetricResult::default()
        }];
        drop(run.decide(vec![taken]));
    }
}
