//! The command line: `tidegate`, also as `kubectl tidegate`.
//!
//! Not here: what the controller does; each subcommand has its file.

pub mod controller;

mod cluster;
mod crds;
mod declare;
mod error;
mod explain;
mod get;
mod pause;
mod request;
mod rollout;
mod set_image;
mod simulate;
mod status;
mod terminal;
mod time;
mod undo;

use std::{ffi::OsStr, io, path::Path, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use error::CliError;

use crate::api::{
    names::{ApiNames, DEFAULT_GROUP},
    request::Verb,
};
use cluster::{Cluster, Connection};
use terminal::Terminal;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; with `status`: Healthy; with `simulate`: played, however the release ends
  1  failed or refused; with `status`: Degraded; with `simulate`: the cluster would refuse a manifest
  2  wrong usage
  3  not there yet: `status` ran into its timeout, or the controller did not answer a request in time

As a kubectl plugin: link or copy this program to `kubectl-tidegate` in a folder of PATH, then `kubectl tidegate …`.";

/// Progressive delivery for Kubernetes.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// The API group of the objects: tidegate.dev, or argoproj.io for those of Argo Rollouts.
    #[arg(long, global = true, value_name = "GROUP", default_value = DEFAULT_GROUP, env = "TIDEGATE_API_GROUP")]
    api_group: ApiNames,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
enum Command {
    /// Show a Rollout with all that belongs to it, or list Rollouts.
    Get(get::GetOptions),
    /// Wait until a Rollout is Healthy (exit code 0) or Degraded (1).
    Status(status::StatusOptions),
    /// Say why a Rollout stands where it stands, and what comes next.
    Explain(explain::ExplainOptions),
    /// End the pause or skip the step that a Rollout is at.
    Promote(request::PromoteOptions),
    /// Put everything back to the stable version.
    Abort(request::RequestOptions),
    /// Start an aborted update again from its first step.
    Retry(request::RequestOptions),
    /// Hold a Rollout where it is, by spec.paused.
    Pause(pause::PauseOptions),
    /// Let a Rollout go on that `pause` held.
    Resume(pause::PauseOptions),
    /// Set the image of containers, which starts an update.
    SetImage(set_image::SetImageOptions),
    /// Declare the pod template of an earlier revision again, which starts an update to it.
    Undo(undo::UndoOptions),
    /// Say what a Rollout would do with a new version, without a cluster.
    Simulate(Box<simulate::SimulateOptions>),
    /// Print the CustomResourceDefinitions.
    Crds(crds::CrdsOptions),
    /// Run the controller.
    Controller(Box<controller::ControllerOptions>),
}

/// Runs the command of this process and says how it ended.
pub async fn main() -> ExitCode {
    let matches = command(std::env::args_os().next().as_deref()).get_matches();
    let result = match Cli::from_arg_matches(&matches) {
        Ok(cli) => Box::pin(run(cli)).await,
        Err(error) => error.exit(),
    };
    match result {
        // Whoever read the output has seen enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The command line, under the name it was called by.
fn command(program: Option<&OsStr>) -> clap::Command {
    let name = program
        .and_then(|path| Path::new(path).file_stem())
        .and_then(OsStr::to_str);
    let command = Cli::command();
    if name == Some("kubectl-tidegate") {
        command.bin_name("kubectl tidegate")
    } else {
        command
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let names = cli.api_group;
    let mut terminal = Terminal::stdout();
    let connection = cli.connection;
    let cluster = || Cluster::connect(&connection, names.clone());
    match cli.command {
        Command::Get(options) => get::run(&options, &cluster().await?, &mut terminal).await,
        Command::Status(options) => status::run(&options, &cluster().await?, &mut terminal).await,
        Command::Explain(options) => explain::run(&options, &cluster().await?, &mut terminal).await,
        Command::Promote(options) => {
            request::promote(&options, &cluster().await?, &mut terminal).await
        }
        Command::Abort(options) => {
            request::run(Verb::Abort, &options, &cluster().await?, &mut terminal).await
        }
        Command::Retry(options) => {
            request::run(Verb::Retry, &options, &cluster().await?, &mut terminal).await
        }
        Command::Pause(options) => {
            pause::run(true, &options, &cluster().await?, &mut terminal).await
        }
        Command::Resume(options) => {
            pause::run(false, &options, &cluster().await?, &mut terminal).await
        }
        Command::SetImage(options) => {
            set_image::run(&options, &cluster().await?, &mut terminal).await
        }
        Command::Undo(options) => undo::run(&options, &cluster().await?, &mut terminal).await,
        Command::Simulate(options) => simulate::run(&options, &mut terminal),
        Command::Crds(options) => crds::run(&options, &names, &mut terminal),
        Command::Controller(options) => {
            let options = controller::ControllerOptions {
                kubeconfig: connection.kubeconfig,
                context: connection.context,
                namespace: connection.namespace,
                names,
                ..*options
            };
            crate::controller::run(options)
                .await
                .map_err(CliError::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_plugin_calls_itself_as_people_call_it() {
        let mut plugin = command(Some(OsStr::new("/usr/bin/kubectl-tidegate")));
        let mut own = command(Some(OsStr::new("/usr/bin/tidegate")));
        assert!(
            plugin
                .render_usage()
                .to_string()
                .contains("kubectl tidegate")
        );
        assert!(!own.render_usage().to_string().contains("kubectl"));
    }
}
