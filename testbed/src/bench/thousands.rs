//! Five thousand Rollouts at rest: what they cost to hold, and what a controller does that starts with all of them there.
//!
//! No pod runs: who says of each ReplicaSet that its pod is available is a stand-in for its controller, which is stopped.
//! A controller of Rollouts sees no difference.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    app,
    audit::{self, Asked},
    cluster::{Cluster, is_healthy},
    usage,
};

const NAMESPACE: &str = "bench-thousands";
const ROLLOUTS: usize = 5_000;
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_mins(15);
/// Requests at rest are counted for so long; watches are renewed in it.
const MEASURED: Duration = Duration::from_mins(4);
/// A controller that has started is quiet when it has asked nothing for so long.
const QUIET: Duration = Duration::from_secs(10);

/// What they cost.
pub(super) struct Thousands {
    /// Resident memory at rest, MiB, of a process that was started when they were there.
    pub(super) mib: f64,
    /// Requests in [`MEASURED`], other than renewals of leases and watches.
    pub(super) requests: usize,
    /// From the start of the process to its last request, seconds.
    pub(super) quiet: f64,
    /// Its processor time until the end of [`MEASURED`], seconds.
    pub(super) cpu: f64,
    /// Its greatest resident memory, MiB.
    pub(super) peak_mib: f64,
    /// Objects and Events it has written until it was quiet.
    pub(super) writes: usize,
}

pub(super) async fn measure(cluster: &mut Cluster<'_>) -> Result<Thousands> {
    let progress = cluster.progress;
    let start = async {
        cluster.namespace(NAMESPACE).await?;
        cluster.testbed.pause_controller_manager()?;
        let controller = cluster.controller().await?;
        bring_up(cluster).await?;
        controller.kill().await
    };
    let starting = format!("Starting {ROLLOUTS} Rollouts");
    progress.during(&starting, start).await?;

    let log = cluster.audit();
    let begin = log.end()?;
    let clock = Instant::now();
    let work = async {
        let controller = cluster.controller().await?;
        let (mut from, mut last) = (log.end()?, clock.elapsed());
        while clock.elapsed() < last + QUIET {
            sleep(Duration::from_millis(200)).await;
            let asked = log.since(from)?;
            if asked.iter().any(|asked| !asked.renews()) {
                last = clock.elapsed();
            }
            from = log.end()?;
        }
        let wrote = |asked: &&Asked| asked.writes_object() || asked.resource == "events";
        let writes = log.since(begin)?.iter().filter(wrote).count();
        let rest = log.end()?;
        sleep(MEASURED).await;
        let asked = log.since(rest)?;
        let requests: Vec<_> = asked.into_iter().filter(|asked| !asked.renews()).collect();
        if !requests.is_empty() {
            progress.say(&format!("At rest: {:?}", audit::by_kind(&requests)));
        }
        // It may go on thinking after its last request: what that takes is in these figures, too.
        let used = usage::of(&controller)?;
        anyhow::Ok(Thousands {
            mib: used.mib,
            requests: requests.len(),
            quiet: last.as_secs_f64(),
            cpu: used.cpu,
            peak_mib: used.peak_mib,
            writes,
        })
    };
    let weighing = format!("Starting a controller with {ROLLOUTS} Rollouts");
    let thousands = progress.during(&weighing, work).await?;
    progress.say(&thousands.details());
    Ok(thousands)
}

/// Creates them, and says of each ReplicaSet that its pods are available, until all are healthy.
async fn bring_up(cluster: &Cluster<'_>) -> Result<()> {
    let steps = json!({"steps": [{"setWeight": 50}, {"pause": {}}]});
    stream::iter(0..ROLLOUTS)
        .map(|number| {
            let rollout = app::rollout(&format!("app-{number}"), 1, &steps);
            async move { cluster.create(NAMESPACE, &rollout).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let deadline = Instant::now() + PATIENCE;
    let sets = Api::<ReplicaSet>::namespaced(cluster.testbed.client(), NAMESPACE);
    loop {
        let all = sets.list(&ListParams::default()).await;
        let behind = all
            .context("cannot list the ReplicaSets")?
            .into_iter()
            .filter(|set| {
                let wanted = wanted_of(set);
                set.status.as_ref().map(|status| status.replicas) != Some(wanted)
                    || set
                        .status
                        .as_ref()
                        .and_then(|status| status.available_replicas)
                        != Some(wanted)
            });
        stream::iter(behind)
            .map(|set| answer_for(&sets, set))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let all = cluster.rollouts(NAMESPACE);
        let all = all.list(&ListParams::default()).await;
        let healthy = all
            .context("cannot list the Rollouts")?
            .into_iter()
            .filter_map(|object| serde_json::to_value(object).ok())
            .filter(is_healthy)
            .count();
        if healthy == ROLLOUTS {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "only {healthy} of {ROLLOUTS} Rollouts are healthy after {} s",
                PATIENCE.as_secs()
            );
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn answer_for(sets: &Api<ReplicaSet>, set: ReplicaSet) -> Result<()> {
    let wanted = wanted_of(&set);
    let status = json!({"status": {
        "replicas": wanted, "fullyLabeledReplicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted,
        "observedGeneration": set.metadata.generation,
    }});
    let patched = sets
        .patch_status(
            &set.name_any(),
            &PatchParams::default(),
            &Patch::Merge(status),
        )
        .await;
    patched
        .map(drop)
        .with_context(|| format!("cannot answer for ReplicaSet {}", set.name_any()))
}

fn wanted_of(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

impl Thousands {
    /// As sentences.
    pub(super) fn details(&self) -> String {
        format!(
            "{ROLLOUTS} Rollouts at rest: {:.1} MiB, {} requests in {} minutes besides renewals of leases and watches. A \
             controller that starts with them is quiet after {:.1} s, with {:.1} processor seconds, at most {:.1} MiB, {} \
             writes and Events.",
            self.mib,
            self.requests,
            MEASURED.as_secs() / 60,
            self.quiet,
            self.cpu,
            self.peak_mib,
            self.writes
        )
    }
}
