//! How long a version judged bad still gets requests: from the deciding measurement to the last request that the proxy sent
//! to it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{app, cluster::Cluster};
use crate::load::{Load, LoadOptions};

const NAMESPACE: &str = "bench-reaction";
const NAME: &str = "demo";
const HOST: &str = "reaction.test";
/// Versions that are judged bad, one after the other.
const ROUNDS: usize = 7;
/// Requests per second; half of them reach the new version.
const RATE: u32 = 300;
/// The longest load of one round.
const LONGEST: Duration = Duration::from_mins(2);
/// After the abort is known, requests are counted for this long.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// Times from the deciding measurement to the last answer of the bad version, sorted.
pub(super) struct Reactions {
    pub(super) times: Vec<Duration>,
    pub(super) lost: u64,
}

pub(super) async fn measure(cluster: &mut Cluster<'_>) -> Result<Reactions> {
    let progress = cluster.progress;
    let work = async {
        cluster.namespace(NAMESPACE).await?;
        cluster.metrics.be_good();
        let _controller = cluster.controller().await?;
        let steps =
            json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": NAME}]}}]);
        let mut canary = app::through_ingress(NAME, &steps);
        canary["abortScaleDownDelaySeconds"] = json!(1);
        cluster.create(NAMESPACE, &app::template(NAME)).await?;
        for object in app::services_and_ingress(NAME, HOST) {
            cluster.create(NAMESPACE, &object).await?;
        }
        let rollout = app::rollout(NAME, 2, &canary);
        cluster.create(NAMESPACE, &rollout).await?;
        cluster.healthy(NAMESPACE, NAME).await?;
        answers(cluster).await?;
        let mut reactions = Reactions {
            times: Vec::new(),
            lost: 0,
        };
        for number in 2..2 + ROUNDS {
            round(cluster, &format!("v{number}"), &mut reactions).await?;
        }
        reactions.times.sort();
        anyhow::Ok(reactions)
    };
    let reactions = progress.during("Timing how a bad version is put back", work);
    reactions.await
}

/// The proxy has heard of a new Ingress a little later than the API server: what comes before that is not the release's.
async fn answers(cluster: &Cluster<'_>) -> Result<()> {
    const REQUESTS: u32 = 20;
    let deadline = Instant::now() + LONGEST / 2;
    while Instant::now() < deadline {
        let url = cluster.testbed.proxy_url()?;
        let load = Load::start(LoadOptions::new(url, HOST, 100, REQUESTS, LONGEST))?;
        while !load.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
        if load.stop().await.lost == 0 {
            return Ok(());
        }
    }
    bail!("the proxy does not answer for {HOST}")
}

/// One version comes up to half of the traffic and is then judged bad.
async fn round(cluster: &Cluster<'_>, version: &str, reactions: &mut Reactions) -> Result<()> {
    cluster.metrics.be_good();
    cluster
        .set_image(NAMESPACE, NAME, &format!("demo:{version}"))
        .await?;
    let most = RATE * u32::try_from(LONGEST.as_secs()).unwrap_or(u32::MAX);
    let options = LoadOptions::new(cluster.testbed.proxy_url()?, HOST, RATE, most, LONGEST);
    let load = Load::start(options)?;
    let begun = Instant::now();
    let deadline = begun + LONGEST / 2;
    // Half of the traffic has arrived where it was sent.
    loop {
        let now = Instant::now();
        let share = load
            .between(now - Duration::from_secs(1), now)
            .share(version);
        if share > 0.4 {
            break;
        }
        if now > deadline {
            bail!("{version} never got its half of the requests");
        }
        sleep(Duration::from_millis(100)).await;
    }
    cluster.metrics.be_bad();
    let given_up = |object: &serde_json::Value| object["status"]["abort"] == true;
    let rollout = (NAMESPACE, NAME);
    cluster
        .until(rollout, LONGEST / 2, "aborted", given_up)
        .await?;
    sleep(AFTERWARDS).await;
    let judged = cluster.metrics.bad_since();
    let judged = judged.context("nobody asked the metric server")?;
    let last = load.last_answer(version, begun);
    let last = last.with_context(|| format!("{version} was never reached"))?;
    // It may have ended before the answer was given, if no request came in between.
    reactions.times.push(last.saturating_duration_since(judged));
    reactions.lost += load.stop().await.lost;
    Ok(())
}

impl Reactions {
    /// The longest, milliseconds.
    pub(super) fn longest(&self) -> u128 {
        self.times.last().map_or(0, Duration::as_millis)
    }

    /// All of them.
    pub(super) fn details(&self) -> String {
        let times: Vec<String> = self
            .times
            .iter()
            .map(|time| time.as_millis().to_string())
            .collect();
        format!(
            "From the deciding measurement to the last answer of the bad version, {} times at {RATE} requests per second: {} ms; {} requests lost.",
            self.times.len(),
            times.join(", "),
            self.lost
        )
    }
}
