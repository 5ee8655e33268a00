//! A value that a metric's conditions accept, or do not: found by trying values on the real judge.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde_json::{Value, json};

use crate::{
    analysis::{
        judge::{Condition, Conditions, MetricValue, judge},
        plan::Source,
    },
    api::analysis::MeasurementPhase,
};

/// What the value is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Good,
    Bad,
}

/// Numbers that conditions often are about.
const USUAL: [f64; 12] = [
    0.0, 1.0, 0.5, 0.001, 0.999, 10.0, 50.0, 99.9, 100.0, 1_000.0, 1e6, -1.0,
];

/// So many objects are tried at most.
const MOST: usize = 1_000;

/// A value of the wanted kind, if one is found.
pub(super) fn value(
    source: &Source,
    conditions: &Conditions,
    wanted: Wanted,
) -> Option<MetricValue> {
    let found = |phases: &[MeasurementPhase]| {
        candidates(source, conditions).into_iter().find(|value| {
            let judgement = judge(value, conditions);
            phases.contains(&judgement.phase)
        })
    };
    match wanted {
        Wanted::Good => found(&[MeasurementPhase::Successful]),
        Wanted::Bad => {
            found(&[MeasurementPhase::Failed]).or_else(|| found(&[MeasurementPhase::Inconclusive]))
        }
    }
}

fn candidates(source: &Source, conditions: &Conditions) -> Vec<MetricValue> {
    let all = conditions.success.iter().chain(&conditions.failure);
    let texts: Vec<&str> = all.clone().map(Condition::text).collect();
    let width = all
        .filter_map(Condition::highest_index)
        .max()
        .map_or(1, |index| index + 1);
    let mut numbers: Vec<f64> = texts.iter().flat_map(|text| near(text)).collect();
    numbers.extend(USUAL);
    match source {
        Source::Prometheus(_) => numbers
            .into_iter()
            .flat_map(|number| {
                [
                    MetricValue::Vector(vec![number; width]),
                    MetricValue::Scalar(number),
                ]
            })
            .collect(),
        Source::Web(_) | Source::Job(_) => {
            let mut values = vec![json!(true), json!(false)];
            values.extend(numbers.into_iter().map(|number| json!(number)));
            values.extend(texts.iter().flat_map(|text| quoted(text)));
            values.push(json!("no such text"));
            let mut all: Vec<Value> = values
                .iter()
                .flat_map(|value| [value.clone(), Value::Array(vec![value.clone(); width])])
                .collect();
            all.extend(objects(&texts));
            all.into_iter().map(MetricValue::Json).collect()
        }
    }
}

/// Objects with the fields that the conditions read: each with values that are near what it is compared with.
fn objects(texts: &[&str]) -> Vec<Value> {
    let clauses = texts.iter().flat_map(|text| text.split(['&', '|']));
    let mut wanted: BTreeMap<Vec<&str>, Vec<Value>> = BTreeMap::new();
    for clause in clauses {
        for path in paths(clause) {
            let values = wanted.entry(path).or_default();
            values.extend(quoted(clause));
            values.extend(near(clause).into_iter().map(|number| json!(number)));
            values.extend([json!(true), json!(false), json!("no such text")]);
        }
    }
    let mut objects = vec![json!({})];
    for (path, values) in wanted {
        objects = objects
            .iter()
            .flat_map(|object| {
                let each = values.iter();
                each.map(|value| with(object.clone(), &path, value))
            })
            .take(MOST)
            .collect();
    }
    objects
}

/// The numbers of a condition, and those on both sides of them.
fn near(text: &str) -> Vec<f64> {
    literals(text)
        .into_iter()
        .flat_map(|number| {
            let step = (number.abs() * 0.1).max(0.001);
            [number - step, number + step, number]
        })
        .collect()
}

fn with(mut whole: Value, path: &[&str], value: &Value) -> Value {
    let mut place = &mut whole;
    for name in path {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[*name];
    }
    *place = value.clone();
    whole
}

#[expect(clippy::expect_used, reason = "constants of the program, and tested")]
static WORDS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r"(?:^|[^\w.\[])(-?\d+(?:\.\d+)?)",
        r#""([^"]*)"|'([^']*)'"#,
        r"result((?:\.[A-Za-z_]\w*)+)",
    ]
    .map(|pattern| Regex::new(pattern).expect("a regular expression"))
});

fn literals(text: &str) -> Vec<f64> {
    let found = WORDS[0].captures_iter(text);
    found
        .filter_map(|captures| captures.get(1)?.as_str().parse().ok())
        .collect()
}

fn quoted(text: &str) -> Vec<Value> {
    let found = WORDS[1].captures_iter(text);
    found
        .filter_map(|captures| captures.get(1).or_else(|| captures.get(2)))
        .map(|text| json!(text.as_str()))
        .collect()
}

/// The fields of `result` that are read, as `result.a.b`.
fn paths(text: &str) -> Vec<Vec<&str>> {
    let found = WORDS[2].captures_iter(text);
    found
        .filter_map(|captures| captures.get(1))
        .map(|path| path.as_str().split('.').skip(1).collect())
        .collect()
}
