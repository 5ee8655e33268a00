//! The control loops: kube-runtime's `Controller` around each reconcile.
//!
//! Not here: the reconciles.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt};
use kube::{
    core::ApiResource,
    runtime::{
        Controller,
        controller::{self, Action as Requeue},
        reflector::ObjectRef,
    },
};
use serde_json::Value;
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::{
    analysis::{self, controller::ReconcileError, jobs::JobView},
    api::{
        gateway_api::RouteKind,
        names::{ApiNames, Kind},
        object::CachedObject,
        workload::WorkloadKind,
    },
    caches::{self, Cache, Caches, services},
    experiment::controller as experiment,
    rollout::{controller as rollout, workload_restore},
    runtime::{
        backoff::Backoff,
        client::Failure,
        events::{self, EventSink},
        instruments::Instruments,
        write_log::{Cached, WriteLog},
    },
    traffic::restore::{self, routes::RouteContext},
};

/// Events that come together are one reason to look.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// So many objects are looked at at a time: more would only wait for the API server, each with its JSON in memory.
const AT_A_TIME: u16 = 16;
/// Looks again although a watch should wake us, for the case that it does not.
const BEHIND: Duration = Duration::from_secs(2);

/// A control loop over a store that is filled, and told of changes, by `crate::caches`.
fn over(
    cache: &Cache,
    resource: ApiResource,
    woken: UnboundedReceiver<ObjectRef<CachedObject>>,
    shutdown: &CancellationToken,
) -> Controller<CachedObject> {
    Controller::for_stream_with(futures::stream::pending(), cache.store().clone(), resource)
        .with_config(
            controller::Config::default()
                .debounce(DEBOUNCE)
                .concurrency(AT_A_TIME),
        )
        .reconcile_on(UnboundedReceiverStream::new(woken))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
}

/// Every Rollout, when it or something that belongs to it changes.
pub(super) async fn rollouts(
    context: Arc<rollout::Context>,
    woken: UnboundedReceiver<ObjectRef<CachedObject>>,
    shutdown: &CancellationToken,
) {
    let resource = context.writer.names.resource(Kind::Rollout);
    let store = context.caches.rollouts.clone();
    let results = over(&store, resource, woken, shutdown).run(
        rollout::reconcile,
        |object, error, context| rollout::after_failure(&object, error, &context),
        context.clone(),
    );
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.next().await {
        // The only error that is not told where it arises: the object has vanished.
        if let Err(error) = result {
            tracing::debug!("{error}");
            forget_the_gone(&context);
        }
    }
}

fn forget_the_gone(context: &rollout::Context) {
    let rollouts = &context.caches.rollouts;
    let live: BTreeSet<String> = rollouts
        .all()
        .iter()
        .map(|object| object.uid().to_owned())
        .collect();
    context.memories.retain(|uid| live.contains(uid));
    context
        .instruments
        .retain(|namespace, name| rollouts.get(namespace, name).is_some());
}

/// Every Experiment, when it or something that belongs to it changes.
pub(super) async fn experiments(
    context: Arc<experiment::Context>,
    woken: UnboundedReceiver<ObjectRef<CachedObject>>,
    shutdown: &CancellationToken,
) {
    let resource = context.writer.names.resource(Kind::Experiment);
    let store = context.caches.experiments.clone();
    let results = over(&store, resource, woken, shutdown).run(
        experiment::reconcile,
        |object, error, context| experiment::after_failure(&object, error, &context),
        context.clone(),
    );
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.next().await {
        // The only error that is not told where it arises: the object has vanished.
        if let Err(error) = result {
            tracing::debug!("{error}");
            let live = context.caches.experiments.all();
            context
                .refusals
                .retain(|uid| live.iter().any(|object| object.uid() == uid));
        }
    }
}

/// The results are told where they arise; what is left are objects that vanished meanwhile.
async fn drain<T, E: std::fmt::Display>(results: impl Stream<Item = Result<T, E>>) {
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.next().await {
        if let Err(error) = result {
            tracing::debug!("{error}");
        }
    }
}

/// What every look at an AnalysisRun shares.
pub(super) struct Runs {
    pub(super) context: analysis::controller::Context,
    pub(super) caches: Caches,
    pub(super) events: EventSink,
    pub(super) instruments: Instruments,
    pub(super) write_log: Arc<WriteLog>,
    pub(super) backoff: Backoff<(String, String)>,
    pub(super) names: ApiNames,
}

fn failure(error: &ReconcileError) -> Failure {
    match error {
        ReconcileError::Write { source, .. }
        | ReconcileError::Job { source, .. }
        | ReconcileError::Delete { source, .. } => source.failure(),
        ReconcileError::Fenced(error) => Failure::Transient(error.to_string()),
        ReconcileError::NotAnObject(_) | ReconcileError::Json { .. } => {
            Failure::Invalid(error.to_string())
        }
    }
}

/// Every AnalysisRun, when it changes and when a measurement is due.
pub(super) async fn analysis_runs(
    runs: Arc<Runs>,
    store: Cache,
    woken: UnboundedReceiver<ObjectRef<CachedObject>>,
    shutdown: &CancellationToken,
) {
    let resource = runs.names.resource(Kind::AnalysisRun);
    let results = over(&store, resource, woken, shutdown).run(
        look_at_run,
        |run, error, runs| after_run_failure(&run, error, &runs),
        runs,
    );
    drain(results).await;
}

