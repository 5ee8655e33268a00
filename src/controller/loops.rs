//! The three control loops: kube-runtime's `Controller` around each reconcile.
//!
//! Not here: the reconciles.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action as Requeue},
        events::EventType,
        reflector::{self, store::Writer},
        watcher,
    },
};
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::{
    analysis,
    api::{
        names::{ApiNames, Kind},
        object::CachedObject,
    },
    caches::{Scope, Woken, services},
    rollout::controller as rollout,
    runtime::{
        backoff::Backoff,
        client::Failure,
        events::{self, EventSink},
        instruments::Instruments,
        lease::Fence,
        write_log::{Cached, WriteLog},
    },
    traffic::restore,
};

/// Events that come together are one reason to look.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Looks again although a watch should wake us, for the case that it does not.
const BEHIND: Duration = Duration::from_secs(2);

fn config() -> controller::Config {
    controller::Config::default().debounce(DEBOUNCE)
}

/// Every Rollout, when it or something that belongs to it changes.
pub(super) async fn rollouts(
    context: Arc<rollout::Context>,
    woken: Woken,
    shutdown: &CancellationToken,
) {
    let resource = context.writer.names.resource(Kind::Rollout);
    let store = context.caches.rollouts.clone();
    // The store is filled by its own watch, which wakes us like all others.
    let controller = Controller::for_stream_with(futures::stream::pending(), store, resource)
        .with_config(config())
        .reconcile_on(UnboundedReceiverStream::new(woken.one))
        .reconcile_all_on(UnboundedReceiverStream::new(woken.all).map({
            let context = context.clone();
            move |()| forget_the_gone(&context)
        }))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(
            rollout::reconcile,
            |object, error, context| rollout::after_failure(&object, error, &context),
            context,
        );
    drain(controller).await;
}

fn forget_the_gone(context: &rollout::Context) {
    let live = context.caches.rollouts.state();
    context
        .memories
        .retain(|uid| live.iter().any(|object| object.uid() == uid));
    context.instruments.retain(|namespace, name| {
        live.iter()
            .any(|object| object.namespace() == namespace && object.name() == name)
    });
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
    pub(super) fence: Fence,
    pub(super) events: EventSink,
    pub(super) instruments: Instruments,
    pub(super) write_log: Arc<WriteLog>,
    pub(super) backoff: Backoff<(String, String)>,
    pub(super) names: ApiNames,
}

/// Why a look at an AnalysisRun failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Reconcile(#[from] analysis::controller::ReconcileError),
    #[error(transparent)]
    Fenced(#[from] crate::runtime::lease::LostLease),
}

impl RunError {
    fn failure(&self) -> Failure {
        match self {
            Self::Reconcile(analysis::controller::ReconcileError::Write { source, .. }) => {
                source.failure()
            }
            Self::Reconcile(error) => Failure::Invalid(error.to_string()),
            Self::Fenced(error) => Failure::Transient(error.to_string()),
        }
    }
}

/// Every AnalysisRun, when it changes and when a measurement is due.
pub(super) async fn analysis_runs(
    runs: Arc<Runs>,
    client: &Client,
    scope: &Scope,
    shutdown: &CancellationToken,
) {
    let resource = runs.names.resource(Kind::AnalysisRun);
    let (reader, watch) = watched(client, scope, &resource, watcher::Config::default());
    let controller = Controller::for_stream_with(watch, reader, resource)
        .with_config(config())
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(
            look_at_run,
            |run, error, runs| after_run_failure(&run, error, &runs),
            runs,
        );
    drain(controller).await;
}

/// A store of its own, whose watch is polled by the controller.
fn watched(
    client: &Client,
    scope: &Scope,
    resource: &kube::core::ApiResource,
    config: watcher::Config,
) -> (
    reflector::Store<CachedObject>,
    impl Stream<Item = Result<CachedObject, watcher::Error>> + Send + 'static,
) {
    let writer = Writer::new(resource.clone());
    let reader = writer.as_reader();
    let watch = watcher(scope.api(client, resource), config)
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    (reader, watch)
}

async fn look_at_run(run: Arc<CachedObject>, runs: Arc<Runs>) -> Result<Requeue, RunError> {
    const KIND: &str = "AnalysisRun";
    let started = Instant::now();
    let cached = Cached {
        uid: run.uid(),
        resource_version: run.resource_version(),
    };
    if !runs
        .write_log
        .caught_up(KIND, run.namespace(), run.name(), Some(cached), started)
    {
        return Ok(Requeue::requeue(BEHIND));
    }
    runs.fence.check()?;
    let result = analysis::controller::reconcile(&run.value(), &runs.context).await;
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
    for note in &done.notes {
        tracing::info!(
            namespace = run.namespace(),
            run = run.name(),
            reason = note.reason,
            "{}",
            note.message
        );
        runs.events.publish(events::Note {
            regarding: ObjectReference {
                api_version: Some(runs.names.api_version()),
                kind: Some(KIND.to_owned()),
                name: Some(run.name().to_owned()),
                namespace: Some(run.namespace().to_owned()),
                uid: Some(run.uid().to_owned()),
                ..ObjectReference::default()
            },
            related: None,
            severity: if note.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: note.reason.to_owned(),
            action: note.reason.to_owned(),
            note: note.message.clone(),
        });
    }
    Ok(done
        .requeue
        .map_or_else(Requeue::await_change, Requeue::requeue))
}

fn after_run_failure(run: &CachedObject, error: &RunError, runs: &Runs) -> Requeue {
    let failure = error.failure();
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

/// Every marked Service and Ingress, for Rollouts that are gone.
pub(super) async fn restores(
    context: Arc<restore::Context>,
    client: &Client,
    scope: &Scope,
    shutdown: &CancellationToken,
) {
    let resource = services();
    let marked = watcher::Config::default().labels(&context.writer.names.managed_by_rollout);
    let (reader, watch) = watched(client, scope, &resource, marked);
    let (changed, changes) = tokio::sync::mpsc::unbounded_channel::<()>();
    let rollouts = context.writer.names.resource(Kind::Rollout);
    // A Rollout that changes or goes may have left something behind; Services are few, so all of them are looked at.
    let gone = watcher(scope.api(client, &rollouts), watcher::Config::default()).default_backoff();
    let notice = async move {
        let mut gone = std::pin::pin!(gone);
        while let Some(event) = gone.next().await {
            if matches!(
                event,
                Ok(watcher::Event::Delete(_) | watcher::Event::Apply(_) | watcher::Event::InitDone)
            ) && changed.send(()).is_err()
            {
                return;
            }
        }
    };
    let controller = Controller::for_stream_with(watch, reader, resource)
        .with_config(config())
        .reconcile_all_on(UnboundedReceiverStream::new(changes))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(
            restore::reconcile,
            |_, error, _| restore::after_failure(error),
            context,
        );
    tokio::select! {
        () = drain(controller) => {}
        () = notice => {}
    }
}
