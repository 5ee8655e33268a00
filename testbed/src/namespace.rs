//! Entering the namespaces the testbed lives in: network and process ids, in a user namespace of its own, or as root.
//!
//! The command re-executes itself inside. The part outside ([`enter`]) passes signals on; the part inside ([`Session`])
//! notices when the part outside is gone. Inside, process 1 is a shell that waits for the testbed: when that ends, in
//! whatever way, the kernel kills all that is left. What runs inside is *not* here.

use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    process::Command,
    signal::unix::{SignalKind, signal},
};

use crate::servers::Binaries;

/// All pod addresses. One local route makes every one of them ours ("AnyIP").
pub const POD_RANGE: &str = "10.244.0.0/16";

/// Set inside, until the command under test runs: the folder with the session's socket and its list of programs.
const VARIABLE: &str = "TIDEGATE_TESTBED_SESSION";
const SOCKET: &str = "alive.sock";
const ENTRY: &str = "entry.json";

/// Not the last command of the script, or the shell would make way for it.
const INIT: &str =
    "ip link set lo up && ip route add local \"$1\" dev lo || exit 1; shift; \"$@\"; exit $?";

/// The ways in, the best first. Without its own /proc, tools inside see the process ids of the outside.
const WAYS: [&[&str]; 4] = [
    &[
        "--user",
        "--map-root-user",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ],
    &[
        "--user",
        "--map-root-user",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
    ],
    &["--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
    &["--net", "--pid", "--fork", "--kill-child"],
];

/// Runs this program again with the same arguments inside new namespaces, and waits for its end.
pub async fn enter(binaries: &Binaries) -> Result<ExitStatus> {
    let way = way_in().await?;
    let session = tempfile::Builder::new()
        .prefix("testbed-session-")
        .tempdir()
        .context("no temporary folder")?;
    let entry = Entry {
        binaries: binaries.clone(),
        own_user_namespace: way.contains(&"--user"),
    };
    let entry = serde_json::to_vec(&entry).context("cannot describe the session")?;
    std::fs::write(session.path().join(ENTRY), entry).context("cannot describe the session")?;
    let listener = UnixListener::bind(session.path().join(SOCKET))
        .context("cannot make the session's socket")?;
    let mut signals = Signals::new()?;

    let mut child = Command::new("unshare")
        .args(way)
        .args(["--", "sh", "-c", INIT, "sh", POD_RANGE])
        .arg(std::env::current_exe().context("cannot find this program's own path")?)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, session.path())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run `unshare`")?;
    let mut inside = None;
    loop {
        tokio::select! {
            status = child.wait() => return status.context("cannot wait for `unshare`"),
            accepted = listener.accept(), if inside.is_none() => {
                let (stream, _) = accepted.context("cannot accept the inner process")?;
                inside = Some(greet(stream).await?);
            }
            signal = signals.next() => match &inside {
                Some((pid, _)) => kill(*pid, signal).with_context(|| format!("cannot pass on {signal}"))?,
                // Nothing runs yet: dropping the child ends the namespaces.
                None => bail!("interrupted by {signal}"),
            },
        }
    }
}

/// Tells the process inside its id out here, for `nsenter`. The stream stays open as long as this process lives.
async fn greet(mut stream: UnixStream) -> Result<(Pid, UnixStream)> {
    let peer = stream.peer_cred().context("cannot see who connected")?;
    let pid = peer.pid().context("cannot see the inner process's id")?;
    stream
        .write_i32(pid)
        .await
        .context("cannot greet the inner process")?;
    Ok((Pid::from_raw(pid), stream))
}

async fn way_in() -> Result<&'static [&'static str]> {
    check_tool("ip", "iproute2", &["-V"]).await?;
    check_tool("unshare", "util-linux", &["--version"]).await?;
    let root = nix::unistd::geteuid().is_root();
    let mut refusal = String::new();
    for way in WAYS {
        if !root && !way.contains(&"--user") {
            continue;
        }
        let output = Command::new("unshare")
            .args(way)
            .args(["--", "true"])
            .stdin(Stdio::null())
            .output()
            .await;
        let output = output.context("cannot run `unshare`")?;
        if output.status.success() {
            return Ok(way);
        }
        refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    bail!(
        "this machine refuses the network namespace the testbed runs in ({}).\n\
         Allow user namespaces, one of these may be missing:\n\
         \x20 sysctl -w user.max_user_namespaces=15000\n\
         \x20 sysctl -w kernel.unprivileged_userns_clone=1                (older Debian)\n\
         \x20 sysctl -w kernel.apparmor_restrict_unprivileged_userns=0    (Ubuntu 24.04 and later)\n\
         or run as root; in a container, with the capability SYS_ADMIN and a seccomp profile that allows unshare.",
        refusal.trim()
    )
}

async fn check_tool(name: &str, package: &str, arguments: &[&str]) -> Result<()> {
    let asked = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await;
    match asked {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("`{name}` is not installed: install the package {package} (its name in Debian)")
        }
        asked => asked
            .map(|_| ())
            .with_context(|| format!("cannot run `{name}`")),
    }
}

/// What the process outside tells the one inside.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    binaries: Binaries,
    own_user_namespace: bool,
}

/// The process inside, as it knows the one outside.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    entry: Entry,
    outer_pid: i32,
    stream: UnixStream,
}

impl Session {
    /// The session this process was started in, if it is inside already.
    pub async fn join() -> Result<Option<Self>> {
        let Some(folder) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            return Ok(None);
        };
        Self::join_in(&folder)
            .await
            .map(Some)
            .with_context(|| format!("cannot join the session {}", folder.display()))
    }

    async fn join_in(folder: &Path) -> Result<Self> {
        let list = std::fs::read(folder.join(ENTRY))?;
        let entry = serde_json::from_slice(&list)?;
        let mut stream = UnixStream::connect(folder.join(SOCKET)).await?;
        let outer_pid = stream.read_i32().await?;
        Ok(Self {
            folder: folder.to_owned(),
            entry,
            outer_pid,
            stream,
        })
    }

    /// The programs that were made ready outside.
    pub fn binaries(&self) -> &Binaries {
        &self.entry.binaries
    }

    /// A folder that the process outside removes at the end, however this one ends.
    pub fn temporary_folder(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The command by which a person outside joins, up to the program to run.
    pub fn enter_command(&self) -> String {
        // A process cannot join the user namespace it is in already.
        let user = if self.entry.own_user_namespace {
            "--preserve-credentials -U "
        } else {
            ""
        };
        format!("nsenter {user}-n -m -p -t {} --", self.outer_pid)
    }

    /// Removes the session's folder, which the process outside can no longer do.
    pub fn remove(self) -> Result<()> {
        let folder = self.folder;
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))
    }

    /// Returns when the process outside is gone.
    pub async fn lost(&mut self) {
        let mut rest = [0];
        // Nothing more is ever sent: any answer is the end.
        self.stream.read_exact(&mut rest).await.ok();
    }

    /// Hides the session from a command that is to run inside.
    pub fn hide_from(command: &mut Command) {
        command.env_remove(VARIABLE);
    }
}

/// The signals that ask for an end.
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the signals over from their default, which ends the process at once.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot handle signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hang_up.recv() => Signal::SIGHUP,
        }
    }
}

/// `PATH` with `first` before what it has.
pub fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).with_context(|| format!("{} cannot be in PATH", first.display()))
}
