//! The pinned programs the testbed runs, and where they come from: what is suitable on this machine, else the cache
//! folder, else a build of the Go modules under `testbed/servers`. How they are started is *not* here.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{gateway_api, progress::Progress};

mod build;
mod module;
mod stamp;
mod version;

pub use module::Module;
pub use version::Version;

/// A program of the testbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// Deployments, ReplicaSets, EndpointSlices, Jobs, garbage collection.
    KubeControllerManager,
    /// The command line client.
    Kubectl,
    /// The proxy.
    Traefik,
    /// The metric server.
    Prometheus,
    /// The chart installer.
    Helm,
}

impl Program {
    /// The name of the program's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Traefik => "traefik",
            Self::Prometheus => "prometheus",
            Self::Helm => "helm",
        }
    }
}

/// Where each program is, as absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binaries(BTreeMap<Program, PathBuf>);

impl Binaries {
    /// The path of one program.
    ///
    /// # Errors
    /// When it was not among the programs made ready.
    pub fn path(&self, program: Program) -> Result<&Path> {
        let found = self.0.get(&program).map(PathBuf::as_path);
        found.with_context(|| format!("{} was not made ready: run `testbed build`", program.name()))
    }

    /// Every program with its path.
    pub fn iter(&self) -> impl Iterator<Item = (Program, &Path)> {
        self.0
            .iter()
            .map(|(program, path)| (*program, path.as_path()))
    }
}

impl FromIterator<(Program, PathBuf)> for Binaries {
    fn from_iter<I: IntoIterator<Item = (Program, PathBuf)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Makes all programs ready, building what is neither on this machine nor in the cache.
///
/// # Errors
/// When Go is missing, a build fails, or the cache folder cannot be written.
pub async fn ensure(progress: Progress) -> Result<Binaries> {
    let cache = cache_folder()?;
    let bin = cache.join("bin");
    std::fs::create_dir_all(&bin)
        .with_context(|| format!("cannot create the cache folder {}", bin.display()))?;
    // Inside the testbed's namespace nothing can be fetched any more.
    gateway_api::definitions().await?;
    let mut binaries = Binaries::default();
    let mut missing = Vec::new();
    for module in Module::ALL {
        let existing = match version::existing(module, &search_folders()).await {
            None if stamp::is_current(module, &bin)? => Some(cached(module, &bin)),
            found => found,
        };
        match existing {
            Some(found) => binaries.0.extend(found),
            None => missing.push(module),
        }
    }
    if missing.is_empty() {
        return Ok(binaries);
    }
    build::check_go().await?;
    let _lock = lock(&cache, progress).await?;
    progress.say(&format!(
        "Building {} of {} pinned server modules into {} (once; about 15 minutes on two cores the first time).",
        missing.len(),
        Module::ALL.len(),
        bin.display()
    ));
    for (index, module) in missing.iter().enumerate() {
        // Another process may have built it while this one waited for the lock.
        if !stamp::is_current(*module, &bin)? {
            let what = format!(
                "Building {} ({} of {})",
                module.describe(),
                index + 1,
                missing.len()
            );
            progress.during(&what, build::module(*module, &bin)).await?;
            stamp::write(*module, &bin)?;
        }
        binaries.0.extend(cached(*module, &bin));
    }
    Ok(binaries)
}

fn cached(module: Module, bin: &Path) -> Vec<(Program, PathBuf)> {
    module
        .programs()
        .iter()
        .map(|program| (*program, bin.join(program.name())))
        .collect()
}

/// `KUBEBUILDER_ASSETS` first, then `PATH`.
fn search_folders() -> Vec<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    assets
        .into_iter()
        .chain(std::env::split_paths(&path))
        .filter(|folder| folder.is_absolute())
        .collect()
}

/// Where pinned programs, and what belongs to them, are kept between runs.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = variable("TIDEGATE_TESTBED_CACHE") {
        return std::path::absolute(&folder)
            .with_context(|| format!("TIDEGATE_TESTBED_CACHE={}", folder.display()));
    }
    let Some(base) =
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
    else {
        bail!(
            "no cache folder for the servers: set TIDEGATE_TESTBED_CACHE, XDG_CACHE_HOME or HOME"
        );
    };
    Ok(base.join("tidegate/testbed"))
}

/// Two builds into one folder would only slow each other down.
async fn lock(cache: &Path, progress: Progress) -> Result<File> {
    let path = cache.join("build.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    let what = "Waiting for another build of the servers";
    progress
        .during(what, async {
            waiting
                .await?
                .with_context(|| format!("cannot lock {}", path.display()))
        })
        .await
}
