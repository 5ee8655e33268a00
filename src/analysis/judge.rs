//! What one measured value says, given the metric's conditions. How it was measured is not here.

pub mod condition;
mod guard;
pub mod value;

pub use condition::{Condition, ConditionError};
pub use value::MetricValue;

use serde_json::Value;

use crate::api::analysis::MeasurementPhase;

/// The conditions of a metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// When a value is good.
    pub success: Option<Condition>,
    /// When a value is bad. It wins.
    pub failure: Option<Condition>,
}

/// What a value says, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// The verdict on this one value.
    pub phase: MeasurementPhase,
    /// Why, unless the value is simply good.
    pub message: Option<String>,
}

impl Judgement {
    /// A verdict with its reason.
    pub fn because(phase: MeasurementPhase, message: impl Into<String>) -> Self {
        Self {
            phase,
            message: Some(message.into()),
        }
    }

    const SUCCESSFUL: Self = Self {
        phase: MeasurementPhase::Successful,
        message: None,
    };
}

/// Judges a value. It may take long on hostile conditions: call it off the reconcile path.
pub fn judge(value: &MetricValue, conditions: &Conditions) -> Judgement {
    if let Some(message) = nothing_to_judge(value, conditions) {
        return Judgement::because(MeasurementPhase::NoData, message);
    }
    match decide(value, conditions) {
        Ok(judgement) => judgement,
        Err(error) => Judgement::because(MeasurementPhase::Error, error.to_string()),
    }
}

fn decide(value: &MetricValue, conditions: &Conditions) -> Result<Judgement, ConditionError> {
    let shown = value.shown();
    if let Some(failure) = &conditions.failure
        && failure.holds(value)?
    {
        let message = format!(
            "{shown} satisfies the failureCondition `{}`",
            failure.text()
        );
        return Ok(Judgement::because(MeasurementPhase::Failed, message));
    }
    let Some(success) = &conditions.success else {
        return Ok(Judgement::SUCCESSFUL);
    };
    if success.holds(value)? {
        return Ok(Judgement::SUCCESSFUL);
    }
    Ok(match &conditions.failure {
        None => Judgement::because(
            MeasurementPhase::Failed,
            format!("{shown} does not satisfy `{}`", success.text()),
        ),
        Some(failure) => Judgement::because(
            MeasurementPhase::Inconclusive,
            format!(
                "{shown} satisfies neither the successCondition `{}` nor the failureCondition `{}`",
                success.text(),
                failure.text()
            ),
        ),
    })
}

