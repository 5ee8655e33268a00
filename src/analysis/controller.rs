//! One reconcile of one AnalysisRun: observe, decide, start Jobs and measure what is due, decide again, write the status, stop
//! Jobs that nothing waits for.
//!
//! Watching, queueing and Events are wired up elsewhere.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::act::{self, Created};
use super::allow_list::AllowList;
use super::decide::{self, AnalysisDecision, MeasureRequest, Next, Note};
use super::installation::Installation;
use super::jobs::{self, JOB_NAME, JobView};
use super::judge::Judgement;
use super::measure::{self, Tools};
use super::observe::{self, NotAnObject, ObservedRun};
use super::plan::{self, Source};
use super::providers::MetricSource;
use super::snapshot::{AnalysisRunSnapshot, Outcome};
use crate::api::analysis::{AnalysisRunStatus, MeasurementPhase};
use crate::api::names::ApiNames;
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
    pub resource: act::StatusResource,
    /// Group, labels and annotations.
    pub names: ApiNames,
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
    /// Jobs that were created: a cache that does not show them yet is behind.
    pub jobs: Vec<Created>,
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
    /// A Job cannot be created or deleted.
    #[error("Job {job} of AnalysisRun {name}: {source}")]
    Job {
        /// The run.
        name: String,
        /// The Job.
        job: String,
        /// Why.
        source: ApiError,
    },
    /// The run cannot be deleted.
    #[error("AnalysisRun {name} cannot be deleted: {source}")]
    Delete {
        /// The run.
        name: String,
        /// Why.
        source: ApiError,
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

/// Reconciles the AnalysisRun with this JSON, which has these Jobs.
pub async fn reconcile(
    run: &Value,
    jobs: Vec<JobView>,
    context: &Context,
) -> Result<Reconciled, ReconcileError> {
    let run = observe::observe(run)?;
    if run.deleting {
        return Ok(Reconciled::default());
    }
    let mut created = Vec::new();
    let decision = match (&run.spec, &run.status) {
        (Ok(spec), Ok(status)) => {
            let snapshot = AnalysisRunSnapshot {
                run: run.identity(),
                jobs,
                spec: spec.clone(),
                status: status.clone(),
                now: measure::now(&context.clock),
                outcomes: Vec::new(),
            };
            measured(&run, snapshot, &mut created, context).await?
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
    let mut done = write(&run, decision, context).await?;
    done.jobs = created;
    Ok(done)
}

/// Decides, measures what is due, and decides with each answer: a bad one does not wait for a slow one.
async fn measured(
    run: &ObservedRun,
    mut snapshot: AnalysisRunSnapshot,
    created: &mut Vec<Created>,
    context: &Context,
) -> Result<AnalysisDecision, ReconcileError> {
    let plans = plan::plan(&snapshot.spec);
    let mut decision = decide::decide_planned(&plans, &snapshot);
    let (jobs, asked): (Vec<_>, Vec<_>) = std::mem::take(&mut decision.measure)
        .into_iter()
        .partition(|request| request.source.is_job());
    for request in jobs {
        let outcome = start(run, request, created, context).await?;
        snapshot.outcomes.push(outcome);
    }
    if !snapshot.outcomes.is_empty() {
        decision = decide::decide_planned(&plans, &snapshot);
    }
    let tools = Tools {
        client: &context.client,
        metrics: &*context.metrics,
        allow_list: &context.allow_list,
        installation: &context.installation,
        permits: &context.permits,
        clock: &context.clock,
        instruments: &context.instruments,
    };
    let mut measuring: FuturesUnordered<_> = asked
        .into_iter()
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
    Ok(decision)
}

/// Starts the Job of a measurement. What the server refuses for good is the outcome; what may pass is an error.
async fn start(
    run: &ObservedRun,
    request: MeasureRequest,
    created: &mut Vec<Created>,
    context: &Context,
) -> Result<Outcome, ReconcileError> {
    let started_at = measure::now(&context.clock);
    let name = request.job.unwrap_or_default();
    let begun = |judgement: Judgement, finished_at| Outcome {
        metric: request.metric.clone(),
        started_at,
        finished_at,
        query: None,
        metadata: [(JOB_NAME.to_owned(), name.clone())].into(),
        value: None,
        judgement,
    };
    let refused = |why: String| {
        let why = format!("Job {name} cannot be created: {why}");
        begun(
            Judgement::because(MeasurementPhase::Error, why),
            Some(started_at),
        )
    };
    let Source::Job(plan) = &request.source else {
        return Ok(refused("the metric has none".to_owned()));
    };
    let job = jobs::object(
        &context.names,
        &run.identity(),
        &request.metric,
        &name,
        plan,
    );
    let limit = context.fence.bound(act::DEADLINE)?;
    match act::create_job(&context.client, &run.namespace, &job, limit).await {
        Ok(job) => {
            created.push(job);
            let running = Judgement {
                phase: MeasurementPhase::Running,
                message: None,
            };
            Ok(begun(running, None))
        }
        Err(error) => match error.failure() {
            Failure::Invalid(why) | Failure::Forbidden(why) => Ok(refused(why)),
            // Created before a crash, and not seen yet: the cache will show it.
            Failure::AlreadyExists
            | Failure::Conflict
            | Failure::NotFound
            | Failure::Transient(_) => Err(ReconcileError::Job {
                name: run.name.clone(),
                job: name,
                source: error,
            }),
        },
    }
}

/// Deletes the Jobs that nothing waits for, and the run when its time is over.
async fn clear(
    run: &ObservedRun,
    decision: &AnalysisDecision,
    context: &Context,
) -> Result<(), ReconcileError> {
    for job in &decision.stop {
        let limit = context.fence.bound(act::DEADLINE)?;
        act::delete_job(&context.client, &run.namespace, job, limit)
            .await
            .map_err(|source| ReconcileError::Job {
                name: run.name.clone(),
                job: job.name.clone(),
                source,
            })?;
        tracing::info!(
            namespace = run.namespace,
            run = run.name,
            job = job.name,
            "a Job that nothing waits for is deleted"
        );
    }
    if decision.expired {
        let limit = context.fence.bound(act::DEADLINE)?;
        act::delete_run(&context.client, &context.resource.resource, run, limit)
            .await
            .map_err(|source| ReconcileError::Delete {
                name: run.name.clone(),
                source,
            })?;
        tracing::info!(
            namespace = run.namespace,
            run = run.name,
            "the run is deleted: spec.ttlStrategy"
        );
    }
    Ok(())
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
        clear(run, &decision, context).await?;
        return Ok(Reconciled {
            requeue,
            ..Reconciled::default()
        });
    };
    let limit = context.fence.bound(act::DEADLINE)?;
    match act::write_status(&context.client, &context.resource, run, &patch, limit).await {
        Ok(resource_version) => {
            // What is written is told, also when a Job cannot be deleted now: the next look at the run does that.
            if let Err(error) = clear(run, &decision, context).await {
                tracing::warn!(namespace = run.namespace, run = run.name, "{error}");
            }
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
                jobs: Vec::new(),
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
        Next::At { time, .. } | Next::Expires(time) => Some(until(*time, now)),
        Next::OnChange | Next::Ended => None,
    }
}

/// Timers count whole milliseconds: a little late is on time, a little early is a reconcile for nothing.
fn until(time: Timestamp, now: Timestamp) -> Duration {
    let wait = Duration::try_from(time.duration_since(now)).unwrap_or_default();
    wait + Duration::from_millis(1)
}

#[cfg(test)]
mod tests;
