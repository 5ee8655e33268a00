//! When metrics are measured.

use jiff::ToSpan;
use serde_json::json;

use super::run::Run;
use crate::analysis::decide::Next;
use crate::api::analysis::MeasurementPhase::{Error, NoData, Successful};

#[test]
fn measurements_are_taken_when_they_are_due() {
    for (what, metric, answers, seconds) in [
        (
            "every interval",
            json!({"interval": "20s", "count": 3}),
            vec![Successful],
            vec![0, 20, 40],
        ),
        (
            "after the delay",
            json!({"interval": "20s", "initialDelay": "30s", "count": 2}),
            vec![Successful],
            vec![30, 50],
        ),
        (
            "errors after 10 s",
            json!({"interval": "20s", "count": 2}),
            vec![Successful, Error, Successful],
            vec![0, 20, 30],
        ),
        (
            "errors of a long interval too",
            json!({"interval": "1h", "count": 1}),
            vec![Error, Successful],
            vec![0, 10],
        ),
        (
            "no data at the interval",
            json!({"interval": "20s", "count": 1}),
            vec![NoData, Successful],
            vec![0, 20],
        ),
    ] {
        let mut run = Run::one(metric).answers("m", &answers);
        run.until(4_000);
        assert_eq!(run.seconds(), seconds, "{what}");
    }
}

#[test]
fn the_next_look_names_the_metric_that_is_due_first() {
    let run = Run::new(json!([
        {"name": "late", "initialDelay": "50s"}, {"name": "soon", "initialDelay": "20s"},
    ]));
    let time = run.start.checked_add(20.seconds()).unwrap();
    assert_eq!(
        run.decide(Vec::new()).next,
        Next::At {
            time,
            metric: "soon".into()
        }
    );
}

#[test]
fn a_clock_that_went_back_does_not_stop_measuring() {
    let mut run = Run::one(json!({"interval": "10s"})).answers("m", &[Successful]);
    run.until(0);
    run.now = run.start.checked_sub(1.hours()).unwrap();
    assert_eq!(run.decide(Vec::new()).measure.len(), 1);
}
