//! The controller as a process of the simulated cluster: with a client, a clock and metric servers of the simulation.

use std::sync::Arc;

use clap::Parser;
use futures::future::BoxFuture;
use tidegate::{
    analysis::{
        args::Secret,
        judge::MetricValue,
        providers::{
            Answer, MetricSource, Question, TokenRequest, WebQuestion, oauth2::TokenError,
            prometheus::FetchError, web::WebError,
        },
    },
    cli::controller::ControllerOptions,
    controller,
    runtime::{clock::Clock, health::Readiness, instruments::Instruments},
};
use tokio_util::sync::CancellationToken;

use super::{monitors::watch_panics, transport, world::Shared};

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

/// Runs the controller, for ever.
pub(super) async fn run(shared: Shared, clock: Clock, answers: Answers, elect: bool) {
    watch_panics();
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
    let metrics = Metrics {
        shared: shared.clone(),
        answers,
    };
    let instruments = Instruments::new();
    let world = controller::World {
        client: transport::client(&shared),
        metrics: Arc::new(metrics),
        clock,
        instruments: instruments.clone(),
    };
    let (readiness, shutdown) = (Readiness::new(), CancellationToken::new());
    let ended = controller::control(&options, world, &readiness, &shutdown).await;
    shared
        .lock()
        .complain(format_args!("the controller ended by itself: {ended:?}"));
}
