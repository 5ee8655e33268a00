//! One condition: an expression over `result` that is true or false.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use expr::{Context, Environment, Program, Value};
use thiserror::Error;

use super::guard::{self, Traits};
use super::value::MetricValue;
use crate::analysis::text;

/// Why a condition cannot be used, or has no answer.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum ConditionError {
    /// It has too many characters.
    #[error("it is longer than {} characters", guard::MAX_LENGTH)]
    TooLong,
    /// Too many brackets or conditionals in one another.
    #[error("it is nested deeper than {0} levels")]
    TooDeep(usize),
    /// Too many words, numbers and symbols.
    #[error("it has {0} parts; at most {max} are allowed", max = guard::MAX_TOKENS)]
    TooManyParts(usize),
    /// A quote without its counterpart.
    #[error("a text in it is not closed")]
    UnclosedText,
    /// It contains what conditions may not contain.
    #[error("it uses {0}, which conditions may not")]
    Forbidden(String),
    /// It is no expression.
    #[error("it does not compile: {0}")]
    Syntax(String),
    /// It could not be evaluated on this value.
    #[error("`{condition}` cannot be evaluated on {value}: {reason}")]
    Evaluation {
        /// The condition.
        condition: String,
        /// The value, shown.
        value: String,
        /// What was wrong.
        reason: String,
    },
    /// It answers something other than true or false.
    #[error("`{condition}` is neither true nor false on {value}")]
    NotBoolean {
        /// The condition.
        condition: String,
        /// The value, shown.
        value: String,
    },
}

/// A condition that was checked and compiled.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    traits: Traits,
    program: Program,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Condition {
    /// Checks and compiles a condition.
    pub fn compile(text: &str) -> Result<Self, ConditionError> {
        let traits = guard::check(text)?;
        // The compiler has unreachable!() branches; a condition must not be able to take the controller down.
        let program = catch_unwind(|| expr::compile(text))
            .map_err(|_| ConditionError::Syntax("the expression compiler gave up".into()))?
            .map_err(|error| ConditionError::Syntax(text::one_line(&error.to_string(), 200)))?;
        Ok(Self {
            text: text.to_owned(),
            traits,
            program,
        })
    }

    /// The condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The highest literal index of `result`, where the condition does not look at the length.
    pub fn highest_index(&self) -> Option<usize> {
        self.traits.highest_index
    }

    /// Whether the condition deals with NaN itself.
    pub fn handles_nan(&self) -> bool {
        self.traits.handles_nan
    }

    /// Whether the condition is true of the value.
    pub fn holds(&self, value: &MetricValue) -> Result<bool, ConditionError> {
        let mut context = Context::default();
        context.insert("result", expression_value(value));
        let failed = |reason: String| ConditionError::Evaluation {
            condition: self.text.clone(),
            value: value.shown(),
            reason: text::one_line(&reason, 200),
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            ENVIRONMENT.run(&self.program, &context)
        }))
        .map_err(|_| failed("the expression evaluator gave up".into()))?
        .map_err(|error| failed(error.to_string()))?;
        answer.as_bool().ok_or_else(|| ConditionError::NotBoolean {
            condition: self.text.clone(),
            value: value.shown(),
        })
    }
}

fn expression_value(value: &MetricValue) -> Value {
    match value {
        MetricValue::Scalar(number) => Value::Float(*number),
        MetricValue::Vector(numbers) => {
            Value::Array(numbers.iter().copied().map(Value::Float).collect())
        }
        MetricValue::Text(text) => Value::String(text.clone()),
        MetricValue::Json(value) => json_value(value),
    }
}