/// Why there is nothing to judge, if so.
fn nothing_to_judge(value: &MetricValue, conditions: &Conditions) -> Option<String> {
    let all = || conditions.success.iter().chain(&conditions.failure);
    match value {
        MetricValue::Json(Value::Null) => {
            Some("the answer has nothing there: nothing to judge".to_owned())
        }
        MetricValue::Json(Value::Array(items)) => all()
            .filter_map(Condition::highest_index)
            .max()
            .filter(|index| *index >= items.len())
            .map(|index| {
                format!(
                    "the answer has {} values there, but a condition reads result[{index}]",
                    items.len()
                )
            }),
        MetricValue::Text(_) | MetricValue::Json(_) => None,
        MetricValue::Scalar(number) => number
            .is_nan()
            .then(|| "the query's result is NaN: nothing to judge".to_owned()),
        MetricValue::Vector(numbers) if numbers.is_empty() => {
            Some("the query found no series: nothing to judge".to_owned())
        }
        MetricValue::Vector(numbers) => {
            let missing = numbers.iter().filter(|number| number.is_nan()).count();
            if missing == numbers.len() {
                return Some(format!(
                    "all {missing} values of the query's result are NaN: nothing to judge"
                ));
            }
            if missing > 0 && !all().any(Condition::handles_nan) {
                return Some(format!(
                    "{missing} of {} values of the query's result are NaN; leave them out in the query, or use isNaN in the condition",
                    numbers.len()
                ));
            }
            all()
                .filter_map(Condition::highest_index)
                .max()
                .filter(|index| *index >= numbers.len())
                .map(|index| {
                    format!(
                        "the query found {} series, but a condition reads result[{index}]",
                        numbers.len()
                    )
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MeasurementPhase::{Error, Failed, Inconclusive, NoData, Successful};

    fn conditions(success: &str, failure: &str) -> Conditions {
        let compile =
            |text: &str| (!text.is_empty()).then(|| Condition::compile(text).expect("compiles"));
        Conditions {
            success: compile(success),
            failure: compile(failure),
        }
    }

    fn vector(numbers: &[f64]) -> MetricValue {
        MetricValue::Vector(numbers.to_vec())
    }

    #[test]
    fn conditions_decide_what_a_value_says() {
        for (success, failure, number, phase) in [
            ("", "", 0.1, Successful),
            ("result[0] < 0.5", "", 0.1, Successful),
            ("result[0] < 0.5", "", 0.9, Failed),
            ("", "result[0] > 0.5", 0.9, Failed),
            ("", "result[0] > 0.5", 0.1, Successful),
            ("result[0] < 0.2", "result[0] > 0.5", 0.1, Successful),
            ("result[0] < 0.2", "result[0] > 0.5", 0.9, Failed),
            ("result[0] < 0.2", "result[0] > 0.5", 0.3, Inconclusive),
            ("result[0] < 1", "result[0] > 0.5", 0.9, Failed),
            ("result[0]", "", 0.9, Error),
            ("result[0] < 'a'", "", 0.9, Error),
            ("unknown < 1", "", 0.9, Error),
            (
                "!isNaN(result[0]) && asFloat(result[0]) < 0.5",
                "",
                0.1,
                Successful,
            ),
            (
                "asInt(result[0]) == 3 && asInt('7') == 7 && asFloat('1.5') == 1.5",
                "",
                3.7,
                Successful,
            ),
            ("isInf(result[0])", "", f64::INFINITY, Successful),
            (
                "default(nil, 4) == 4 && default(3, 4) == 3 && isNil(nil) && !isNil(result)",
                "",
                0.1,
                Successful,
            ),
            (
                "all(result, # < 0.5) && len(result) == 1",
                "",
                0.1,
                Successful,
            ),
            ("result | all({# < 0.5})", "", 0.1, Successful),
            ("mean(result) < 0.5 ? true : false", "", 0.1, Successful),
        ] {
            let judgement = judge(&vector(&[number]), &conditions(success, failure));
            assert_eq!(
                judgement.phase, phase,
                "{success} / {failure} on {number}: {judgement:?}"
            );
        }
    }

    #[test]
    fn nothing_to_judge_is_no_data_and_never_a_success() {
        let nan = f64::NAN;
        for (success, failure, value, phase) in [
            ("", "", vector(&[]), NoData),
            ("len(result) == 0", "", vector(&[]), NoData),
            ("", "", MetricValue::Scalar(nan), NoData),
            ("isNaN(result)", "", MetricValue::Scalar(nan), NoData),
            ("isNaN(result[0])", "", vector(&[nan, nan]), NoData),
            ("result[0] < 1", "", vector(&[0.5, nan]), NoData),
            ("", "result[0] > 1", vector(&[nan, 0.5]), NoData),
            (
                "all(result, isNaN(#) || # < 1)",
                "",
                vector(&[0.5, nan]),
                Successful,
            ),
            ("result[2] != 5", "", vector(&[0.5, 0.6]), NoData),
            (
                "len(result) < 3 || result[2] != 5",
                "",
                vector(&[0.5, 0.6]),
                Successful,
            ),
            (
                "result == 'up'",
                "",
                MetricValue::Text("up".into()),
                Successful,
            ),
            ("result < 1", "", MetricValue::Scalar(0.5), Successful),
        ] {
            let judgement = judge(&value, &conditions(success, failure));
            assert_eq!(
                judgement.phase, phase,
                "{success} / {failure} on {value:?}: {judgement:?}"
            );
        }
    }

    #[test]
    fn json_is_judged_as_it_is() {
        use serde_json::json;
        for (success, failure, value, phase) in [
            ("result < 5", "", json!(3), Successful),
            ("result == 3", "", json!(3), Successful),
            (
                "result.rate < 0.5 && result.ok",
                "",
                json!({"rate": 0.1, "ok": true}),
                Successful,
            ),
            (
                "result.a.b[1] == 'x'",
                "",
                json!({"a": {"b": [1, "x"]}}),
                Successful,
            ),
            (
                "all(result, #.v < 2)",
                "",
                json!([{"v": 1}, {"v": 2}]),
                Failed,
            ),
            ("len(result) == 0", "", json!([]), Successful),
            ("result[0] < 1", "", json!([]), NoData),
            ("", "result.bad", json!({"bad": false}), Successful),
            ("result == 'up'", "", json!("down"), Failed),
            ("asFloat(result) > 1", "", json!("1.5"), Successful),
            ("", "", json!(null), NoData),
            ("", "result > 1", json!(null), NoData),
            ("isNil(result)", "", json!(null), NoData),
            ("result > 1", "", json!({"a": 1}), Error),
        ] {
            let judgement = judge(
                &MetricValue::Json(value.clone()),
                &conditions(success, failure),
            );
            assert_eq!(
                judgement.phase, phase,
                "{success} / {failure} on {value}: {judgement:?}"
            );
        }
    }

    #[test]
    fn a_bad_value_names_itself_and_the_condition() {
        let judgement = judge(&vector(&[0.21]), &conditions("result[0] < 0.05", ""));
        assert_eq!(
            judgement.message.as_deref(),
            Some("[0.21] does not satisfy `result[0] < 0.05`")
        );
    }
}
