//! The controller as a process of the simulated cluster: with a client, a clock and metric servers of the simulation.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Parser;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use tidegate::{
    analysis::{
        args::Secret,
        judge::MetricValue,
        providers::{
            Answer, MetricSource, Question, TokenRequest, WebQuestion, oauth2::TokenError,
            prometheus::FetchError, web::WebError,
        },
    },
    api::names::Conventions,
    cli::controller::ControllerOptions,
    controller,
    runtime::{clock::Clock, health::Readiness, instruments::Instruments},
    sim::metrics::query,
};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{faults::Order, monitors::watch_panics, transport, world::Shared};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: ControllerOptions,
}

/// What a metric server says to a query.
pub(super) type Answers = Arc<dyn Fn(&str) -> Result<MetricValue, FetchError> + Send + Sync>;

struct Metrics {
    shared: Shared,
    answers: Answers,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("simulated metrics")
    }
}

impl MetricSource for Metrics {
    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, FetchError>> {
        Box::pin(async move {
            let query = question.query.reveal();
            // What names a revision or a window is answered from what was counted.
            if query.contains(['{', '[']) && query::parse(query).is_some() {
                let answer = self.shared.lock().measure(query, question.timeout);
                tokio::time::sleep(answer.takes).await;
                let said = match &answer.says {
                    Ok(value) => value.shown(),
                    Err(why) => why.to_string(),
                };
                self.shared
                    .lock()
                    .note(format_args!("query {query} -> {said}"));
                return answer.says.map(Answer::from);
            }
            let time = self.shared.lock().between(5, 50);
            tokio::time::sleep(time).await;
            self.shared
                .lock()
                .note(format_args!("query {}", question.query.reveal()));
            (self.answers)(question.query.reveal()).map(Answer::from)
        })
    }

    fn ask<'a>(&'a self, question: &'a WebQuestion) -> BoxFuture<'a, Result<Vec<u8>, WebError>> {
        let host = question.url.host_str().unwrap_or_default().to_owned();
        Box::pin(async move { Err(WebError::Refused { host, status: 404 }) })
    }

    fn token<'a>(&'a self, _: &'a TokenRequest) -> BoxFuture<'a, Result<Secret, TokenError>> {
        Box::pin(async { Err(TokenError::Nobody) })
    }
}

/// A process of the controller: what it sends arrives until it is dead. Cheap to clone.
#[derive(Clone)]
pub(super) struct Process {
    /// Where it runs.
    pub(super) node: u32,
    /// Of all processes of the run.
    pub(super) number: u64,
    dead: Arc<AtomicBool>,
}

impl Process {
    pub(super) fn new(shared: &Shared, node: u32) -> Self {
        Self {
            node,
            number: shared.lock().new_process(),
            dead: Arc::default(),
        }
    }

    /// Nothing that it sends from now on arrives, and it hears nothing.
    pub(super) fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// What every process of a run is given.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) shared: Shared,
    pub(super) answers: Answers,
    /// Whether processes elect one that acts.
    pub(super) elect: bool,
}

/// The process that acts, and the one that acts beside it for a while.
const FIRST: u32 = 0;
const SECOND: u32 = 1;

/// How long it takes until a dead process is replaced.
pub(super) const RESTART: Duration = Duration::from_millis(1_500);

