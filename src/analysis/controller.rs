//! One reconcile of one AnalysisRun: observe, decide, measure what is due, decide again, write the status.
//!
//! Watching, queueing and Events are wired up elsewhere.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use kube::Client;
use kube::core::ApiResource;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::act;
use super::allow_list::AllowList;
use super::decide::{self, AnalysisDecision, Next, Note};
use super::installation::Installation;
use super::measure::{self, Tools};
use super::observe::{self, NotAnObject, ObservedRun};
use super::plan;
use super::providers::MetricSource;
use super::snapshot::AnalysisRunSnapshot;
use crate::api::analysis::AnalysisRunStatus;
use crate::runtime::client::{ApiError, Failure};
use crate::runtime::clock::Clock;
use crate::runtime::instruments::Instruments;
use crate::runtime::lease::{Fence, LostLease};

/// After a conflict the watch brings the newer object; this is for the case that it does not.
const AFTER_CONFLICT: Duration = Duration::from_secs(1);

/// What reconciling AnalysisRuns needs.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// AnalysisRun in the group that is served.
    pub resource: ApiResource,
    /// The permission to write.
    pub fence: Fence,
    /// The time.
    pub clock: Clock,
    /// The metric servers; a client made by [`super::providers::connection::client`].
    pub metrics: Arc<dyn MetricSource>,
    /// Where metrics may come from.
    pub allow_list: AllowList,
    /// The Prometheus of metrics that name no address.
    pub installation: Installation,
    /// How many measurements may be under way at once, in the whole process.
    pub permits: Arc<Semaphore>,
    /// Metrics about metrics.
    pub instruments: Instruments,
}

/// What a reconcile came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// When to look again. `None`: not before the object changes.
    pub requeue: Option<Duration>,
    /// What is worth an Event. Empty when nothing was written.
    pub notes: Vec<Note>,
    /// The resourceVersion of the write, if there was one: a cache that shows an older one is behind.
    pub written: Option<String>,
}

/// Why a reconcile did not come to an end.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The JSON is no object of the API server.
    #[error(transparent)]
    NotAnObject(#[from] NotAnObject),
    /// Another replica may lead by now.
    #[error(transparent)]
    Fenced(#[from] LostLease),
    /// The status cannot be written as JSON.
    #[error("the status of AnalysisRun {name} cannot be written as JSON: {source}")]
    Json {
        /// The run.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The status cannot be written.
    #[error("the status of AnalysisRun {name} cannot be written: {source}")]
    Write {
        /// The run.
        name: String,
        /// Why.
        source: ApiError,
    },
}

/// Reconciles the AnalysisRun with this JSON.
pub async fn reconcile(run: &Value, context: &Context) -> Result<Reconciled, ReconcileError> {
    let run = observe::observe(run)?;
    if run.deleting {
        return Ok(Reconciled::default());
    }
    let decision = match (&run.spec, &run.status) {
        (Ok(spec), Ok(status)) => {
            let snapshot = AnalysisRunSnapshot {
                spec: spec.clone(),
                status: status.clone(),
                now: measure::now(&context.clock),
                outcomes: Vec::new(),
            };
            measured(&run, snapshot, context).await
        }
        (Err(why), Ok(status)) if status.phase.is_none_or(|phase| !phase.is_terminal()) => {
            decide::ended_in_error(status, measure::now(&context.clock), why)
        }
        // What ended stays as it is.
        (Err(_), Ok(_)) => return Ok(Reconciled::default()),
        // Starting anew could turn a failure that was found into a success.
        (_, Err(why)) => decide::ended_in_error(
            &AnalysisRunStatus::default(),
            measure::now(&context.clock),
            why,
        ),
    };
    write(&run, decision, context).await
}

/// Decides, measures what is due, and decides with each answer: a bad one does not wait for a slow one.
async fn measured(
    run: &ObservedRun,
    mut snapshot: AnalysisRunSnapshot,
    context: &Context,
) -> AnalysisDecision {
    let plans = plan::plan(&snapshot.spec);
    let mut decision = decide::decide_planned(&plans, &snapshot);
    let tools = Tools {
        client: &context.client,
        metrics: &*context.metrics,
        allow_list: &context.allow_list,
        installation: &context.installation,
        permits: &context.permits,
        clock: &context.clock,
        instruments: &context.instruments,
    };
    let mut measuring: FuturesUnordered<_> = decision
        .measure
        .drain(..)
        .map(|request| measure::measure(tools, &run.namespace, request))
        .collect();
    while let Some(outcome) = measuring.next().await {
        snapshot.outcomes.push(outcome);
        snapshot.now = measure::now(&context.clock);
        decision = decide::decide_planned(&plans, &snapshot);
        if decision.next == Next::Ended {
            break;
        }
    }
    decision
}

async fn write(
    run: &ObservedRun,
    decision: AnalysisDecision,
    context: &Context,
) -> Result<Reconciled, ReconcileError> {
    let patch =
        act::status_patch(run, &decision.status).map_err(|source| ReconcileError::Json {
            name: run.name.clone(),
            source,
        })?;
    let requeue = requeue(&decision.next, measure::now(&context.clock));
    let Some(patch) = patch else {
        return Ok(Reconciled {
            requeue,
            ..Reconciled::default()
        });
    };
    let limit = context.fence.bound(act::DEADLINE)?;
    match act::write_status(&context.client, &context.resource, run, &patch, limit).await {
        Ok(resource_version) => {
            for note in &decision.notes {
                tracing::info!(
                    namespace = run.namespace,
                    run = run.name,
                    reason = note.reason,
                    "{}",
                    note.message
                );
            }
            Ok(Reconciled {
                requeue,
                notes: decision.notes,
                written: Some(resource_version),
            })
        }
        Err(error) => match error.failure() {
            Failure::NotFound => Ok(Reconciled::default()),
            Failure::Conflict => Ok(Reconciled {
                requeue: Some(AFTER_CONFLICT),
                ..Reconciled::default()
            }),
            Failure::AlreadyExists
            | Failure::Invalid(_)
            | Failure::Forbidden(_)
            | Failure::Transient(_) => Err(ReconcileError::Write {
                name: run.name.clone(),
                source: error,
            }),
        },
    }
}

fn requeue(next: &Next, now: Timestamp) -> Option<Duration> {
    match next {
        Next::Measured => Some(Duration::ZERO),
        Next::At { time, .. } => {
            let wait = Duration::try_from(time.duration_since(now)).unwrap_or_default();
            // Timers count whole milliseconds: a little late is on time, a little early is a reconcile for nothing.
            Some(wait + Duration::from_millis(1))
        }
        Next::Ended => None,
    }
}

#[cfg(test)]
mod tests;
