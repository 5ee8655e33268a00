//! Answers from counts that are put together by hand.

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Counts at each reading: 100 requests and 10 errors of `one`, 50 requests of `two`, each answered in 20 ms.
fn fed(metrics: Metrics, readings: u64) -> Backend {
    let mut backend = Backend::new(metrics, 1);
    for number in 1..=readings {
        let counters = |requests: u64, errors: u64| Counters {
            requests: requests * number,
            errors: errors * number,
            lost: 0,
            seconds: 0.02 * chance::whole(requests * number),
        };
        let all = [("one", counters(100, 10)), ("two", counters(50, 0))];
        let all = all.map(|(name, counters)| (name.to_owned(), counters));
        backend.scrape(&BTreeMap::from(all));
    }
    backend
}

fn value(backend: &mut Backend, query: &str, now: u64) -> Vec<f64> {
    match backend.answer(query, seconds(now), TIMEOUT).says {
        Ok(MetricValue::Vector(values)) => values,
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn queries_are_answered_from_what_was_read_in_their_window() {
    let mut backend = fed(Metrics::default(), 24);
    for (query, expected) in [
        ("error_ratio{revision=\"one\"}", 0.1),
        ("error_ratio{revision=\"two\"}", 0.0),
        ("success_ratio{revision=\"one\"}", 0.9),
        // Read every 5 s: from 70 s to 115 s, the last one that is known at 120.5 s being that at 115 s.
        ("requests{revision=\"one\"}[50s]", 900.0),
        ("errors[50s]", 90.0),
        ("error_ratio", 90.0 / 1_350.0),
        ("latency", 0.02),
        ("request_rate{revision=\"two\"}[50s]", 9.0),
    ] {
        let values = value(&mut backend, query, 120);
        let [value] = values[..] else {
            panic!("{query}: {values:?}");
        };
        assert!((value - expected).abs() < 1e-9, "{query}: {value}");
    }
}

#[test]
fn what_was_not_read_twice_is_no_data() {
    let mut backend = fed(Metrics::default(), 24);
    assert_eq!(
        value(&mut backend, "error_ratio{revision=\"new\"}", 120),
        Vec::<f64>::new()
    );
    assert_eq!(
        value(&mut backend, "error_ratio[5s]", 124),
        Vec::<f64>::new()
    );
    let mut silent = fed(
        Metrics {
            gaps: 1.0,
            ..Metrics::default()
        },
        24,
    );
    assert_eq!(value(&mut silent, "error_ratio", 120), Vec::<f64>::new());
}

#[test]
fn without_a_request_a_ratio_is_not_a_number() {
    let mut backend = Backend::new(Metrics::default(), 1);
    for _ in 0..3 {
        let one = ("one".to_owned(), Counters::default());
        backend.scrape(&BTreeMap::from([one]));
    }
    let values = value(&mut backend, "error_ratio", 20);
    assert!(values.len() == 1 && values[0].is_nan(), "{values:?}");
}

#[test]
fn counts_that_begin_again_do_not_go_back() {
    let metrics = Metrics {
        resets: Some(seconds(30)),
        ..Metrics::default()
    };
    let mut backend = fed(metrics, 24);
    let [requests] = value(&mut backend, "requests{revision=\"two\"}[100s]", 122)[..] else {
        panic!("one value");
    };
    // What was counted between the last reading and the reset is not known.
    assert!((700.0..=950.0).contains(&requests), "{requests}");
}

#[test]
fn what_goes_wrong_is_what_a_provider_would_say() {
    let said = |fault| {
        let metrics = Metrics {
            faults: vec![(1.0, fault)],
            ..Metrics::default()
        };
        let answer = fed(metrics, 24).answer("error_ratio", seconds(120), TIMEOUT);
        let text = match answer.says {
            Ok(value) => value.shown(),
            Err(why) => why.to_string(),
        };
        (answer.takes >= TIMEOUT, text)
    };
    for (fault, late, text) in [
        (MetricFault::Empty, false, "[]"),
        (MetricFault::NaN, false, "[NaN]"),
        (MetricFault::Status(500), false, "Prometheus answered 500"),
        (MetricFault::NoAnswer, true, "did not answer within 10s"),
        (MetricFault::Unreachable, false, "connection refused"),
        (
            MetricFault::Slow(seconds(2)),
            false,
            "[0.06666666666666667]",
        ),
        (MetricFault::Slow(seconds(12)), true, "did not answer"),
        (
            MetricFault::WrongType,
            false,
            "the result is of type string",
        ),
    ] {
        let (was_late, told) = said(fault);
        assert!(told.contains(text) && was_late == late, "{fault:?}: {told}");
    }
    let unknown = fed(Metrics::default(), 1).answer("up", seconds(120), TIMEOUT);
    assert!(
        unknown
            .says
            .unwrap_err()
            .to_string()
            .contains("unknown query up")
    );
}
