//! Carries out one measurement: address, Secrets, query, judgement. Whatever goes wrong is an outcome, not an error.

use std::time::Duration;

use kube::Client;
use reqwest::Url;
use tokio::sync::Semaphore;

use super::allow_list::AllowList;
use super::args::redact;
use super::decide::MeasureRequest;
use super::judge::{self, Judgement, MetricValue};
use super::observe;
use super::providers::MetricSource;
use super::snapshot::Outcome;
use crate::api::analysis::MeasurementPhase;
use crate::runtime::clock::Clock;
use crate::runtime::instruments::Instruments;

/// How long the conditions of one value may take. The guard keeps them far below; this is the last resort.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The only provider so far, as in the label of the instruments.
const PROVIDER: &str = "prometheus";

/// A measurement's phase, as in the label of the instruments.
const fn outcome(phase: MeasurementPhase) -> &'static str {
    match phase {
        MeasurementPhase::Successful => "successful",
        MeasurementPhase::Failed => "failed",
        MeasurementPhase::Error => "error",
        MeasurementPhase::Inconclusive => "inconclusive",
        MeasurementPhase::NoData => "no_data",
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
    /// Where metrics come from that say nothing about it.
    pub default_address: Option<&'a str>,
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
    let (value, judgement) = match fetch(tools, namespace, &request).await {
        Ok(value) => (Some(value.shown()), judged(value, request.conditions).await),
        Err(message) => (None, Judgement::because(MeasurementPhase::Error, message)),
    };
    drop(permit);
    let finished_at = now(tools.clock);
    let took = finished_at.duration_since(started_at).unsigned_abs();
    tools
        .instruments
        .measured(PROVIDER, outcome(judgement.phase), took);
    Outcome {
        metric: request.metric,
        started_at,
        finished_at,
        query: request.query.shown(),
        value,
        judgement,
    }
}

/// The time in milliseconds: what a status holds of it must read back as the same.
pub(super) fn now(clock: &Clock) -> jiff::Timestamp {
    let now = clock.now();
    jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

async fn fetch(
    tools: Tools<'_>,
    namespace: &str,
    request: &MeasureRequest,
) -> Result<MetricValue, String> {
    let address = address(tools, request)?;
    let secrets = observe::secrets(tools.client, namespace, request.query.secrets()).await?;
    let query = request
        .query
        .fill(|from| secrets.get(&(from.name.clone(), from.key.clone())))
        .ok_or_else(|| "a Secret of the query was not read".to_owned())?;
    let fetched = tools.metrics.fetch(&address, &query, request.timeout).await;
    match fetched {
        // What the server repeats of a secret goes no further than here.
        Ok(MetricValue::Text(text)) => Ok(MetricValue::Text(redact(&text, secrets.values()))),
        Ok(value) => Ok(value),
        Err(error) => Err(redact(&error.to_string(), secrets.values())),
    }
}

/// Checked before any connection is made and before any Secret is read.
fn address(tools: Tools<'_>, request: &MeasureRequest) -> Result<Url, String> {
    let address = request.address.as_deref().or(tools.default_address).ok_or_else(|| {
        "there is no address: set provider.prometheus.address, or start the controller with a default".to_owned()
    })?;
    tools
        .allow_list
        .check(address)
        .map_err(|error| error.to_string())
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
