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
    /// Folder to write one file per kind to, instead of printing all.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the definitions.
pub(super) fn run(
    options: &CrdsOptions,
    names: &ApiNames,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let Some(folder) = &options.out else {
        let documents = Kind::ALL
            .into_iter()
            .map(|kind| crds::yaml(names, kind))
            .collect::<Result<Vec<_>, _>>()?;
        return terminal.print(&documents.join("---\n"));
    };
    let write = |path: PathBuf, text: String| {
        fs::write(&path, text).map_err(|source| CliError::File { path, source })
    };
    fs::create_dir_all(folder).map_err(|source| CliError::File {
        path: folder.clone(),
        source,
    })?;
    for kind in Kind::ALL {
        write(
            folder.join(format!("{}.yaml", kind.plural())),
            crds::yaml(names, kind)?,
        )?;
    }
    Ok(())
}
