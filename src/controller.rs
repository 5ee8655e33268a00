//! The controller process: watches, leadership, the three control loops, health and metrics put together.
//!
//! Not here: what a loop does with one object (`rollout::controller`, `analysis::controller`, `traffic::restore`).

mod loops;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    analysis::{self, allow_list::AllowList, providers::prometheus},
    api::names::{ApiNames, Kind},
    caches::{self, Scope, Wakes},
    cli::controller::ControllerOptions,
    rollout::{
        act::Writer,
        controller::{Context, Memories},
    },
    runtime::{
        backoff::Backoff,
        client::{self, ClientError, ClientOptions},
        clock::Clock,
        events::EventPublisher,
        health::{self, HealthError, Readiness},
        instruments::Instruments,
        lease::{Elector, Leadership, LeaseConfig, LeaseError, identity},
        shutdown,
        telemetry::{self, TelemetryError},
        write_log::WriteLog,
    },
    traffic::restore,
};

/// Measurements under way at once, in the whole process.
const MEASUREMENTS: usize = 64;
/// How long the caches may take to be filled at the start before the process says what is missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long writes under way get at shutdown.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Why the controller ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The logs cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The health address cannot be used.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The lease was lost, or cannot be taken part in.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// Signals cannot be listened to.
    #[error("signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The HTTP client for metrics cannot be built.
    #[error("HTTP client for metrics: {0}")]
    Http(#[source] reqwest::Error),
    /// More than one namespace was named.
    #[error(
        "--watch-namespace was given {0} times; one controller serves one namespace or all of them"
    )]
    Namespaces(usize),
    /// Something that runs as long as the process ended.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

/// Runs until a signal or until the lease is lost.
pub async fn run(options: ControllerOptions) -> Result<(), ControllerError> {
    telemetry::install(options.log_format, options.log_level.as_deref())?;
    let shutdown = shutdown::on_signal().map_err(ControllerError::Signals)?;
    let instruments = Instruments::new();
    let client = client::connect(
        &ClientOptions {
            kubeconfig: options.kubeconfig.clone(),
            context: options.context.clone(),
            component: "controller",
        },
        &instruments,
    )
    .await?;
    serve(options, client, instruments, shutdown).await
}

/// Runs on a client that is there, until `shutdown`.
pub async fn serve(
    options: ControllerOptions,
    client: Client,
    instruments: Instruments,
    shutdown: CancellationToken,
) -> Result<(), ControllerError> {
    let scope = match options.watch_namespace.as_slice() {
        [] => Scope::Cluster,
        [namespace] => Scope::Namespace(namespace.clone()),
        several => return Err(ControllerError::Namespaces(several.len())),
    };
    let clock = Clock::system();
    let readiness = Readiness::new();
    let listener = health::listen(options.health_address).await?;
    let mut background = JoinSet::new();
    let health = tokio::spawn(health::serve(
        listener,
        readiness.clone(),
        instruments.clone(),
        CancellationToken::new(),
    ));

    let release = CancellationToken::new();
    let (leadership, election) = elect(&options, &client, &clock, &release)?;
    let (events, publisher) = EventPublisher::new(
        client.clone(),
        "tidegate.dev/controller",
        &options.identity,
        instruments.clone(),
    );
    let publisher = tokio::spawn(publisher.run(release.clone()));

    let names = ApiNames::default();
    let synced = readiness.gate("caches", "the first list of every watched kind");
    let (wakes, woken) = Wakes::new(&names);
    let caches = caches::start(&client, &scope, &names, &wakes, &mut background);
    let write_log = Arc::new(WriteLog::new());
    let writer = Writer {
        client: client.clone(),
        names: names.clone(),
        fence: leadership.fence.clone(),
        write_log,
    };
    let rollouts = Arc::new(Context {
        writer: writer.clone(),
        caches: caches.clone(),
        clock: clock.clone(),
        events: events.clone(),
        instruments: instruments.clone(),
        backoff: Backoff::default(),
        memories: Memories::default(),
    });
    let runs = Arc::new(loops::Runs {
        context: analysis::controller::Context {
            client: client.clone(),
            resource: names.resource(Kind::AnalysisRun),
            clock: clock.clone(),
            http: prometheus::client().map_err(ControllerError::Http)?,
            allow_list: allow_list(&options),
            default_address: options.prometheus_address.clone(),
            permits: Arc::new(Semaphore::new(MEASUREMENTS)),
        },
        fence: leadership.fence.clone(),
        events,
        instruments: instruments.clone(),
        write_log: writer.write_log.clone(),
        backoff: Backoff::default(),
        names: names.clone(),
    });
    let restores = Arc::new(restore::Context {
        writer,
        caches: caches.clone(),
        scope: scope.clone(),
    });

    let work = async {
        wait_for_caches(&caches).await;
        synced.open();
        let mut leading = leadership.leading.clone();
        // An error means that the election is over; `election` then says why.
        if leading.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        instruments.set_leader(true);
        tracing::info!(scope = ?scope, "serving");
        tokio::join!(
            loops::rollouts(rollouts, woken, &shutdown),
            loops::analysis_runs(runs, &client, &scope, &shutdown),
            loops::restores(restores, &client, &scope, &shutdown),
        );
    };
    tokio::pin!(election);
    let outcome = tokio::select! {
        lost = &mut election => lost.and(Err(ControllerError::Ended("the election"))),
        () = work => Ok(()),
        () = until_overdue(&shutdown) => Ok(()),
    };
    // Nothing writes any more: another replica may take over at once.
    release.cancel();
    let released = match outcome {
        Ok(()) => election.await,
        Err(error) => Err(error),
    };
    background.shutdown().await;
    if tokio::time::timeout(Duration::from_secs(3), publisher)
        .await
        .is_err()
    {
        tracing::warn!("some Events were not written");
    }
    health.abort();
    released
}

/// Resolves when the loops had their time to end after `shutdown`.
async fn until_overdue(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST_WRITES).await;
    tracing::warn!("ending while a reconcile was under way");
}

type Election = std::pin::Pin<Box<dyn Future<Output = Result<(), ControllerError>> + Send>>;

fn elect(
    options: &ControllerOptions,
    client: &Client,
    clock: &Clock,
    release: &CancellationToken,
) -> Result<(Leadership, Election), ControllerError> {
    let release = release.clone();
    if !options.leader_elect {
        let election = Box::pin(async move {
            release.cancelled().await;
            Ok(())
        });
        return Ok((Leadership::without_election(), election));
    }
    let namespace = options
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let mut config = LeaseConfig::new(&namespace, &options.lease_name, identity(&options.identity));
    config.duration = options.lease_duration;
    config.renew_deadline = options.renew_deadline;
    config.retry_period = options.retry_period;
    let elector = Elector::new(client.clone(), config, clock.clone())?;
    let leadership = elector.leadership();
    Ok((
        leadership,
        Box::pin(async move { elector.run(release).await.map_err(ControllerError::from) }),
    ))
}

/// Waits for as long as it takes, and says every now and then what is missing.
async fn wait_for_caches(caches: &caches::Caches) {
    while let Err(missing) = caches.ready(PATIENCE).await {
        tracing::warn!(
            "still no first list of {}; are the CustomResourceDefinitions installed, and may this identity list them?",
            missing.join(", ")
        );
    }
}

fn allow_list(options: &ControllerOptions) -> AllowList {
    if options.metric_address_allow.is_empty() {
        AllowList::cluster_local(options.prometheus_address.as_deref())
    } else {
        AllowList::new(options.metric_address_allow.clone())
    }
}
