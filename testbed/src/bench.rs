//! The figures of docs/benchmarks.md: what a release, a crowd of Rollouts at rest and a bad verdict cost, measured on a real
//! control plane with the program as it is shipped. Requests are counted in the API server's audit log.
//!
//! Timings of pure functions come from `cargo bench`, whose output is read here. The testbed and its end are *not* here.

mod app;
mod audit;
mod cluster;
mod figures;
mod fleet;
mod machine;
mod memory;
mod metric_server;
mod page;
mod reaction;
mod rest;
mod thousands;
mod timings;
mod usage;
mod writes;

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context, Result};

use crate::{Testbed, installation, progress::Progress};
use cluster::Cluster;
use figures::Figure;
use machine::Machine;
use metric_server::MetricServer;

/// What to measure, and where to write it down.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `tidegate` program, built for release.
    pub tidegate: PathBuf,
    /// The output of `cargo bench`.
    pub timings: PathBuf,
    /// The page that keeps the figures.
    pub page: PathBuf,
    /// What is measured; the page is written only when that is everything.
    pub parts: Vec<Part>,
}

/// A part of the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Object writes of one canary.
    Writes,
    /// From a bad measurement to no traffic.
    Reaction,
    /// Memory with 0 and 1,000 Rollouts.
    Memory,
    /// Requests of 100 Rollouts at rest.
    Rest,
    /// 300 canaries at once.
    Fleet,
    /// 5,000 Rollouts at rest.
    Thousands,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Writes,
        Self::Reaction,
        Self::Memory,
        Self::Rest,
        Self::Fleet,
        Self::Thousands,
    ];
}

/// Measures everything, prints the table and writes it into the page.
///
/// # Errors
/// When something could not be measured. A missed aim is no error: it is in the table.
pub async fn run(testbed: &Testbed, options: &Options) -> Result<()> {
    let progress = Progress::detect();
    let timings = fs::read_to_string(&options.timings)
        .with_context(|| format!("cannot read {}", options.timings.display()))?;
    let decide = timings::decisions(&timings)?;
    let metrics = MetricServer::start().await?;
    let install = installation::install(testbed);
    progress.during("Installing the chart", install).await?;
    let mut cluster = Cluster {
        testbed,
        tidegate: &options.tidegate,
        metrics: &metrics,
        progress,
    };

    progress.say(&decide.details());
    let mut figures = vec![Figure::decide(&decide)];
    let mut details = vec![decide.details()];
    for part in Part::ALL {
        if !options.parts.contains(&part) {
            continue;
        }
        let (measured, said) = measure(part, &mut cluster).await?;
        progress.say(&said);
        figures.extend(measured);
        details.push(said);
    }
    let machine = Machine::read()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{}\n", figures::table(&figures))?;
    for detail in &details {
        writeln!(out, "{detail}\n")?;
    }
    writeln!(out, "Measured on {machine}.")?;
    if Part::ALL.iter().all(|part| options.parts.contains(part)) {
        page::keep(&options.page, &figures, &details, &machine)?;
        writeln!(out, "Kept in {}.", options.page.display())?;
    } else {
        writeln!(out, "Kept nowhere: not everything was measured.")?;
    }
    Ok(())
}

/// Measures one part: its rows, and what else there is to say.
async fn measure(part: Part, cluster: &mut Cluster<'_>) -> Result<(Vec<Figure>, String)> {
    Ok(match part {
        Part::Writes => {
            let writes = writes::measure(cluster).await?;
            (vec![Figure::writes(&writes)], writes.details())
        }
        Part::Reaction => {
            let reactions = reaction::measure(cluster).await?;
            (vec![Figure::reaction(&reactions)], reactions.details())
        }
        Part::Memory => {
            let empty = memory::empty(cluster).await?;
            let crowd = memory::crowd(cluster).await?;
            let said = format!("{} {}", empty.details(), crowd.details());
            (vec![Figure::memory(&empty, &crowd)], said)
        }
        Part::Rest => {
            let rest = rest::measure(cluster).await?;
            (vec![Figure::rest(&rest)], rest.details())
        }
        Part::Fleet => {
            let fleet = fleet::measure(cluster).await?;
            (Figure::fleet(&fleet), fleet.details())
        }
        Part::Thousands => {
            let thousands = thousands::measure(cluster).await?;
            (Figure::thousands(&thousands), thousands.details())
        }
    })
}
