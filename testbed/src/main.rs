//! `testbed`: builds the servers, and runs a command, the demo or the benchmark, or waits, with all of them up.
#![forbid(unsafe_code)]

use std::{
    ffi::OsString,
    fs::File,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testbed::{
    Binaries, Options, Testbed, bench, demo, fields, kubeconfig,
    namespace::{self, Session, Signals},
    permissions,
    progress::Progress,
    servers, state,
};
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use tracing_subscriber::EnvFilter;

/// A real control plane, proxy and Prometheus in one network namespace.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the servers that are neither on this machine nor in the cache.
    Build,
    /// Start everything, run a command inside, stop everything; the exit code is the command's.
    Run {
        #[command(flatten)]
        start: Start,
        /// The command and its arguments. It sees TIDEGATE_TESTBED, KUBECONFIG, and the servers first in PATH.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start everything and wait until Ctrl-C.
    Up {
        #[command(flatten)]
        start: Start,
    },
    /// Compare what a chart grants with what its program has asked for in the last `run`. Fails when something was granted and
    /// never used, or asked for and forbidden.
    Permissions {
        /// The folder that `run` kept its audit logs in.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// The chart.
        #[arg(long, value_name = "DIR")]
        chart: PathBuf,
        /// Values for helm; given more than once, the chart is rendered once for each.
        #[arg(long, value_name = "VALUES", required = true)]
        set: Vec<String>,
    },
    /// Write the table of fields from what the tests of a run have shown.
    Fields {
        /// The folder with the records of the run.
        #[arg(long, value_name = "DIR")]
        records: PathBuf,
        /// The folder with the definitions.
        #[arg(long, value_name = "DIR", default_value = "crds")]
        crds: PathBuf,
        /// The page.
        #[arg(long, value_name = "FILE", default_value = "docs/fields.md")]
        page: PathBuf,
        /// Fail when the page is not what the run shows, or no test says anything of a field; write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Draw fields at random, ignore each, and run its tests that need no control plane. Fails when none of them fails.
    Mutate {
        /// The folder with the records of the run.
        #[arg(long, value_name = "DIR")]
        records: PathBuf,
        /// How many fields.
        #[arg(long, default_value_t = 20)]
        count: usize,
        /// Draws the same fields again.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Start everything, play the demo, stop everything. Fails when a release does not end as it must or a request is lost.
    Demo {
        #[command(flatten)]
        start: Start,
        /// Leave everything running after the last release, until Ctrl-C.
        #[arg(long)]
        keep: bool,
        /// Where the report is written.
        #[arg(long, value_name = "FILE", default_value = "target/demo/report.json")]
        report: PathBuf,
        /// The program to demonstrate [default: `tidegate` beside this program]
        #[arg(long, value_name = "FILE")]
        tidegate: Option<PathBuf>,
    },
    /// Start everything, measure what releases and rest cost, stop everything.
    Bench {
        #[command(flatten)]
        start: Start,
        /// The program to measure, built for release.
        #[arg(long, value_name = "FILE")]
        tidegate: PathBuf,
        /// What `cargo bench` printed.
        #[arg(long, value_name = "FILE")]
        timings: PathBuf,
        /// The page that keeps the figures.
        #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
        page: PathBuf,
        /// Measure only this; may be given more than once. The page is left as it is then.
        #[arg(long, value_name = "PART")]
        only: Vec<bench::Part>,
    },
}

/// What happens while everything is up.
enum Work {
    Command(Vec<OsString>),
    Wait,
    Demo {
        keep: bool,
        report: PathBuf,
        tidegate: PathBuf,
    },
    Bench(bench::Options),
}

#[derive(Args)]
struct Start {
    /// Keep logs, audit log and kubeconfig in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// How long the command may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            writeln!(std::io::stderr(), "testbed: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let progress = Progress::detect();
    let (start, work) = match cli.action {
        Action::Build => {
            for (program, path) in ensure(progress).await?.iter() {
                writeln!(
                    std::io::stdout(),
                    "{:<24} {}",
                    program.name(),
                    path.display()
                )?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Action::Permissions { state, chart, set } => {
            let binaries = ensure(progress).await?;
            let report = permissions::check(&binaries, &chart, &set, &state).await?;
            writeln!(std::io::stdout(), "Permissions: {report}")?;
            return Ok(if report.is_good() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Action::Fields {
            records,
            crds,
            page,
            check,
        } => {
            let table = fields::Table::read(&crds, &records)?;
            writeln!(std::io::stdout(), "Fields: {:?}", table.counts())?;
            fields::write(&table, &page, check)?;
            return Ok(ExitCode::SUCCESS);
        }
        Action::Mutate {
            records,
            count,
            seed,
        } => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..));
            return mutate(&fields::mutate::run(&records, count, seed).await?);
        }
        Action::Run { start, command } => (start, Work::Command(command)),
        Action::Up { start } => (start, Work::Wait),
        Action::Demo {
            start,
            keep,
            report,
            tidegate,
        } => {
            let tidegate = tidegate.map_or_else(tidegate_beside, Ok)?;
            let work = Work::Demo {
                keep,
                report,
                tidegate,
            };
            (start, work)
        }
        Action::Bench {
            start,
            tidegate,
            timings,
            page,
            only,
        } => {
            let options = bench::Options {
                tidegate,
                timings,
                page,
                parts: if only.is_empty() {
                    bench::Part::ALL.to_vec()
                } else {
                    only
                },
            };
            (start, Work::Bench(options))
        }
    };
    let Some(session) = Session::join().await? else {
        let binaries = ensure(progress).await?;
        return Ok(exit_code(namespace::enter(&binaries).await?));
    };
    inside(session, start, work, progress).await
}

/// Tells which fields were ignored, and who noticed.
fn mutate(report: &fields::mutate::Report) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let (drawn, seed) = (report.drawn.len(), report.seed);
    writeln!(
        out,
        "Ignored: {drawn} of {} fields, drawn with --seed {seed}",
        report.pool
    )?;
    for (field, noticed) in &report.drawn {
        let noticed = noticed.as_deref().unwrap_or("NOBODY NOTICED");
        writeln!(out, "  {field}: {noticed}")?;
    }
    Ok(if drawn > 0 && report.unnoticed().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `tidegate` in the folder of this program.
fn tidegate_beside() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let found = own.with_file_name("tidegate");
    if !found.is_file() {
        bail!(
            "{} does not exist: run `cargo build --bin tidegate` first, or name it with --tidegate",
            found.display()
        );
    }
    Ok(found)
}

/// Makes the servers ready; a signal drops the build, and with it the processes it started.
async fn ensure(progress: Progress) -> Result<Binaries> {
    let mut signals = Signals::new()?;
    tokio::select! {
        binaries = servers::ensure(progress) => binaries,
        signal = signals.next() => bail!("interrupted by {signal}"),
    }
}

/// How the time inside ended.
enum End {
    Command(ExitStatus),
    /// Whether the demo showed what it must.
    Demo(bool),
    /// Everything was measured.
    Bench,
    Signal(Signal),
    /// The process outside is gone, and everything goes with it.
    Lost,
}

async fn inside(
    mut session: Session,
    start: Start,
    work: Work,
    progress: Progress,
) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let folder = start.state.unwrap_or_else(|| session.temporary_folder());
    let options = Options::shared(session.binaries().clone()).state(Some(folder));
    let started = tokio::select! {
        testbed = progress.during("Starting the testbed", Testbed::start(options)) => Ok(testbed?),
        signal = signals.next() => Err(End::Signal(signal)),
        () = session.lost() => Err(End::Lost),
    };
    let end = match started {
        Ok(testbed) => {
            log_to_file(&testbed)?;
            let end = serve(&testbed, work, &mut session, &mut signals).await;
            testbed.stop().await?;
            end?
        }
        Err(end) => end,
    };
    Ok(match end {
        End::Command(status) => exit_code(status),
        End::Demo(true) | End::Bench => ExitCode::SUCCESS,
        End::Demo(false) => ExitCode::FAILURE,
        End::Signal(signal) => interrupted(signal),
        End::Lost => {
            session.remove()?;
            ExitCode::FAILURE
        }
    })
}

/// Does the work, until it has ended or a signal comes.
async fn serve(
    testbed: &Testbed,
    work: Work,
    session: &mut Session,
    signals: &mut Signals,
) -> Result<End> {
    match work {
        Work::Wait => {
            explain(testbed, session)?;
            Ok(tokio::select! {
                signal = signals.next() => End::Signal(signal),
                () = session.lost() => End::Lost,
            })
        }
        Work::Demo {
            keep,
            report,
            tidegate,
        } => {
            let options = demo::Options {
                keep,
                report,
                tidegate,
                enter: session.enter_command(),
            };
            // Dropping the demo ends its load and its controller.
            tokio::select! {
                good = demo::run(testbed, &options) => Ok(End::Demo(good?)),
                signal = signals.next() => Ok(End::Signal(signal)),
                () = session.lost() => Ok(End::Lost),
            }
        }
        Work::Bench(options) => {
            // Dropping the benchmark ends its loads and its controllers.
            tokio::select! {
                measured = bench::run(testbed, &options) => measured.map(|()| End::Bench),
                signal = signals.next() => Ok(End::Signal(signal)),
                () = session.lost() => Ok(End::Lost),
            }
        }
        Work::Command(command) => {
            let mut child = spawn(testbed, &command)?;
            tokio::select! {
                status = child.wait() => Ok(End::Command(status.context("cannot wait for the command")?)),
                signal = signals.next() => {
                    end(&mut child, signal).await?;
                    Ok(End::Signal(signal))
                }
                () = session.lost() => Ok(End::Lost),
            }
        }
    }
}

/// What the pods' node has to say goes beside the servers' logs, not between the command's lines.
fn log_to_file(testbed: &Testbed) -> Result<()> {
    let path = testbed.state().folder.join("log/kubelet.log");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,testbed=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .init();
    Ok(())
}

fn spawn(testbed: &Testbed, command: &[OsString]) -> Result<Child> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let folder = &testbed.state().folder;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env(state::VARIABLE, folder)
        .env("KUBECONFIG", testbed.kubeconfig_path())
        .env(kubeconfig::KUBECTL_CACHE, kubeconfig::kubectl_cache(folder))
        .env("PATH", namespace::path_with(&folder.join("bin"))?)
        .kill_on_drop(true);
    Session::hide_from(&mut command);
    command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))
}

