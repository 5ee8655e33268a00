//! Building one module's programs with the Go toolchain.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::Module;
use crate::process;

/// Says what to do when there is no Go toolchain.
pub(super) async fn check_go() -> Result<()> {
    let answer = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .await;
    match answer {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "`go version` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => bail!(
            "the servers must be built, but `go` cannot be run ({error}): install Go 1.26 or later, or put suitable \
             binaries into the folder KUBEBUILDER_ASSETS names"
        ),
    }
}

/// Builds the module's programs into `bin`, replacing older ones only when all are built.
pub(super) async fn module(module: Module, bin: &Path) -> Result<()> {
    let fresh =
        tempfile::tempdir_in(bin).with_context(|| format!("cannot write to {}", bin.display()))?;
    let log_path = bin.join(format!(".{}.log", module.name()));
    let log = std::fs::File::create(&log_path)
        .with_context(|| format!("cannot write {}", log_path.display()))?;
    for program in module.programs() {
        let mut compiler = Command::new("go")
            .arg("build")
            .arg("-C")
            .arg(module.folder())
            .arg("-ldflags")
            .arg(module.linker_flags())
            .arg("-o")
            .arg(fresh.path().join(program.name()))
            .arg(Module::package(*program))
            // A workspace file above this source tree must not change what is built.
            .env("GOWORK", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.try_clone().context("cannot share the build log")?)
            .process_group(0)
            .spawn()
            .context("cannot run `go build`")?;
        let group = Group::of(&compiler);
        let status = compiler
            .wait()
            .await
            .context("cannot wait for `go build`")?;
        group.forget();
        if !status.success() {
            bail!(
                "`go build` of {} failed ({status}):\n{}",
                program.name(),
                process::tail(&log_path)
            );
        }
    }
    for program in module.programs() {
        // A rename, because a running program's file cannot be written.
        let (from, to) = (fresh.path().join(program.name()), bin.join(program.name()));
        std::fs::rename(&from, &to)
            .with_context(|| format!("cannot put {} in place", to.display()))?;
    }
    Ok(())
}

/// `go build` with the compilers and linkers it starts: all end when this is dropped before the build has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: &Child) -> Self {
        Self(
            leader
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // A failure means that all of them have just ended.
            killpg(group, Signal::SIGTERM).ok();
        }
    }
}
