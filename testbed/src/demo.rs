//! The demo: plays a few releases of `examples/` under constant load, as a person with kubectl would, and counts
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

use crate::{
    Testbed,
    load::{Load, LoadOptions},
};
use cluster::Cluster;
use releases::{APPLICATIONS, Application};
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
    let mut all = Vec::new();
    for application in &APPLICATIONS {
        let load = load_options(testbed, application, LONGEST)?;
        let player = play::Player::new(&cluster, &mut screen, application, load);
        let courses = match player.play_all().await {
            Ok(courses) => courses,
            Err(error) => {
                cluster.tell_what_is_known(application, &mut screen).await?;
                return Err(error);
            }
        };
        let as_expected = courses.as_expected();
        all.push(courses);
        if !as_expected {
            cluster.tell_what_is_known(application, &mut screen).await?;
            break;
        }
    }
    // The last requests may take this long, and none is to be missed.
    tokio::time::sleep(TIMEOUT).await;
    let mut report = Report::default();
    for release in all.into_iter().flat_map(play::Courses::counted) {
        report.add(release);
    }
    write(&report, &options.report)?;
    screen.say(&table::render(&report))?;
    screen.say(&format!(
        "The same as JSON is in {}.",
        options.report.display()
    ))?;
    for problem in report.problems() {
        screen.say(&screen.paint().red(&problem))?;
    }
    if options.keep {
        let application = &APPLICATIONS[0];
        let load = Load::start(load_options(testbed, application, LONGEST_KEPT)?)?;
        cluster.explain(application, options, &mut screen)?;
        play::watch_on(&cluster, &mut screen, application, &load).await?;
    }
    Ok(report.is_good())
}

fn load_options(
    testbed: &Testbed,
    application: &Application,
    longest: Duration,
) -> Result<LoadOptions> {
    let most = u32::try_from(longest.as_secs()).map_or(u32::MAX, |seconds| seconds * RATE);
    let host = application.host;
    let mut load = LoadOptions::new(testbed.proxy_url()?, host, RATE, most, longest);
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
