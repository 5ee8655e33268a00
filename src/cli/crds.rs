//! `tidegate crds`: prints the CustomResourceDefinitions or writes them to a folder.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{CliError, terminal::Terminal};
use crate::api::{
    crds,
    names::{ApiNames, Kind},
};

/// Options of `tidegate crds`.
#[derive(Args, Debug)]
pub struct CrdsOptions {
    /// Folder to write one file per kind to, instead of printing all; may be given more than once.
    #[arg(long, value_name = "DIR")]
    out: Vec<PathBuf>,
}

/// Prints or writes the definitions.
pub(super) fn run(
    options: &CrdsOptions,
    names: &ApiNames,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    if options.out.is_empty() {
        let documents = Kind::ALL
            .into_iter()
            .map(|kind| crds::yaml(names, kind))
            .collect::<Result<Vec<_>, _>>()?;
        return terminal.print(&documents.join("---\n"));
    }
    for folder in &options.out {
        let failed = |path: PathBuf| |source| CliError::File { path, source };
        fs::create_dir_all(folder).map_err(failed(folder.clone()))?;
        for kind in Kind::ALL {
            let path = folder.join(format!("{}.yaml", kind.plural()));
            fs::write(&path, crds::yaml(names, kind)?).map_err(failed(path))?;
        }
    }
    Ok(())
}
