//! Carries out one measurement: address, Secrets, query, judgement. Whatever goes wrong is an outcome, not an error.

mod question;

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::allow_list::AllowList;
use super::args::{REDACTED, Secret, redact};
use super::decide::MeasureRequest;
use super::installation::Installation;
use super::judge::{self, Judgement, MetricValue};
use super::plan::{PrometheusPlan, Source, WebPlan};
use super::providers::{MetricSource, web};
use super::snapshot::Outcome;
use crate::api::analysis::MeasurementPhase;
use crate::runtime::clock::Clock;
use crate::runtime::instruments::Instruments;

/// How long the conditions of one value may take. The guard keeps them far below; this is the last resort.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A measurement's phase, as in the label of the instruments.
const fn outcome(phase: MeasurementPhase) -> &'static str {
    match phase {
        MeasurementPhase::Successful => "successful",
        MeasurementPhase::Failed => "failed",
        MeasurementPhase::Error => "error",
        MeasurementPhase::Inconclusive => "inconclusive",
        MeasurementPhase::NoData => "no_data",
        MeasurementPhase::Running => "running",
    }
}

/// What measuring needs.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// For Secrets.
    pub client: &'a Client,
    /// The metric servers.
    pub metrics: &'a dyn MetricSource,
    /// Where metrics may come from.
    pub allow_list: &'a AllowList,
    /// The Prometheus of metrics that name no address.
    pub installation: &'a Installation,
    /// How many measurements may be under way at once, in the whole process.
    pub permits: &'a Semaphore,
    /// The time.
    pub clock: &'a Clock,
    /// Metrics about metrics.
    pub instruments: &'a Instruments,
}

/// Measures.
pub async fn measure(tools: Tools<'_>, namespace: &str, request: MeasureRequest) -> Outcome {
    // The semaphore is never closed; if it were, measuring without a permit would still be right.
    let permit = tools.permits.acquire().await.ok();
    let started_at = now(tools.clock);
    let (fetched, metadata) = match &request.source {
        Source::Prometheus(plan) => fetch(tools, namespace, plan).await,
        Source::Web(plan) => (ask(tools, namespace, plan).await, BTreeMap::new()),
        Source::Job(_) => (
            Err("a Job is not asked, it is run".to_owned()),
            BTreeMap::new(),
        ),
    };
    let (value, judgement) = match fetched {
        Ok(value) => (Some(value.shown()), judged(value, request.conditions).await),
        Err(message) => (None, Judgement::because(MeasurementPhase::Error, message)),
    };
    drop(permit);
    let finished_at = now(tools.clock);
    let took = finished_at.duration_since(started_at).unsigned_abs();
    tools
        .instruments
        .measured(request.source.provider(), outcome(judgement.phase), took);
    Outcome {
        metric: request.metric,
        started_at,
        finished_at: Some(finished_at),
        query: request.source.shown(),
        metadata,
        value,
        judgement,
    }
}

/// The time in milliseconds: what a status holds of it must read back as the same.
pub(super) fn now(clock: &Clock) -> jiff::Timestamp {
    let now = clock.now();
    jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// What was fetched: the value, and what else there is to say.
type Fetched = (Result<MetricValue, String>, BTreeMap<String, String>);

async fn fetch(tools: Tools<'_>, namespace: &str, plan: &PrometheusPlan) -> Fetched {
    let mut metadata = BTreeMap::new();
    let (question, hidden) = match question::question(tools, namespace, plan).await {
        Ok(made) => made,
        Err(message) => return (Err(message), metadata),
    };
    if let Some(range) = &question.range {
        metadata.insert("range".to_owned(), range.shown());
    }
    // What the server repeats of a secret goes no further than here.
    let shown = |text: &str| redact(text, &hidden);
    let value = match tools.metrics.fetch(&question).await {
        Ok(answer) => {
            if !answer.warnings.is_empty() {
                metadata.insert("warnings".to_owned(), shown(&answer.warnings.join("; ")));
            }
            Ok(match answer.value {
                MetricValue::Text(text) => MetricValue::Text(shown(&text)),
                MetricValue::Json(json) => MetricValue::Json(json),
                value @ (MetricValue::Scalar(_) | MetricValue::Vector(_)) => value,
            })
        }
        Err(error) => Err(shown(&error.to_string())),
    };
    (value, metadata)
}

/// Asks an HTTP endpoint for the value at the path in its answer.
async fn ask(tools: Tools<'_>, namespace: &str, plan: &WebPlan) -> Result<MetricValue, String> {
    let (question, hidden) = question::web::question(tools, namespace, plan).await?;
    let body = tools.metrics.ask(&question).await;
    let body = body.map_err(|error| redact(&error.to_string(), &hidden))?;
    let path = plan.path.clone();
    let reading = tokio::task::spawn_blocking(move || web::read(&body, path.as_ref()));
    let value = match tokio::time::timeout(JUDGE_TIMEOUT, reading).await {
        Ok(Ok(value)) => value.map_err(|error| error.to_string())?,
        Ok(Err(_)) => return Err("reading the answer broke off".to_owned()),
        Err(_) => return Err("reading the answer took longer than 5s".to_owned()),
    };
    Ok(match value {
        MetricValue::Text(text) => MetricValue::Text(redact(&text, &hidden)),
        MetricValue::Json(json) => MetricValue::Json(redacted(json, &hidden)),
        value @ (MetricValue::Scalar(_) | MetricValue::Vector(_)) => value,
    })
}

/// The value without secrets, wherever in it they stand.
fn redacted(value: Value, hidden: &[Secret]) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value,
        Value::Number(number) => {
            let text = number.to_string();
            if redact(&text, hidden) == text {
                Value::Number(number)
            } else {
                Value::String(REDACTED.to_owned())
            }
        }
        Value::String(text) => Value::String(redact(&text, hidden)),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| redacted(item, hidden))
                .collect(),
        ),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, field)| (redact(&key, hidden), redacted(field, hidden)))
                .collect(),
        ),
    }
}

async fn judged(value: MetricValue, conditions: judge::Conditions) -> Judgement {
    let judging = tokio::task::spawn_blocking(move || judge::judge(&value, &conditions));
    let gave_up = |why: &str| {
        Judgement::because(
            MeasurementPhase::Error,
            format!("the conditions could not be evaluated: {why}"),
        )
    };
    match tokio::time::timeout(JUDGE_TIMEOUT, judging).await {
        Ok(Ok(judgement)) => judgement,
        Ok(Err(_)) => gave_up("the evaluation broke off"),
        Err(_) => gave_up("they took longer than 5s"),
    }
}
