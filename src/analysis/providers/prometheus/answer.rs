//! Reading an answer of the Prometheus HTTP API. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::{Answer, FetchError, MAX_SERIES};
use crate::analysis::judge::MetricValue;
use crate::analysis::text;

/// The most that is kept of Prometheus' own error, in characters. Longer than what is shown of it in the end: secrets are
/// taken out in between, and one that was cut in two would not be found.
const MAX_DETAIL: usize = 4_096;

/// The most warnings that are kept.
const MAX_WARNINGS: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// The value in an answer with this HTTP status.
pub fn parse(status: u16, body: &[u8]) -> Result<Answer, FetchError> {
    let answer: Result<Body, _> = serde_json::from_slice(body);
    if status != 200 {
        // Of a body that is not Prometheus' own error nothing is repeated: it may be any page the controller can reach.
        let detail = answer.ok().and_then(|answer| detail(&answer));
        return Err(FetchError::Refused { status, detail });
    }
    let answer = answer.map_err(|_| FetchError::NotPrometheus("no JSON of its API".into()))?;
    if answer.status != "success" {
        return Err(FetchError::Refused {
            status,
            detail: detail(&answer),
        });
    }
    let data = answer
        .data
        .ok_or_else(|| FetchError::NotPrometheus("it has no data".into()))?;
    let value = match data.result_type.as_str() {
        "scalar" => sample(&data.result)
            .and_then(number)
            .map(MetricValue::Scalar),
        "string" => sample(&data.result)
            .and_then(|value| {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| malformed("a string result"))
            })
            .map(MetricValue::Text),
        "vector" => vector(&data.result),
        "matrix" => matrix(&data.result),
        other => Err(FetchError::ResultType(text::one_line(other, 32))),
    }?;
    let warnings = answer.warnings.iter().take(MAX_WARNINGS);
    Ok(Answer {
        value,
        warnings: warnings
            .map(|warning| text::one_line(warning, MAX_DETAIL))
            .collect(),
    })
}

fn vector(result: &Value) -> Result<MetricValue, FetchError> {
    let series = result
        .as_array()
        .ok_or_else(|| malformed("a vector that is no list"))?;
    if series.len() > MAX_SERIES {
        return Err(FetchError::TooManySeries(series.len()));
    }
    let numbers = series.iter().map(|series| {
        if series.get("histogram").is_some() {
            return Err(FetchError::ResultType("histogram".into()));
        }
        let value = series
            .get("value")
            .ok_or_else(|| malformed("a series without a value"))?;
        sample(value).and_then(number)
    });
    numbers.collect::<Result<_, _>>().map(MetricValue::Vector)
}

/// All points of all series in one list.
fn matrix(result: &Value) -> Result<MetricValue, FetchError> {
    let series = result
        .as_array()
        .ok_or_else(|| malformed("a matrix that is no list"))?;
    let mut points = Vec::new();
    for one in series {
        if one.get("histograms").is_some() {
            return Err(FetchError::ResultType("histogram".into()));
        }
        let values = one
            .get("values")
            .and_then(Value::as_array)
            .ok_or_else(|| malformed("a series without values"))?;
        points.extend(values);
    }
    if points.len() > MAX_SERIES {
        return Err(FetchError::TooManyPoints(points.len()));
    }
    let numbers = points
        .into_iter()
        .map(|point| sample(point).and_then(number));
    numbers.collect::<Result<_, _>>().map(MetricValue::Vector)
}

/// The value of a pair of time and value.
fn sample(pair: &Value) -> Result<&Value, FetchError> {
    match pair.as_array().map(Vec::as_slice) {
        Some([_, value]) => Ok(value),
        _ => Err(malformed("a sample that is no pair")),
    }
}

/// Numbers are texts in this API: `"0.21"`, `"NaN"`, `"+Inf"`.
fn number(value: &Value) -> Result<f64, FetchError> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("a value that is no number"))
}

fn malformed(what: &str) -> FetchError {
    FetchError::NotPrometheus(what.into())
}

fn detail(answer: &Body) -> Option<String> {
    let error = answer.error.as_deref()?;
    let kind = answer.error_type.as_deref()?;
    Some(text::one_line(&format!("{kind}: {error}"), MAX_DETAIL))
}
