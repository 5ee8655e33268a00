//! The controller under test: `tidegate controller` as a process, with the identity that the chart gives it.

use std::{
    fs::File,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
};

use super::{Mode, SOON, World, eventually, last_lines};

/// A lease that another replica may take after four seconds.
pub const QUICK_LEASE: [&str; 6] = [
    "--lease-duration",
    "4s",
    "--renew-deadline",
    "3s",
    "--retry-period",
    "500ms",
];

/// A running controller. It is killed when this is dropped.
pub struct Controller {
    child: Child,
    address: String,
    log: PathBuf,
}

impl World {
    /// Starts the controller for the namespace and waits until it is ready.
    pub async fn controller(&self) -> Controller {
        self.controller_with(&[], None).await
    }

    /// Starts it with further options, speaking to `server` in the place of the API server, and waits until it is ready.
    pub async fn controller_with(&self, options: &[&str], server: Option<&str>) -> Controller {
        let mut controller = self.begin_controller(options, server).await;
        controller.ready().await;
        controller
    }

    /// Starts it and waits for nothing.
    pub async fn begin_controller(&self, options: &[&str], server: Option<&str>) -> Controller {
        let number = self.controllers.fetch_add(1, Ordering::Relaxed);
        let kubeconfig = self
            .folder()
            .join(format!("controller-{number}.kubeconfig"));
        // A token of its own for each: the audit log tells them apart.
        self.testbed()
            .service_account_kubeconfig(self.home(), "tidegate", server, &kubeconfig)
            .await
            .unwrap();
        let log = self.folder().join(format!("controller-{number}.log"));
        let output = File::create(&log).unwrap();
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .arg("controller")
            .args(["--api-group", &self.names().group])
            .args(["--namespace", self.home()])
            .args(["--health-address", &address])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["--log-level", "info,tidegate=debug"])
            .args(options);
        match self.mode {
            Mode::Namespaced => {
                command.args(["--watch-namespace", self.namespace()]);
            }
            Mode::Cluster => {}
        }
        if let Ok(prometheus) = self.testbed().prometheus_url() {
            command.args(["--prometheus-address", prometheus]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Controller {
            child,
            address,
            log,
        }
    }
}

impl Controller {
    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let answer = self.read("/readyz").await;
            if answer.as_deref().is_ok_and(|text| text.contains(" 200 ")) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && tokio::time::Instant::now() < deadline,
                "the controller is not ready ({ended:?}, {answer:?}):\n{}",
                last_lines(&self.log(), 40)
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The whole answer to a request to the health address.
    pub async fn read(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it logs.
    pub fn log_path(&self) -> PathBuf {
        self.log.clone()
    }

    /// Kills it, as a crash does.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits for that.
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        tokio::time::timeout(SOON, self.child.wait())
            .await
            .expect("it ends after SIGTERM")
            .unwrap()
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> std::process::ExitStatus {
        let ended = tokio::time::timeout(SOON, self.child.wait()).await;
        ended.expect("it ends by itself").unwrap()
    }

    /// Waits until it says that it leads.
    pub async fn leads(&self) {
        eventually(SOON, "the controller leads", || async {
            let text = self
                .read("/metrics")
                .await
                .map_err(|error| error.to_string())?;
            let line = text
                .lines()
                .find(|line| line.starts_with("tidegate_leader "));
            match line {
                Some(line) if line.ends_with(" 1") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

/// Every address of 127.0.0.0/8 is this machine: each controller gets its own, with the usual port.
fn free_address() -> String {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let [high, low] = LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("127.77.{high}.{low}:8080")
}