/// Runs the controller for ever: a process that dies is replaced.
pub(super) async fn supervise(setting: Setting, first_start: Duration) {
    let mut nodes = Nodes {
        setting,
        tasks: JoinSet::new(),
        live: BTreeMap::new(),
    };
    let installed = nodes.setting.shared.lock().installed;
    if installed {
        nodes.start(FIRST, first_start);
    }
    let mut second_until = None;
    loop {
        let (orders, now) = {
            let mut run = nodes.setting.shared.lock();
            (std::mem::take(&mut run.faults.orders), run.now())
        };
        for order in orders {
            match order {
                Order::Install => nodes.start(FIRST, Duration::ZERO),
                Order::Replace(id) => nodes.replace(id),
                // Where there is none yet there is no second one.
                Order::Second(_) if nodes.live.is_empty() => {}
                Order::Second(until) => {
                    second_until = Some(until);
                    if !nodes.live.contains_key(&SECOND) {
                        nodes.start(SECOND, Duration::ZERO);
                    }
                }
                Order::Step(by) => nodes.step(by),
            }
        }
        if second_until.is_some_and(|until| until <= now) {
            second_until = None;
            nodes.stop(SECOND);
        }
        let shared = nodes.setting.shared.clone();
        let second_ends = async {
            match second_until {
                Some(until) => tokio::time::sleep(until - now).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.signals.orders.notified() => {}
            Some(ended) = nodes.tasks.join_next() => nodes.ended(ended),
            () = second_ends => {}
        }
    }
}

struct Life {
    process: Process,
    clock: Clock,
    task: AbortHandle,
}

/// Where processes run; all of them on one clock.
struct Nodes {
    setting: Setting,
    tasks: JoinSet<(Process, String)>,
    live: BTreeMap<u32, Life>,
}

impl Nodes {
    fn start(&mut self, id: u32, after: Duration) {
        let process = Process::new(&self.setting.shared, id);
        let clock = {
            let run = self.setting.shared.lock();
            let clock = Clock::following_tokio(run.time());
            clock.step(SignedDuration::from_millis(run.faults.skew));
            clock
        };
        let (setting, of_run, its_clock) = (self.setting.clone(), process.clone(), clock.clone());
        let task = self.tasks.spawn(async move {
            if after > Duration::ZERO {
                tokio::time::sleep(after).await;
            }
            let why = run(&setting, &of_run, its_clock).await;
            (of_run, why)
        });
        let life = Life {
            process,
            clock,
            task,
        };
        self.live.insert(id, life);
    }

    fn stop(&mut self, id: u32) {
        if let Some(life) = self.live.remove(&id) {
            life.process.die();
            life.task.abort();
        }
    }

    fn replace(&mut self, id: u32) {
        if self.live.contains_key(&id) {
            self.stop(id);
            self.start(id, RESTART);
        }
    }

    fn step(&self, by: i64) {
        for life in self.live.values() {
            life.clock.step(SignedDuration::from_millis(by));
        }
    }

    fn ended(&mut self, ended: Result<(Process, String), JoinError>) {
        match ended {
            Ok((process, why)) if !process.is_dead() => {
                let mut run = self.setting.shared.lock();
                // Who could not renew its lease has to end.
                if self.setting.elect && run.faults.strikes > 0 {
                    run.note(format_args!("## ends: {why}"));
                } else {
                    run.complain(format_args!("the controller ended by itself: {why}"));
                }
                drop(run);
                self.replace(process.node);
            }
            Ok(_) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                let what = format!("the controller panicked: {error}");
                self.setting.shared.lock().complain(what);
            }
        }
    }
}

/// Runs the controller until it ends by itself, and says why.
pub(super) async fn run(setting: &Setting, process: &Process, clock: Clock) -> String {
    // A second one is one that does not know of the first.
    let elect = setting.elect && process.node == FIRST;
    watch_panics();
    let api = setting.shared.lock().store.api();
    let options = options(api, elect);
    let metrics = Metrics {
        shared: setting.shared.clone(),
        answers: setting.answers.clone(),
    };
    let instruments = Instruments::new();
    let world = controller::World {
        client: transport::client_of(&setting.shared, process),
        metrics: Arc::new(metrics),
        clock,
        instruments: instruments.clone(),
    };
    let (readiness, shutdown) = (Readiness::new(), CancellationToken::new());
    match controller::control(&options, world, &readiness, &shutdown).await {
        Ok(()) => "without a reason".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn options(api: Conventions, elect: bool) -> ControllerOptions {
    let arguments = [
        "controller",
        if elect {
            "--leader-elect=true"
        } else {
            "--leader-elect=false"
        },
        "--prometheus-address=http://prometheus.monitoring.svc:9090",
        "--identity=sim",
    ];
    let arguments = Arguments::try_parse_from(arguments).expect("options");
    ControllerOptions {
        // From the global option --api-group.
        names: api.into(),
        ..arguments.options
    }
}
