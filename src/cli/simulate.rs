//! `tidegate simulate`: what a Rollout would do, without a cluster.
//!
//! Not here: the simulation (`crate::simulate`); its pictures are in `text`, `chart` and `html`.

mod chart;
mod html;
mod text;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{CliError, terminal::Terminal};
use crate::{
    api::duration::parse as parse_duration,
    simulate::{
        MetricOverride, NamedOverride, Options,
        manifests::{File, Manifests},
        scenario::Scenario,
        simulate,
    },
};

/// Widest picture: wider ones are no easier to read.
const WIDEST: usize = 110;
const NARROWEST: usize = 50;
const USUAL: usize = 80;

/// Options of `tidegate simulate`.
#[derive(Args, Debug)]
pub struct SimulateOptions {
    /// File with manifests, or a folder of them, or - for standard input; may be given more than once. One Rollout, its
    /// templates, and its Services and routes if they are not ordinary ones.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// Image of the new version: IMAGE, or CONTAINER=IMAGE. By default the first container gets the tag TAG-next.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// What the new version is like, and what happens to it.
    #[arg(long, value_enum, default_value = "good")]
    scenario: Scenario,
    /// Requests of users per second.
    #[arg(long, value_name = "N", default_value = "50", value_parser = rate)]
    rps: f64,
    /// The share of a bad version's answers that are errors, 0 to 1.
    #[arg(long, value_name = "P", default_value = "0.5", value_parser = share)]
    error_rate: f64,
    /// When the fault of bad-later and node-loss comes.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    after: Duration,
    /// How long a pod takes until its container runs, give or take a fifth.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pod_start: Duration,
    /// When a person ends a pause that waits for one; 0 for never.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    promote_after: Duration,
    /// A metric's value: NAME=VALUE, or NAME=bad:VALUE for while a fault is seen; in JSON, or success or failure for a Job.
    #[arg(long = "metric", value_name = "NAME=VALUE")]
    metrics: Vec<NamedOverride>,
    /// What chance follows from: how long pods take, and the like.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people, with a chart.
    Text,
    /// All of it, for programs.
    Json,
    /// One page with a chart, for people elsewhere.
    Html,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err("it is not within 0 to 1000000000".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("it is not within 0 to 1".to_owned())
    }
}

/// Plays the release and prints it.
pub(super) fn run(options: &SimulateOptions, terminal: &mut Terminal) -> Result<(), CliError> {
    let manifests = Manifests::read(&files(&options.filename)?)?;
    let mut metrics: BTreeMap<String, MetricOverride> = BTreeMap::new();
    for NamedOverride { name, value } in &options.metrics {
        let known = metrics.remove(name).unwrap_or_default();
        metrics.insert(name.clone(), known.and(value.clone()));
    }
    let played = simulate(
        &manifests,
        &Options {
            scenario: options.scenario,
            image: options.image.clone(),
            rps: options.rps,
            error_rate: options.error_rate,
            after: options.after,
            pod_start: options.pod_start,
            promote_after: Some(options.promote_after).filter(|after| !after.is_zero()),
            seed: options.seed,
            metrics,
            ..Options::default()
        },
    )?;
    match options.output {
        Output::Text => terminal.print(&text::page(&played, width())),
        Output::Html => terminal.print(&html::page(&played)),
        Output::Json => {
            let json = serde_json::to_string_pretty(&played)
                .map_err(|error| CliError::Output(error.into()))?;
            terminal.print(&format!("{json}\n"))
        }
    }
}

/// Columns that a picture may take.
fn width() -> usize {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let columns = columns.or_else(|| {
        terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| usize::from(width))
    });
    columns.unwrap_or(USUAL).clamp(NARROWEST, WIDEST)
}

fn files(paths: &[PathBuf]) -> Result<Vec<File>, CliError> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |source| CliError::File {
            path: path.clone(),
            source,
        };
        if path.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(failed)?;
            let name = "standard input".to_owned();
            files.push(File { name, text });
        } else if path.is_dir() {
            let mut inside: Vec<PathBuf> = fs::read_dir(path)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .map_err(failed)?;
            inside.retain(|path| {
                let extension = path.extension();
                extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
            });
            inside.sort();
            for path in inside {
                files.push(read(&path)?);
            }
        } else {
            files.push(read(path)?);
        }
    }
    Ok(files)
}

fn read(path: &PathBuf) -> Result<File, CliError> {
    let text = fs::read_to_string(path).map_err(|source| CliError::File {
        path: path.clone(),
        source,
    })?;
    Ok(File {
        name: path.display().to_string(),
        text,
    })
}
