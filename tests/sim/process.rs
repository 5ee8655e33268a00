//! Runs the controller as its processes do: started, killed, started again on the same store.

use std::{sync::Arc, time::Duration};

use clap::Parser;
use futures::future::BoxFuture;
use reqwest::Url;
use tidegate::{
    analysis::{
        args::Secret,
        judge::MetricValue,
        providers::{MetricSource, prometheus::FetchError},
    },
    cli::controller::ControllerOptions,
    controller,
    runtime::{clock::Clock, health::Readiness, instruments::Instruments},
};
use tokio_util::sync::CancellationToken;

use super::{transport, world::Shared};

/// How long it takes until a dead process is replaced.
const RESTART: Duration = Duration::from_millis(1_500);
/// How long anything of a dead process may live on: the deadline of a request, and a moment.
const AFTERLIFE: Duration = Duration::from_secs(6);

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
    fn fetch<'a>(
        &'a self,
        _: &'a Url,
        query: &'a Secret,
        _: Duration,
    ) -> BoxFuture<'a, Result<MetricValue, FetchError>> {
        Box::pin(async move {
            let time = self.shared.lock().between(5, 50);
            tokio::time::sleep(time).await;
            self.shared
                .lock()
                .note(format_args!("query {}", query.reveal()));
            (self.answers)(query.reveal())
        })
    }
}

/// Keeps the controller running, for ever.
pub(super) async fn supervise(shared: Shared, clock: Clock, answers: Answers, elect: bool) {
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
    let options = Arguments::try_parse_from(arguments)
        .expect("options")
        .options;
    loop {
        let (client, process) = transport::client(&shared);
        let world = controller::World {
            client,
            metrics: Arc::new(Metrics {
                shared: shared.clone(),
                answers: answers.clone(),
            }),
            clock: clock.clone(),
            instruments: Instruments::new(),
        };
        let options = options.clone();
        let running = tokio::spawn(async move {
            let (readiness, shutdown) = (Readiness::new(), CancellationToken::new());
            controller::control(&options, world, &readiness, &shutdown).await
        });
        let crashed = shared.signals.crash.notified();
        let mut running = running;
        tokio::select! {
            biased;
            () = crashed => running.abort(),
            ended = &mut running => {
                shared.lock().complain(format_args!("the controller ended by itself: {ended:?}"));
                return;
            }
        }
        if let Ok(ended) = running.await {
            shared
                .lock()
                .complain(format_args!("the controller ended by itself: {ended:?}"));
        }
        tokio::spawn(must_be_gone(shared.clone(), process));
        tokio::time::sleep(RESTART).await;
    }
}

/// Nothing that runs may belong to a dead process, else a simulated death is none.
async fn must_be_gone(shared: Shared, process: Arc<transport::Process>) {
    tokio::time::sleep(AFTERLIFE).await;
    let others = Arc::strong_count(&process) - 1;
    if others > 0 {
        shared.lock().complain(format_args!(
            "{others} parts of a dead controller live on: {process:?}"
        ));
    }
}
