//! Values of metrics that the user gives: `name=value`, or `name=bad:value` for while the fault is there.

use std::str::FromStr;

use serde_json::Value;

use crate::analysis::{judge::MetricValue, plan::Source};

/// What a metric measures, as the user says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricOverride {
    /// Always, but while the fault is seen if `bad` is given.
    pub always: Option<Value>,
    /// While the fault is seen.
    pub bad: Option<Value>,
}

/// One `--metric`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedOverride {
    /// The metric's name.
    pub name: String,
    /// What it measures.
    pub value: MetricOverride,
}

/// A `--metric` that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("it is not name=value or name=bad:value")]
pub struct NoOverride;

impl FromStr for NamedOverride {
    type Err = NoOverride;

    fn from_str(text: &str) -> Result<Self, NoOverride> {
        let (name, value) = text.split_once('=').ok_or(NoOverride)?;
        if name.is_empty() || value.is_empty() {
            return Err(NoOverride);
        }
        let read = |text: &str| {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        };
        let value = match value.strip_prefix("bad:") {
            Some(bad) => MetricOverride {
                always: None,
                bad: Some(read(bad)),
            },
            None => MetricOverride {
                always: Some(read(value)),
                bad: None,
            },
        };
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

impl MetricOverride {
    /// What both say together; the other one wins.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            always: other.always.or(self.always),
            bad: other.bad.or(self.bad),
        }
    }

    fn given(&self, faulty: bool) -> Option<&Value> {
        self.bad
            .as_ref()
            .filter(|_| faulty)
            .or(self.always.as_ref())
    }

    /// The value, in the shape in which the source gives it, and how to tell it.
    pub(in crate::simulate) fn value(
        &self,
        source: &Source,
        faulty: bool,
    ) -> Option<(MetricValue, String)> {
        let value = self.given(faulty)?;
        let numbers = match value {
            Value::Array(items) => items.iter().map(Value::as_f64).collect::<Option<Vec<_>>>(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => value.as_f64().map(|number| vec![number]),
        };
        let measured = match (source, numbers) {
            (Source::Prometheus(_), Some(numbers)) => MetricValue::Vector(numbers),
            (Source::Prometheus(_) | Source::Web(_) | Source::Job(_), _) => {
                MetricValue::Json(value.clone())
            }
        };
        Some((measured, format!("{value}, as --metric says")))
    }

    /// Whether a Job succeeds, and how to tell it.
    pub(in crate::simulate) fn job(&self, faulty: bool) -> Option<(bool, String)> {
        let value = self.given(faulty)?;
        let succeeds = match value {
            Value::Bool(succeeds) => *succeeds,
            Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => value.as_str() == Some("success"),
        };
        Some((succeeds, format!("{value}, as --metric says")))
    }
}
