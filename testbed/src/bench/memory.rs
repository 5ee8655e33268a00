//! How much memory the controller holds: with nothing to do, and with a thousand Rollouts at rest.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::time::sleep;

use super::{app, cluster::Cluster, rest};
use crate::process::Process;

const NAMESPACE: &str = "bench-crowd";
const ROLLOUTS: usize = 1_000;
/// The ReplicaSet controller makes about five pods a second.
const PATIENCE: Duration = Duration::from_mins(20);
/// After it is ready, what it needed to start is given back.
const SETTLED: Duration = Duration::from_secs(20);
/// Objects created at once.
const AT_ONCE: usize = 8;

/// Resident memory with nothing to do, MiB.
pub(super) struct Empty {
    pub(super) mib: f64,
}

/// Resident memory with all Rollouts at rest, MiB.
pub(super) struct Crowd {
    /// The process that brought them up.
    pub(super) mib: f64,
    /// One that was started when they were all there.
    pub(super) restarted: f64,
}

pub(super) async fn empty(cluster: &mut Cluster<'_>) -> Result<Empty> {
    let work = async {
        let controller = cluster.controller().await?;
        sleep(SETTLED).await;
        resident(&controller)
    };
    let mib = cluster.progress.during("Weighing an idle controller", work);
    Ok(Empty { mib: mib.await? })
}

pub(super) async fn crowd(cluster: &mut Cluster<'_>) -> Result<Crowd> {
    let progress = cluster.progress;
    let work = async {
        cluster.namespace(NAMESPACE).await?;
        let controller = cluster.controller().await?;
        let steps = json!({"steps": [{"setWeight": 50}, {"pause": {}}]});
        stream::iter(0..ROLLOUTS)
            .map(|number| {
                let rollout = app::rollout(&format!("app-{number}"), 1, &steps);
                let cluster = &*cluster;
                async move { cluster.create(NAMESPACE, &rollout).await }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        rest::settle(cluster, NAMESPACE, ROLLOUTS, PATIENCE).await?;
        let mib = resident(&controller)?;
        controller.kill().await?;
        let controller = cluster.controller().await?;
        sleep(SETTLED).await;
        let restarted = resident(&controller)?;
        anyhow::Ok(Crowd { mib, restarted })
    };
    let what = format!("Weighing a controller with {ROLLOUTS} Rollouts");
    let crowd = progress.during(&what, work).await?;
    progress.say(&crowd.details());
    // What is measured next has no use for them.
    let clear = cluster.delete_namespace(NAMESPACE);
    progress.during("Taking them away", clear).await?;
    Ok(crowd)
}

impl Empty {
    /// As a sentence.
    pub(super) fn details(&self) -> String {
        format!("An idle controller holds {:.1} MiB.", self.mib)
    }
}

impl Crowd {
    /// As a sentence.
    pub(super) fn details(&self) -> String {
        format!(
            "With {ROLLOUTS} Rollouts at rest it holds {:.1} MiB, and {:.1} MiB after a restart.",
            self.mib, self.restarted
        )
    }
}

/// Resident memory of the process, MiB.
fn resident(process: &Process) -> Result<f64> {
    let id = process.id().context("the controller has ended")?;
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    resident_in(&text).with_context(|| format!("{path} has no VmRSS"))
}

fn resident_in(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_mib() {
        let status = "Name:\ttidegate\nVmHWM:\t  40960 kB\nVmRSS:\t   15360 kB\n";
        assert_eq!(resident_in(status), Some(15.0));
        assert_eq!(resident_in("Name:\ttidegate\n"), None);
    }
}