/// All numbers are floats, as in the expressions that people know.
fn json_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(json_value).collect()),
        serde_json::Value::Object(fields) => Value::Map(
            fields
                .iter()
                .map(|(key, field)| (key.clone(), json_value(field)))
                .collect(),
        ),
    }
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.add_function("asInt", |call| {
        as_int(single("asInt", &call.args)?).map(Value::Integer)
    });
    environment.add_function("asFloat", |call| {
        as_float(single("asFloat", &call.args)?).map(Value::Float)
    });
    environment.add_function("isNaN", |call| {
        Ok(Value::Bool(
            as_float(single("isNaN", &call.args)?)?.is_nan(),
        ))
    });
    environment.add_function("isInf", |call| {
        Ok(Value::Bool(
            as_float(single("isInf", &call.args)?)?.is_infinite(),
        ))
    });
    environment.add_function("isNil", |call| {
        Ok(Value::Bool(matches!(
            single("isNil", &call.args)?,
            Value::Nil
        )))
    });
    environment.add_function("default", |call| match call.args.as_slice() {
        [Value::Nil, fallback] => Ok(fallback.clone()),
        [value, _] => Ok(value.clone()),
        _ => Err(expr::Error::ExprError(
            "default() takes a value and a fallback".into(),
        )),
    });
    environment
});

fn single<'a>(name: &str, args: &'a [Value]) -> expr::Result<&'a Value> {
    match args {
        [value] => Ok(value),
        _ => Err(expr::Error::ExprError(format!("{name}() takes one value"))),
    }
}

fn as_float(value: &Value) -> expr::Result<f64> {
    let not_a_number = || expr::Error::ExprError(format!("{} is not a number", shown(value)));
    if let Some(number) = value.as_float() {
        return Ok(number);
    }
    if let Some(number) = value.as_integer() {
        #[expect(
            clippy::cast_precision_loss,
            reason = "conditions calculate with floats"
        )]
        return Ok(number as f64);
    }
    value
        .as_string()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(not_a_number)
}

fn as_int(value: &Value) -> expr::Result<i64> {
    if let Some(number) = value.as_integer() {
        return Ok(number);
    }
    if let Some(number) = value.as_string().and_then(|text| text.trim().parse().ok()) {
        return Ok(number);
    }
    let number = as_float(value)?;
    // 2^63 is exact as a float; beyond it, and for NaN, a cast would silently give another number.
    if number.is_nan() || number.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(expr::Error::ExprError(format!(
            "{number} is not a whole number of 64 bits"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cutting off the fraction is what asInt is for"
    )]
    Ok(number as i64)
}

fn shown(value: &Value) -> String {
    text::one_line(&value.to_string(), 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "result <",
            "result[0",
            "result < 0.05)",
            "a b",
            "99999999999999999999 > 1",
        ] {
            assert!(Condition::compile(text).is_err(), "{text}");
        }
    }

    /// Everything the guard lets through must fit a thread's default stack and end soon.
    #[test]
    fn the_worst_conditions_that_are_allowed_end_soon() {
        let value = MetricValue::Vector(vec![0.5; 1_000]);
        let started = tokio::time::Instant::now();
        for text in [
            format!("{}result[0] > 0{}", "(".repeat(60), ")".repeat(60)),
            format!("{}result[0]>0{}", "!(".repeat(40), ")".repeat(40)),
            format!("{}1{} > 0", "abs(".repeat(41), ")".repeat(41)),
            format!("1{} > 0", "+1".repeat(62)),
            format!("1{} > 0", "**1".repeat(41)),
            format!("1{} > 0", "??1".repeat(32)),
            format!("{}true", "true?true:".repeat(31)),
            format!("result{} > 0", "[0]".repeat(41)),
            format!("result{} > 0", ".a".repeat(62)),
            format!("true{}", "&&true".repeat(42)),
            format!("{}0{} > 0", "result[".repeat(4), "]".repeat(4)),
            format!("{}1{}", "-(".repeat(42), ")".repeat(42)),
            format!("result{} != nil", "[:]".repeat(41)),
            format!("all(result, {}true)", "len(result)>0&&".repeat(14)),
            format!("{}1{}", "1+(".repeat(31), ")".repeat(31)),
            format!("{}1{}", "1+abs(".repeat(25), ")".repeat(25)),
        ] {
            let condition =
                Condition::compile(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            drop(condition.holds(&value));
            assert!(started.elapsed().as_secs() < 20, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_condition_panic(
            text in "(result|[0-9]{1,3}|[()\\[\\]{}?:.,<>=!&|+*/%#'\" -]|and|not|in|len\\(|all\\(|isNaN\\(|nil|true){0,40}"
        ) {
            if let Ok(condition) = Condition::compile(&text) {
                drop(condition.holds(&MetricValue::Vector(vec![1.0, 2.0])));
            }
        }
    }
}
