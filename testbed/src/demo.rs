//! The demo: plays a few releases of `examples/canary` under constant load, as a person with kubectl would, and counts
//! every request.
//!
//! The only part of this crate that knows Rollouts, and only their JSON. What a release must do is in `releases`, what is
//! measured in `report`. The testbed and its end are *not* here.

mod cluster;
mod play;
mod releases;
mod report;
mod rollout;
mod screen;
mod table;
mod view;
mod watch;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{Testbed, load::LoadOptions};
use cluster::{Cluster, HOST};
use report::Report;
use screen::Screen;

/// Requests per second.
const RATE: u32 = 150;
/// The load ends by itself after this time, whatever happens.
const LONGEST: Duration = Duration::from_mins(15);
/// The same when everything is left running.
const LONGEST_KEPT: Duration = Duration::from_hours(1);
/// A request that takes longer is lost.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What to play, and what to leave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Leaves everything running after the last release.
    pub keep: bool,
    /// Where the report is written.
    pub report: PathBuf,
    /// The `tidegate` program.
    pub tidegate: PathBuf,
    /// The command by which a person outside joins the testbed, up to the program to run.
    pub enter: String,
}

/// Plays all releases. Returns whether each ended as expected and no request was lost.
///
/// With `keep` it does not return after the last release.
pub async fn run(testbed: &Testbed, options: &Options) -> Result<bool> {
    let mut screen = Screen::stdout();
    let cluster = Cluster::prepare(testbed, options, &mut screen).await?;
    let mut player = play::Player::new(&cluster, &mut screen, load_options(testbed, options.keep)?);
    let report = player.play_all(&releases::RELEASES).await;
    let load = player.into_load();
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            cluster.tell_what_is_known(&mut screen).await?;
            return Err(error);
        }
    };
    write(&report, &options.report)?;
    screen.say(&table::render(&report))?;
    screen.say(&format!(
        "The same as JSON is in {}.",
        options.report.display()
    ))?;
    for problem in report.problems() {
        screen.say(&screen.paint().red(&problem))?;
    }
    if !report.is_good() {
        cluster.tell_what_is_known(&mut screen).await?;
    }
    if options.keep
        && let Some(load) = load
    {
        cluster.explain(options, &mut screen)?;
        play::watch_on(&cluster, &mut screen, &load).await?;
    }
    Ok(report.is_good())
}

fn load_options(testbed: &Testbed, keep: bool) -> Result<LoadOptions> {
    let longest = if keep { LONGEST_KEPT } else { LONGEST };
    let most = u32::try_from(longest.as_secs()).map_or(u32::MAX, |seconds| seconds * RATE);
    let mut load = LoadOptions::new(testbed.proxy_url()?, HOST, RATE, most, longest);
    load.timeout = TIMEOUT;
    Ok(load)
}

fn write(report: &Report, path: &std::path::Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut text =
        serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
