//! `tidegate get`: one Rollout with all that belongs to it, or a list; once or while it changes.
//!
//! Not here: how it looks (`tree`, `table`).

mod nodes;
pub(super) mod style;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::time;

use super::{CliError, cluster::Cluster, terminal::Terminal};
use crate::runtime::clock;

pub(super) use style::{of_phase, of_verdict, paint, verdict};

/// Options of `tidegate get`.
#[derive(Args, Debug)]
pub(super) struct GetOptions {
    /// The Rollout; all of the namespace without it.
    name: Option<String>,
    /// Rollouts of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "name")]
    all_namespaces: bool,
    /// Print the objects instead.
    #[arg(long, short, value_enum, conflicts_with = "watch")]
    output: Option<Output>,
    /// Go on while it changes: redrawn on a terminal, a line per change elsewhere.
    #[arg(long, short)]
    watch: bool,
}

/// A format for programs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Prints what was asked for.
pub(super) async fn run(
    options: &GetOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    match (&options.name, options.output) {
        (Some(name), Some(output)) => {
            let rollout = cluster.rollout(name).await?;
            terminal.print(&written(output, &rollout.object)?)
        }
        (None, Some(output)) => {
            let rollouts = cluster.rollouts(options.all_namespaces).await?;
            let items: Vec<Value> = rollouts.into_iter().map(|rollout| rollout.object).collect();
            terminal.print(&written(
                output,
                &json!({ "apiVersion": "v1", "kind": "List", "items": items }),
            )?)
        }
        (Some(name), None) if options.watch => watch_one(name, cluster, terminal).await,
        (Some(name), None) => {
            let family = cluster.family(name).await?;
            terminal.print(&tree::render(&cluster.names, &family, clock::now()))
        }
        (None, None) if options.watch => watch_all(options.all_namespaces, cluster, terminal).await,
        (None, None) => {
            let rollouts = cluster.rollouts(options.all_namespaces).await?;
            if rollouts.is_empty() {
                anstream::eprintln!("No Rollouts in {}.", place(options.all_namespaces, cluster));
            }
            terminal.print(&table::render(
                &rollouts,
                options.all_namespaces,
                clock::now(),
            ))
        }
    }
}

fn place(everywhere: bool, cluster: &Cluster) -> String {
    if everywhere {
        "any namespace".to_owned()
    } else {
        format!("namespace {}", cluster.namespace)
    }
}

fn written(output: Output, object: &Value) -> Result<String, CliError> {
    match output {
        Output::Json => Ok(format!("{object:#}\n")),
        Output::Yaml => serde_saphyr::to_string(object).map_err(CliError::Yaml),
    }
}

/// Changes come in bursts: one picture per this time is enough.
const BURST: Duration = Duration::from_millis(200);
/// Ages and countdowns move once per second.
const TICK: Duration = Duration::from_secs(1);

async fn watch_one(name: &str, cluster: &Cluster, terminal: &mut Terminal) -> Result<(), CliError> {
    let mut changes = std::pin::pin!(cluster.family_changes(name));
    let mut family = cluster.family(name).await?;
    let mut last = String::new();
    loop {
        let now = clock::now();
        if terminal.is_live() {
            terminal.redraw(&tree::render(&cluster.names, &family, now))?;
        } else {
            let line = table::line(&family.rollout);
            if line != last {
                terminal.print(&format!("{} {line}\n", now.strftime("%H:%M:%S")))?;
                last = line;
            }
        }
        if changed(&mut changes, terminal.is_live()).await? {
            family = cluster.family(name).await?;
        }
    }
}

async fn watch_all(
    everywhere: bool,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let mut changes = std::pin::pin!(cluster.rollout_changes(everywhere));
    let mut rollouts = cluster.rollouts(everywhere).await?;
    let mut last: Vec<String> = Vec::new();
    loop {
        let now = clock::now();
        if terminal.is_live() {
            terminal.redraw(&table::render(&rollouts, everywhere, now))?;
        } else {
            let lines: Vec<String> = rollouts.iter().map(table::line).collect();
            for line in lines.iter().filter(|line| !last.contains(line)) {
                terminal.print(&format!("{} {line}\n", now.strftime("%H:%M:%S")))?;
            }
            last = lines;
        }
        if changed(&mut changes, terminal.is_live()).await? {
            rollouts = cluster.rollouts(everywhere).await?;
        }
    }
}

/// Waits until there is something to draw; says whether it must be read anew. A burst of changes counts as one.
async fn changed(
    changes: &mut (impl Stream<Item = Result<(), CliError>> + Unpin),
    live: bool,
) -> Result<bool, CliError> {
    let first = if live {
        match time::timeout(TICK, changes.next()).await {
            Ok(change) => change,
            Err(_) => return Ok(false),
        }
    } else {
        changes.next().await
    };
    first.transpose()?;
    let end = time::Instant::now() + BURST;
    while let Ok(change) = time::timeout_at(end, changes.next()).await {
        change.transpose()?;
    }
    Ok(true)
}
