//! A server as a child process: its log, its readiness, its end. It ends with its [`Process`]: on drop, and so on panic.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

/// How long a server may take until it is ready. Usual is below five seconds; machines can be loaded.
const READY: Duration = Duration::from_secs(90);
const ASK_AGAIN: Duration = Duration::from_millis(25);

/// A running server.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with its output appended to `<logs>/<name>.log`.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &OsStr)],
        logs: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let log = logs.join(format!("{name}.log"));
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot share the log")?)
            .stderr(output)
            // Ctrl-C on the terminal is for the command under test; the servers end after it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Waits until `probe` answers `Ok`.
    ///
    /// # Errors
    /// When the process ends before, or the deadline passes; with the end of its log.
    pub async fn ready<F, Fut>(&mut self, mut probe: F) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<(), String>>,
    {
        let deadline = Instant::now() + READY;
        loop {
            let answer = tokio::time::timeout_at(deadline, probe()).await;
            let Ok(Err(reason)) = answer else {
                if answer.is_ok() {
                    return Ok(());
                }
                bail!(
                    "{} did not answer within {} s:\n{}",
                    self.name,
                    READY.as_secs(),
                    tail(&self.log)
                );
            };
            if let Some(status) = self
                .child
                .try_wait()
                .with_context(|| format!("cannot watch {}", self.name))?
            {
                bail!(
                    "{} ended ({status}) before it was ready. Its log ends:\n{}",
                    self.name,
                    tail(&self.log)
                );
            }
            if Instant::now() > deadline {
                let seconds = READY.as_secs();
                bail!(
                    "{} was not ready after {seconds} s ({reason}). Its log ends:\n{}",
                    self.name,
                    tail(&self.log)
                );
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Kills the process, as a crash would, and waits for its end.
    pub async fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill {}", self.name))
    }

    /// Its process id; `None` after its end.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where the process writes.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

/// The last lines of a log, indented, for an error message.
pub fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let shown: Vec<String> = last.iter().map(|line| format!("  {line}")).collect();
    format!("{}\n  (all of it: {})", shown.join("\n"), log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(logs: &Path, script: &str) -> Process {
        Process::start("shell", Path::new("/bin/sh"), ["-c", script], &[], logs).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_ends_early_is_reported_with_its_log() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell(logs.path(), "echo port taken >&2; exit 3");
        let error = process
            .ready(async || Err("refused".to_owned()))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("  port taken\n"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_server_ends_with_its_owner() {
        let logs = tempfile::tempdir().unwrap();
        let process = shell(logs.path(), "echo up; exec sleep 600");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.child.id().unwrap()).unwrap());
        drop(process);
        let deadline = Instant::now() + Duration::from_secs(10);
        while nix::sys::signal::kill(pid, None).is_ok() {
            assert!(Instant::now() < deadline, "{pid} is still there");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    #[test]
    fn the_tail_is_the_end_of_the_log() {
        let logs = tempfile::tempdir().unwrap();
        let log = logs.path().join("a.log");
        let lines: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        let tail = tail(&log);
        assert!(
            tail.starts_with("  line 26\n") && tail.contains("  line 40\n"),
            "{tail}"
        );
    }
}