/// Passes a signal on to the command and waits, but not for ever.
async fn end(child: &mut Child, signal: Signal) -> Result<()> {
    let deadline = Instant::now() + GRACE;
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // A failure means that it has just ended by itself.
        kill(Pid::from_raw(pid), signal).ok();
    }
    match tokio::time::timeout_at(deadline, child.wait()).await {
        Ok(status) => status.map(|_| ()).context("cannot wait for the command"),
        Err(_) => child.kill().await.context("cannot kill the command"),
    }
}

fn explain(testbed: &Testbed, session: &Session) -> Result<()> {
    let state = testbed.state();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "The testbed is up. Its API server can be reached only from inside its namespace:"
    )?;
    let bin = state.folder.join("bin");
    writeln!(
        out,
        "  {} env KUBECONFIG={} TIDEGATE_TESTBED={} PATH={}:$PATH $SHELL",
        session.enter_command(),
        state.kubeconfig.display(),
        state.folder.display(),
        bin.display()
    )?;
    writeln!(out, "API server  {}", state.api_url)?;
    writeln!(out, "kubeconfig  {}", state.kubeconfig.display())?;
    if let Some(url) = &state.proxy_url {
        writeln!(out, "proxy       {url}")?;
    }
    if let Some(url) = &state.prometheus_url {
        writeln!(out, "Prometheus  {url}")?;
    }
    writeln!(out, "logs        {}", state.folder.join("log").display())?;
    writeln!(out, "Ctrl-C ends it.")?;
    Ok(out.flush()?)
}

fn interrupted(signal: Signal) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
