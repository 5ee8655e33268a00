//! The controller process: watches, leadership, the control loops, health and metrics put together.
//!
//! Not here: what a loop does with one object (`rollout::controller`, `analysis::controller`, `experiment::controller`, `traffic::restore`).

mod loops;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    analysis::{
        self,
        act::StatusResource,
        allow_list::AllowList,
        installation::Installation,
        providers::{self, MetricSource},
    },
    api::names::{ApiNames, Kind},
    caches::{self, Scope, Wakes},
    cli::controller::ControllerOptions,
    experiment,
    rollout::{act::Writer, controller::Context, memories::Memories, workload_restore},
    runtime::{
        backoff::Backoff,
        client::{self, ClientError, ClientOptions},
        clock::Clock,
        events::{EventPublisher, EventSink},
        health::{self, Gate, HealthError, Readiness},
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
/// How long the last Events get at shutdown.
const LAST_EVENTS: Duration = Duration::from_secs(3);
/// Who reports in Events.
const REPORTER: &str = "tidegate.dev/controller";
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

/// What a controller reaches the world by. A simulation brings its own.
pub struct World {
    /// The API server.
    pub client: Client,
    /// The metric servers.
    pub metrics: Arc<dyn MetricSource>,
    /// The wall clock.
    pub clock: Clock,
    /// The controller's own metrics.
    pub instruments: Instruments,
}

/// Runs on a client that is there, with the health endpoints, until `shutdown`.
pub async fn serve(
    options: ControllerOptions,
    client: Client,
    instruments: Instruments,
    shutdown: CancellationToken,
) -> Result<(), ControllerError> {
    let readiness = Readiness::new();
    // Closed before anybody can ask.
    caches_gate(&readiness);
    let listener = health::listen(options.health_address).await?;
    let health = health::serve(
        listener,
        readiness.clone(),
        instruments.clone(),
        CancellationToken::new(),
    );
    let health = tokio::spawn(health);
    let world = World {
        client,
        metrics: Arc::new(providers::connection::client().map_err(ControllerError::Http)?),
        clock: Clock::system(),
        instruments,
    };
    let outcome = control(&options, world, &readiness, &shutdown).await;
    health.abort();
    outcome
}

/// The controller without its endpoints: elects, watches and reconciles until `shutdown`.
pub async fn control(
    options: &ControllerOptions,
    world: World,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Result<(), ControllerError> {
    let scope = scope(options)?;
    let World {
        client,
        metrics,
        clock,
        instruments,
    } = world;
    let release = CancellationToken::new();
    let (leadership, mut election) = elect(options, &client, &clock, &release)?;
    let (events, publisher) = EventPublisher::new(
        client.clone(),
        REPORTER,
        &options.identity,
        instruments.clone(),
    );
    let publisher = tokio::spawn(publisher.run(release.clone()));

    let mut watches = JoinSet::new();
    let world = World {
        client,
        metrics,
        clock,
        instruments,
    };
    let work = Work::begin(options, scope, world, leadership, events, &mut watches);
    let outcome = tokio::select! {
        biased;
        lost = &mut election => lost.and(Err(ControllerError::Ended("the election"))),
        () = work.run(readiness, shutdown) => Ok(()),
        () = until_overdue(shutdown) => Ok(()),
    };
    // Nothing writes any more: another replica may take over at once.
    release.cancel();
    let released = match outcome {
        Ok(()) => election.await,
        Err(error) => Err(error),
    };
    watches.shutdown().await;
    if tokio::time::timeout(LAST_EVENTS, publisher).await.is_err() {
        tracing::warn!("some Events were not written");
    }
    released
}

fn caches_gate(readiness: &Readiness) -> Gate {
    readiness.gate("caches", "the first list of every watched kind")
}

fn scope(options: &ControllerOptions) -> Result<Scope, ControllerError> {
    match options.watch_namespace.as_slice() {
        [] => Ok(Scope::Cluster),
        [namespace] => Ok(Scope::Namespace(namespace.clone())),
        several => Err(ControllerError::Namespaces(several.len())),
    }
}

/// The control loops and what they share.
struct Work {
    scope: Scope,
    caches: caches::Caches,
    woken: caches::Woken,
    leadership: Leadership,
    instruments: Instruments,
    rollouts: Arc<Context>,
    runs: Arc<loops::Runs>,
    experiments: Arc<experiment::controller::Context>,
    restores: Arc<restore::Context>,
    workload_restores: Arc<workload_restore::Context>,
}

impl Work {
    fn begin(
        options: &ControllerOptions,
        scope: Scope,
        world: World,
        leadership: Leadership,
        events: EventSink,
        watches: &mut JoinSet<()>,
    ) -> Self {
        let World {
            client,
            metrics,
            clock,
            instruments,
        } = world;
        let names = ApiNames {
            instance: options.instance_id.clone(),
            ..options.names.clone()
        };
        let (wakes, woken) = Wakes::new(&names);
        let caches = caches::start(&client, &scope, &names, &wakes, watches);
        let write_log = Arc::new(WriteLog::new());
        let writer = Writer {
            client: client.clone(),
            names: names.clone(),
            fence: leadership.fence.clone(),
            write_log: write_log.clone(),
            doubts: Arc::default(),
        };
        let restores = Arc::new(restore::Context {
            writer: writer.clone(),
            caches: caches.clone(),
        });
        let workload_restores = Arc::new(workload_restore::Context {
            writer: writer.clone(),
            caches: caches.clone(),
        });
        let experiments = Arc::new(experiment::controller::Context {
            writer: writer.clone(),
            caches: caches.clone(),
            clock: clock.clone(),
            events: events.clone(),
            instruments: instruments.clone(),
            backoff: Backoff::default(),
            refusals: experiment::controller::Refusals::default(),
        });
        let rollouts = Arc::new(Context {
            writer,
            caches: caches.clone(),
            clock: clock.clone(),
            events: events.clone(),
            instruments: instruments.clone(),
            backoff: Backoff::default(),
            memories: Memories::default(),
        });
        let context = analysis::controller::Context {
            client,
            resource: StatusResource {
                resource: names.resource(Kind::AnalysisRun),
                subresource: names.has_status_subresource(Kind::AnalysisRun),
            },
            names: names.clone(),
            fence: leadership.fence.clone(),
            clock,
            metrics,
            allow_list: allow_list(options),
            installation: Installation {
                address: options.prometheus_address.clone(),
                bearer_token_file: options.prometheus_bearer_token_file.clone(),
                ca_file: options.prometheus_ca_file.clone(),
            },
            permits: Arc::new(Semaphore::new(MEASUREMENTS)),
            instruments: instruments.clone(),
        };
        let runs = Arc::new(loops::Runs {
            context,
            caches: caches.clone(),
            events,
            instruments: instruments.clone(),
            write_log,
            backoff: Backoff::default(),
            names,
        });
        Self {
            scope,
            caches,
            woken,
            leadership,
            instruments,
            rollouts,
            runs,
            experiments,
            restores,
            workload_restores,
        }
    }

    /// Fills the caches, waits to lead, and works until `shutdown`.
    async fn run(self, readiness: &Readiness, shutdown: &CancellationToken) {
        let synced = caches_gate(readiness);
        wait_for_caches(&self.caches).await;
        synced.open();
        let mut leading = self.leadership.leading.clone();
        tokio::select! {
            biased;
            // An error means that the election is over; whoever runs it says why.
            leads = leading.wait_for(|leads| *leads) => if leads.is_err() { return },
            () = shutdown.cancelled() => return,
        }
        self.instruments.set_leader(true);
        tracing::info!(scope = ?self.scope, "serving");
        let runs = self.caches.analysis_runs.clone();
        tokio::join!(
            loops::rollouts(self.rollouts, self.woken.rollouts, shutdown),
            loops::analysis_runs(self.runs, runs, self.woken.analysis_runs, shutdown),
            loops::experiments(self.experiments, self.woken.experiments, shutdown),
            loops::restores(self.restores.clone(), self.woken.marked_services, shutdown),
            loops::workload_restores(
                self.workload_restores,
                self.woken.marked_workloads,
                shutdown
            ),
            loops::route_restores(self.restores, self.woken.marked_routes, shutdown),
        );
    }
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
    let mut config = LeaseConfig::new(&namespace, options.lease(), identity(&options.identity));
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
