use serde_json::{Value, json};

use super::*;
use crate::analysis::plan::{MetricPlan, plan};

const NEW: &str = "abc";

fn metric(provider: &Value, success: &str) -> MetricPlan {
    let spec = json!({"metrics": [{
        "name": "m", "successCondition": success, "provider": provider, "count": 1,
    }]});
    plan(&serde_json::from_value(spec).unwrap())
        .unwrap()
        .remove(0)
}

fn query(query: &str, success: &str) -> MetricPlan {
    metric(&json!({"prometheus": {"query": query}}), success)
}

/// What a metric measures when the new version has answered so many requests per second, half of them with an error if it is bad.
fn measured(plan: &MetricPlan, scenario: Scenario, requests: f64) -> Result<MetricValue, String> {
    let seconds = Duration::from_secs;
    let mut log = Log::default();
    let new = Seen {
        requests: requests * 100.0,
        errors: if scenario.is_bad() {
            requests * 50.0
        } else {
            0.0
        },
    };
    let old = Seen {
        requests: requests * 300.0,
        errors: 0.0,
    };
    log.add(seconds(0), seconds(100), new, old);
    let world = World {
        scenario,
        log: &log,
        marks: &Marks {
            new: vec![NEW.to_owned()],
            old: vec!["old".to_owned()],
        },
        now: seconds(100),
    };
    let question = Question {
        source: &plan.source,
        conditions: &plan.conditions,
        overridden: None,
    };
    answer(&question, &world).value
}

#[test]
fn a_query_is_understood_by_its_words_and_conditions() {
    let of = |number: f64| Ok(MetricValue::Vector(vec![number]));
    for (text, success, expected) in [
        (
            r#"sum(rate(r{h="abc",code=~"5.."}[10s])) / sum(rate(r{h="abc"}[10s]))"#,
            "result[0] < 0.05",
            0.5,
        ),
        (
            r#"sum(rate(r{h="abc",code!~"5.."}[1m])) / sum(rate(r{h="abc"}[1m]))"#,
            "result[0] >= 0.95",
            0.5,
        ),
        (
            r#"100 * sum(rate(errors{h="abc"}[1m])) / sum(rate(all{h="abc"}[1m]))"#,
            "result[0] <= 5",
            50.0,
        ),
        (
            r#"sum(rate(success{h="abc"}[1m])) / sum(rate(all{h="abc"}[1m])) * 100"#,
            "result[0] > 95",
            50.0,
        ),
        // One version of four requests in all.
        (
            r#"sum(rate(r{code=~"5.."}[10s])) / sum(rate(r[10s]))"#,
            "result[0] < 0.05",
            0.125,
        ),
        (
            r#"sum(rate(r{h="old",code=~"5.."}[10s])) / sum(rate(r{h="old"}[10s]))"#,
            "result[0] < 0.05",
            0.0,
        ),
        (
            r#"sum(increase(errors{h="abc"}[20s]))"#,
            "result[0] < 3",
            100.0,
        ),
        (r#"sum(rate(errors{h="abc"}[20s]))"#, "result[0] < 3", 5.0),
        (
            r#"sum(rate(http_requests_total{h="abc"}[20s]))"#,
            "result[0] > 3",
            10.0,
        ),
    ] {
        let found = measured(&query(text, success), Scenario::Bad, 10.0);
        assert_eq!(found, of(expected), "{text}");
    }
}

#[test]
fn what_is_not_understood_gets_a_value_that_fits_the_scenario() {
    let web = |success: &str| metric(&json!({"web": {"url": "http://check.svc/"}}), success);
    for plan in [
        query("some_gauge{h=\"abc\"}", "result[0] == 3"),
        query("up", "result[0] > 2 && result[0] < 2.5"),
        web("result.ok == true"),
        web("result.state == 'fine' && result.count < 7"),
        web("result < 12"),
    ] {
        let phase = |scenario| {
            let value = measured(&plan, scenario, 10.0).unwrap();
            judge(&value, &plan.conditions).phase
        };
        let phases = [Scenario::Good, Scenario::Bad].map(phase);
        let expected = [MeasurementPhase::Successful, MeasurementPhase::Failed];
        let success = plan
            .conditions
            .success
            .as_ref()
            .map(|one| one.text().to_owned());
        assert_eq!(phases, expected, "{success:?}");
    }
}

#[test]
fn without_requests_there_is_no_data() {
    for text in [
        r#"sum(rate(r{h="abc",code=~"5.."}[10s])) / sum(rate(r{h="abc"}[10s]))"#,
        r#"sum(increase(errors{h="abc"}[20s]))"#,
        r#"histogram_quantile(0.99, rate(latency_bucket{h="abc"}[1m]))"#,
        "some_gauge",
    ] {
        let plan = query(text, "result[0] < 0.05");
        let value = measured(&plan, Scenario::NoTraffic, 0.0).unwrap();
        let phase = judge(&value, &plan.conditions).phase;
        assert_eq!(phase, MeasurementPhase::NoData, "{text}: {value:?}");
    }
}

#[test]
fn a_window_is_read_from_the_query() {
    for (text, expected) in [
        ("rate(a[10s])", Duration::from_secs(10)),
        ("rate(a[5m:30s])", Duration::from_mins(5)),
        ("a / b", WINDOW),
        ("rate(a[0s])", WINDOW),
    ] {
        assert_eq!(window(text), expected, "{text}");
    }
}
