//! Three hundred canaries at once: how long, and what the controller and the whole machine spend on them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::ListParams;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    app, audit,
    cluster::{Cluster, is_healthy},
    rest, usage,
};

const NAMESPACE: &str = "bench-fleet";
const CANARIES: usize = 300;
/// Bringing the first versions up is not measured.
const START: Duration = Duration::from_mins(10);
const PATIENCE: Duration = Duration::from_mins(5);
/// Images changed at once.
const AT_ONCE: usize = 20;

/// What all canaries together took.
pub(super) struct Fleet {
    /// From the first change of an image to all Healthy, seconds.
    pub(super) wall: f64,
    /// Processor seconds of the machine, of everything that ran.
    pub(super) machine_cpu: f64,
    /// Of the controller.
    pub(super) controller_cpu: f64,
    /// Object writes per canary, Events and Leases not counted.
    pub(super) writes: f64,
    /// The controller's greatest resident memory, MiB.
    pub(super) peak_mib: f64,
    by_kind: Vec<(String, usize)>,
}

pub(super) async fn measure(cluster: &mut Cluster<'_>) -> Result<Fleet> {
    let progress = cluster.progress;
    let start = async {
        cluster.namespace(NAMESPACE).await?;
        let controller = cluster.controller().await?;
        let steps = json!([
            {"setWeight": 20}, {"pause": {"duration": 2}},
            {"setWeight": 50}, {"pause": {"duration": 2}},
            {"setWeight": 80},
        ]);
        for number in 0..CANARIES {
            let rollout = app::rollout(&name(number), 2, &json!({"steps": steps}));
            cluster.create(NAMESPACE, &rollout).await?;
        }
        rest::settle(cluster, NAMESPACE, CANARIES, START).await?;
        anyhow::Ok(controller)
    };
    let starting = format!("Starting {CANARIES} Rollouts");
    let controller = progress.during(&starting, start).await?;

    let log = cluster.audit();
    let begin = log.end()?;
    let (machine, before) = (usage::machine()?, usage::of(&controller)?);
    let clock = Instant::now();
    let work = async {
        let shared = &*cluster;
        stream::iter(0..CANARIES)
            .map(
                |number| async move { shared.set_image(NAMESPACE, &name(number), "demo:v2").await },
            )
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        all_healthy(shared, clock).await
    };
    let updating = format!("Updating {CANARIES} Rollouts");
    progress.during(&updating, work).await?;
    let wall = clock.elapsed().as_secs_f64();
    let (machine_after, after) = (usage::machine()?, usage::of(&controller)?);
    let asked = log.since(begin)?;
    let writes: Vec<_> = asked
        .into_iter()
        .filter(audit::Asked::writes_object)
        .collect();
    let fleet = Fleet {
        wall,
        machine_cpu: machine_after - machine,
        controller_cpu: after.cpu - before.cpu,
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        writes: writes.len() as f64 / CANARIES as f64,
        peak_mib: after.peak_mib,
        by_kind: audit::by_kind(&writes),
    };
    drop(controller);
    progress.say(&fleet.details());
    let clear = cluster.delete_namespace(NAMESPACE);
    progress.during("Taking them away", clear).await?;
    Ok(fleet)
}

fn name(number: usize) -> String {
    format!("app-{number}")
}

/// Waits until every Rollout serves the second version.
async fn all_healthy(cluster: &Cluster<'_>, begun: Instant) -> Result<()> {
    loop {
        let all = cluster.rollouts(NAMESPACE);
        let all = all.list(&ListParams::default()).await;
        let done = all
            .context("cannot list the Rollouts")?
            .into_iter()
            .filter_map(|object| serde_json::to_value(object).ok())
            .filter(|object| {
                let generation = object.pointer("/metadata/generation");
                generation == object.pointer("/status/observedGeneration") && is_healthy(object)
            })
            .count();
        if done == CANARIES {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "only {done} of {CANARIES} canaries have ended after {} s",
                PATIENCE.as_secs()
            );
        }
        sleep(Duration::from_millis(500)).await;
    }
}

impl Fleet {
    /// As sentences.
    pub(super) fn details(&self) -> String {
        let kinds: Vec<String> = self
            .by_kind
            .iter()
            .map(|(kind, count)| format!("{count} × {kind}"))
            .collect();
        format!(
            "{CANARIES} canaries at once: {:.1} s; processor seconds {:.1} of the whole machine, {:.1} of the controller; \
             {:.1} object writes each ({}); at most {:.1} MiB.",
            self.wall,
            self.machine_cpu,
            self.controller_cpu,
            self.writes,
            kinds.join(", "),
            self.peak_mib
        )
    }
}
