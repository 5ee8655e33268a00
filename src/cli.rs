//! The command line: `tidegate`, also as `kubectl tidegate`.
//!
//! Not here: the controller itself; each subcommand has its file.

mod crds;
mod error;
mod terminal;
mod time;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use error::CliError;

use crate::api::names::ApiNames;
use terminal::Terminal;

/// Progressive delivery for Kubernetes.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
enum Command {
    /// Print the CustomResourceDefinitions.
    Crds(crds::CrdsOptions),
}

/// Runs the command of this process and says how it ended.
pub async fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let result = match Cli::from_arg_matches(&matches) {
        Ok(cli) => run(cli).await,
        Err(error) => error.exit(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            anstream::eprintln!("error: {error}");
            ExitCode::from(code)
        }
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let names = ApiNames::default();
    let mut terminal = Terminal::stdout();
    match cli.command {
        Command::Crds(options) => crds::run(&options, &names, &mut terminal),
    }
}
