//! `tidegate pause` and `resume`: `spec.paused`, which is desired state.
//!
//! Not here: pauses that are steps; `promote` ends those.

use clap::Args;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{
    CliError, cluster::Cluster, request::FIELD_MANAGER, rollout::Rollout, terminal::Terminal,
};
use crate::api::names::Kind;

/// Options of `tidegate pause` and `tidegate resume`.
#[derive(Args, Debug)]
pub(super) struct PauseOptions {
    /// The Rollout.
    name: String,
}

/// Sets `spec.paused`.
pub(super) async fn run(
    paused: bool,
    options: &PauseOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let name = &options.name;
    // Reading first gives the same words as other commands for a Rollout that does not exist.
    let before = cluster.rollout(name).await?;
    let patch = Patch::Merge(json!({ "spec": { "paused": paused } }));
    let verb = if paused { "pause" } else { "resume" };
    let object = cluster
        .api(Kind::Rollout)
        .patch(name, &PatchParams::apply(FIELD_MANAGER), &patch)
        .await
        .map_err(CliError::api(format!("{verb} Rollout {name}")))?;
    let after = Rollout::read(&cluster.names, &object)?;
    let changed = before.spec.paused != after.spec.paused;
    let done = match (paused, changed) {
        (true, true) => "paused; scaling is still followed, `resume` goes on",
        (true, false) => "was paused already",
        (false, true) => "resumed",
        (false, false) => "was not paused by spec.paused",
    };
    let hint = match after.status.pause_conditions.first() {
        Some(pause) if !paused => format!(
            "; it also waits by {}, which `promote` ends",
            pause.reason.name()
        ),
        Some(_) | None => String::new(),
    };
    terminal.print(&format!("Rollout {name}: {done}{hint}\n"))
}
