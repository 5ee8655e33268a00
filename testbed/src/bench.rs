//! The figures of docs/benchmarks.md: what a release, a crowd of Rollouts at rest and a bad verdict cost, measured on a real
//! control plane with the program as it is shipped. Requests are counted in the API server's audit log.
//!
//! Timings of pure functions come from `cargo bench`, whose output is read here. The testbed and its end are *not* here.

mod app;
mod audit;
mod cluster;
mod figures;
mod machine;
mod memory;
mod metric_server;
mod page;
mod reaction;
mod rest;
mod timings;
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
    /// Whether also 1,000 Rollouts are started, which takes several minutes.
    pub crowd: bool,
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
    let empty = memory::empty(&mut cluster).await?;
    progress.say(&empty.details());
    let writes = writes::measure(&mut cluster).await?;
    progress.say(&writes.details());
    let reactions = reaction::measure(&mut cluster).await?;
    progress.say(&reactions.details());
    let crowd = if options.crowd {
        Some(memory::crowd(&mut cluster).await?)
    } else {
        None
    };
    let rest = rest::measure(&mut cluster).await?;

    let figures = [
        Figure::writes(&writes),
        Figure::rest(&rest),
        Figure::memory(&empty, crowd.as_ref()),
        Figure::reaction(&reactions),
        Figure::decide(&decide),
    ];
    let details = [
        writes.details(),
        rest.details(),
        reactions.details(),
        decide.details(),
    ];
    let machine = Machine::read()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{}\n", figures::table(&figures))?;
    for detail in &details {
        writeln!(out, "{detail}\n")?;
    }
    writeln!(out, "Measured on {machine}.")?;
    page::keep(&options.page, &figures, &details, &machine)?;
    writeln!(out, "Kept in {}.", options.page.display())?;
    Ok(())
}
