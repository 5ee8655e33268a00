//! What another process must know to use a running testbed: `testbed.json` in its state folder.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{ports::Ports, servers::Binaries};

/// The variable that names the state folder of the running testbed.
pub const VARIABLE: &str = "TIDEGATE_TESTBED";

const FILE: &str = "testbed.json";
const LOCK: &str = "lock";

/// A running testbed, as written to its state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The state folder, an absolute path.
    pub folder: PathBuf,
    /// The API server.
    pub api_url: String,
    /// The admin's bearer token.
    pub token: String,
    /// The file with the CA's certificate.
    pub ca: PathBuf,
    /// A certificate for servers on 127.0.0.1 that clients of this testbed trust.
    pub server_certificate: PathBuf,
    /// The key of `server_certificate`.
    pub server_key: PathBuf,
    /// The admin's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The audit log.
    pub audit_log: PathBuf,
    /// Prometheus, when it runs.
    pub prometheus_url: Option<String>,
    /// The proxy's web entry point, when it runs.
    pub proxy_url: Option<String>,
    /// The ports.
    pub ports: Ports,
    /// The programs.
    pub binaries: Binaries,
}

impl State {
    /// Writes the state into its folder.
    pub fn write(&self) -> Result<()> {
        let path = self.folder.join(FILE);
        let text = serde_json::to_string_pretty(self)
            .context("cannot write the testbed's state as JSON")?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the state of a running testbed from its folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "no running testbed: cannot read {}: run `make test`",
                path.display()
            )
        })?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a testbed's state", path.display()))
    }
}

/// A state folder that belongs to this testbed alone, emptied of what an earlier one left.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Takes `path`, creating it if need be.
    ///
    /// # Errors
    /// When another testbed runs with it, or it holds files that are not a testbed's.
    pub fn take(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("cannot create the state folder {}", path.display()))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot resolve {}", path.display()))?;
        let entries =
            fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
        let names: Vec<_> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.file_name()))
            .collect();
        let lock_path = path.join(LOCK);
        if !names.is_empty() && !lock_path.is_file() {
            anyhow::bail!(
                "{} is not empty and no testbed's state folder: name another one",
                path.display()
            );
        }
        let lock = File::create(&lock_path)
            .with_context(|| format!("cannot write {}", lock_path.display()))?;
        if lock.try_lock().is_err() {
            anyhow::bail!(
                "a testbed is already running with the state folder {}",
                path.display()
            );
        }
        for name in names.iter().filter(|name| name.as_os_str() != LOCK) {
            let old = path.join(name);
            let removed = if old.is_dir() {
                fs::remove_dir_all(&old)
            } else {
                fs::remove_file(&old)
            };
            removed.with_context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// The folder, an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_belongs_to_one_testbed_and_starts_empty() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let first = StateFolder::take(&path).unwrap();
        fs::create_dir(first.path().join("etcd")).unwrap();
        let error = StateFolder::take(&path).unwrap_err().to_string();
        assert!(error.contains("already running"), "{error}");
        assert!(path.join("etcd").is_dir());
        drop(first);
        StateFolder::take(&path).unwrap();
        assert!(!path.join("etcd").exists());
    }

    #[test]
    fn a_folder_with_other_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let error = StateFolder::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        assert!(folder.path().join("thesis.tex").is_file());
    }

    #[test]
    fn attaching_without_a_testbed_says_how_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = State::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("make test"), "{error}");
    }
}
