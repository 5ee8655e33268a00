//! A measured value, as conditions see it and as it is shown.

use serde_json::Value;

use crate::analysis::text;

/// How many elements of a vector are shown.
const SHOWN: usize = 8;

/// What a provider measured.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// One number.
    Scalar(f64),
    /// A number per series, in the provider's order.
    Vector(Vec<f64>),
    /// A text.
    Text(String),
    /// Any JSON. Null is nothing.
    Json(Value),
}

impl MetricValue {
    /// The value for a status field: bounded, on one line.
    pub fn shown(&self) -> String {
        match self {
            Self::Scalar(value) => number(*value),
            Self::Vector(values) => {
                let mut shown: Vec<String> = values
                    .iter()
                    .take(SHOWN)
                    .map(|value| number(*value))
                    .collect();
                if values.len() > SHOWN {
                    shown.push(format!("… {} more", values.len() - SHOWN));
                }
                format!("[{}]", shown.join(", "))
            }
            Self::Text(value) | Self::Json(Value::String(value)) => {
                text::one_line(value, text::VALUE)
            }
            Self::Json(value) => text::one_line(&value.to_string(), text::VALUE),
        }
    }
}

/// A number the way people write it; very large and very small ones with an exponent.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !value.is_finite() || (1e-6..1e15).contains(&size) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_short() {
        for (value, shown) in [
            (MetricValue::Scalar(0.21), "0.21"),
            (MetricValue::Scalar(1e300), "1e300"),
            (MetricValue::Scalar(f64::NAN), "NaN"),
            (MetricValue::Vector(vec![1.0, 0.5]), "[1, 0.5]"),
            (
                MetricValue::Vector(vec![1.0; 10]),
                "[1, 1, 1, 1, 1, 1, 1, 1, … 2 more]",
            ),
            (MetricValue::Text("a\nb".into()), "a b"),
            (
                MetricValue::Json(serde_json::json!({"a": [1, true]})),
                r#"{"a":[1,true]}"#,
            ),
        ] {
            assert_eq!(value.shown(), shown);
        }
    }
}
