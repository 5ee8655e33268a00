//! How many object writes one canary takes, from the change of the image until the old pods are gone.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::sleep;

use super::{
    app,
    audit::{self, Asked},
    cluster::{Cluster, text},
};

const NAMESPACE: &str = "bench-writes";
const NAME: &str = "demo";
/// What is written last may come after the pods are gone.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// The writes of one canary.
pub(super) struct Writes {
    pub(super) all: usize,
    pub(super) conflicts: usize,
    pub(super) without_effect: usize,
    by_kind: Vec<(String, usize)>,
    order: Vec<String>,
}

pub(super) async fn measure(cluster: &mut Cluster<'_>) -> Result<Writes> {
    let progress = cluster.progress;
    let work = async {
        cluster.namespace(NAMESPACE).await?;
        let _controller = cluster.controller().await?;
        let steps: Vec<_> = (1..=5)
            .flat_map(|n| {
                [
                    json!({"setWeight": n * 20}),
                    json!({"pause": {"duration": "5s"}}),
                ]
            })
            .collect();
        let canary = app::through_ingress(NAME, &json!(steps));
        for object in app::services_and_ingress(NAME, "writes.test") {
            cluster.create(NAMESPACE, &object).await?;
        }
        let rollout = app::rollout(NAME, 5, &canary);
        cluster.create(NAMESPACE, &rollout).await?;
        cluster.healthy(NAMESPACE, NAME).await?;
        sleep(LAST_WRITES).await;

        let log = cluster.audit();
        let start = log.end()?;
        cluster.set_image(NAMESPACE, NAME, "demo:v2").await?;
        let rollout = cluster.healthy(NAMESPACE, NAME).await?;
        let stable = text(&rollout, "/status/stableRS");
        cluster.only_pods_of(NAMESPACE, stable).await?;
        sleep(LAST_WRITES).await;
        log.since(start)
    };
    let asked = progress.during("Counting the writes of a canary", work);
    let asked = asked.await.context("cannot count the writes of a canary")?;
    let writes: Vec<Asked> = asked.into_iter().filter(Asked::writes_object).collect();
    Ok(Writes {
        all: writes.len(),
        conflicts: writes.iter().filter(|asked| asked.code == 409).count(),
        without_effect: audit::without_effect(&writes),
        by_kind: audit::by_kind(&writes),
        order: writes
            .iter()
            .map(|asked| format!("{} {}", asked.verb, asked.resource))
            .collect(),
    })
}

impl Writes {
    /// Which they are.
    pub(super) fn details(&self) -> String {
        let kinds: Vec<String> = self
            .by_kind
            .iter()
            .map(|(kind, count)| format!("{count} × {kind}"))
            .collect();
        format!(
            "Object writes of the canary: {}. In this order: {}.",
            kinds.join(", "),
            self.order.join(", ")
        )
    }
}
