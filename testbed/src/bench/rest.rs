//! What a hundred Rollouts at rest ask of the API server.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::ListParams;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    app,
    audit::{self, Asked},
    cluster::{Cluster, is_healthy},
};

const NAMESPACE: &str = "bench-rest";
const ROLLOUTS: usize = 100;
/// Long enough that every watch is renewed at least once: they end after 200 s.
const MEASURED: Duration = Duration::from_mins(4);
/// Rest begins when nothing was written for so long.
const QUIET: Duration = Duration::from_secs(15);

/// The requests at rest.
pub(super) struct Rest {
    /// Other than renewals of leases and watches.
    pub(super) requests: usize,
    pub(super) renewals: usize,
    pub(super) minutes: u64,
    by_kind: Vec<(String, usize)>,
}

pub(super) async fn measure(cluster: &mut Cluster<'_>) -> Result<Rest> {
    let progress = cluster.progress;
    let start = async {
        cluster.namespace(NAMESPACE).await?;
        let controller = cluster.controller().await?;
        for number in 0..ROLLOUTS {
            let name = format!("app-{number}");
            let steps = json!([{"setWeight": 50}, {"pause": {}}]);
            let canary = app::through_ingress(&name, &steps);
            for object in app::services_and_ingress(&name, &format!("{name}.test")) {
                cluster.create(NAMESPACE, &object).await?;
            }
            let rollout = app::rollout(&name, 1, &canary);
            cluster.create(NAMESPACE, &rollout).await?;
        }
        settle(cluster, NAMESPACE, ROLLOUTS, Duration::from_mins(5)).await?;
        anyhow::Ok(controller)
    };
    let starting = format!("Starting {ROLLOUTS} Rollouts with Services and Ingresses");
    let _controller = progress.during(&starting, start).await?;
    let log = cluster.audit();
    let begin = log.end()?;
    let wait = async {
        sleep(MEASURED).await;
        log.since(begin)
    };
    let asked = progress.during("Counting requests at rest", wait).await?;
    let (renewals, requests): (Vec<Asked>, Vec<Asked>) = asked.into_iter().partition(Asked::renews);
    Ok(Rest {
        requests: requests.len(),
        renewals: renewals.len(),
        minutes: MEASURED.as_secs() / 60,
        by_kind: audit::by_kind(&requests),
    })
}

/// Waits until all Rollouts of the namespace are healthy and nothing is written any more.
pub(super) async fn settle(
    cluster: &Cluster<'_>,
    namespace: &str,
    rollouts: usize,
    patience: Duration,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let all = cluster.rollouts(namespace);
        let all = all.list(&ListParams::default()).await;
        let healthy = all
            .context("cannot list the Rollouts")?
            .into_iter()
            .filter_map(|object| serde_json::to_value(object).ok())
            .filter(is_healthy)
            .count();
        if healthy == rollouts {
            break;
        }
        if Instant::now() > deadline {
            bail!(
                "only {healthy} of {rollouts} Rollouts are healthy after {} s",
                patience.as_secs()
            );
        }
        sleep(Duration::from_secs(2)).await;
    }
    let log = cluster.audit();
    let mut from = log.end()?;
    let mut quiet = Instant::now();
    while quiet.elapsed() < QUIET {
        sleep(Duration::from_secs(1)).await;
        let asked = log.since(from)?;
        if asked.iter().any(Asked::writes_object) {
            quiet = Instant::now();
        }
        from = log.end()?;
        if Instant::now() > deadline {
            bail!("{rollouts} Rollouts do not come to rest");
        }
    }
    Ok(())
}

impl Rest {
    /// Which they are.
    pub(super) fn details(&self) -> String {
        let kinds: Vec<String> = self
            .by_kind
            .iter()
            .map(|(kind, count)| format!("{count} × {kind}"))
            .collect();
        let kinds = if kinds.is_empty() {
            "none".to_owned()
        } else {
            kinds.join(", ")
        };
        format!(
            "Requests in {} minutes at rest, {} renewals of leases and watches not counted: {kinds}.",
            self.minutes, self.renewals
        )
    }
}