async fn look_at_run(run: Arc<CachedObject>, runs: Arc<Runs>) -> Result<Requeue, ReconcileError> {
    const KIND: &str = "AnalysisRun";
    if !runs
        .names
        .serves(kube::Resource::meta(&*run).labels.as_ref())
    {
        return Ok(Requeue::await_change());
    }
    let started = Instant::now();
    if !caches::shows_own_write(&runs.write_log, KIND, &run) {
        return Ok(Requeue::requeue(BEHIND));
    }
    let object = run.value();
    if !shows_jobs(&object, &run, &runs, started) {
        return Ok(Requeue::requeue(BEHIND));
    }
    let jobs = jobs_of(&run, &runs.caches);
    let result = analysis::controller::reconcile(&object, jobs, &runs.context).await;
    runs.instruments.reconciled(
        KIND,
        if result.is_ok() { "ok" } else { "error" },
        started.elapsed(),
    );
    let done = result?;
    runs.backoff
        .reset(&(run.namespace().to_owned(), run.name().to_owned()));
    if let Some(version) = &done.written {
        runs.write_log.wrote(
            KIND,
            run.namespace(),
            run.name(),
            run.uid(),
            version,
            Instant::now(),
        );
    }
    for job in &done.jobs {
        runs.write_log.created(
            JOB,
            run.namespace(),
            &job.name,
            &job.uid,
            &job.resource_version,
            Instant::now(),
        );
    }
    for note in &done.notes {
        let regarding = run.reference(&runs.names, Kind::AnalysisRun);
        runs.events.publish(events::Note::about(
            regarding,
            note.warning,
            note.reason,
            &note.message,
        ));
    }
    Ok(done
        .requeue
        .map_or_else(Requeue::await_change, Requeue::requeue))
}

/// How Jobs are called in the log of writes.
const JOB: &str = "Job";

/// Whether the cache shows the Jobs that the run waits for: one that is only not seen yet is not gone.
fn shows_jobs(object: &Value, run: &CachedObject, runs: &Runs, now: Instant) -> bool {
    let namespace = run.namespace();
    analysis::jobs::awaited(object).iter().all(|name| {
        let job = runs.caches.jobs.get(namespace, name);
        let cached = job.as_ref().map(|job| Cached {
            uid: job.uid(),
            resource_version: job.resource_version(),
        });
        runs.write_log.caught_up(JOB, namespace, name, cached, now)
    })
}

/// The run's own Jobs with their pods.
fn jobs_of(run: &CachedObject, caches: &Caches) -> Vec<JobView> {
    let jobs = caches.jobs.owned_by(run.uid());
    jobs.iter()
        .map(|job| {
            let pods = caches.job_pods.owned_by(job.uid());
            let pods: Vec<Value> = pods.iter().map(|pod| pod.value()).collect();
            analysis::jobs::view(&job.value(), &pods)
        })
        .collect()
}

fn after_run_failure(run: &CachedObject, error: &ReconcileError, runs: &Runs) -> Requeue {
    let failure = failure(error);
    runs.instruments
        .reconcile_failed("AnalysisRun", failure.category());
    if failure == Failure::Conflict {
        return Requeue::requeue(BEHIND);
    }
    tracing::warn!(namespace = run.namespace(), run = run.name(), "{error}");
    Requeue::requeue(
        runs.backoff
            .failed(&(run.namespace().to_owned(), run.name().to_owned()), 0.5),
    )
}

/// Every marked Service, for Rollouts that are gone.
pub(super) async fn restores(
    context: Arc<restore::Context>,
    woken: UnboundedReceiver<ObjectRef<CachedObject>>,
    shutdown: &CancellationToken,
) {
    let store = context.caches.services.clone();
    let results = over(&store, services(), woken, shutdown).run(
        restore::reconcile,
        |_, error, _| restore::after_failure(error),
        context,
    );
    drain(results).await;
}

/// Every marked Deployment, for Rollouts that are gone.
pub(super) async fn workload_restores(
    context: Arc<workload_restore::Context>,
    woken: UnboundedReceiver<ObjectRef<CachedObject>>,
    shutdown: &CancellationToken,
) {
    let store = context.caches.workloads.marked.clone();
    let results = over(&store, WorkloadKind::Deployment.resource(), woken, shutdown).run(
        workload_restore::reconcile,
        |_, error, _| workload_restore::after_failure(error),
        context,
    );
    drain(results).await;
}

/// Every marked route, for Rollouts that are gone.
pub(super) async fn route_restores(
    restore: Arc<restore::Context>,
    woken: BTreeMap<RouteKind, UnboundedReceiver<ObjectRef<CachedObject>>>,
    shutdown: &CancellationToken,
) {
    let all = woken.into_iter().filter_map(|(kind, woken)| {
        let store = restore.caches.routes.store(kind)?.clone();
        let context = RouteContext {
            kind,
            restore: restore.clone(),
        };
        let results = over(&store, kind.resource(), woken, shutdown).run(
            restore::routes::reconcile,
            |_, error, _| restore::after_failure(error),
            Arc::new(context),
        );
        Some(drain(results))
    });
    futures::future::join_all(all).await;
}
