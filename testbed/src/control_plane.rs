//! etcd, kube-apiserver and kube-controller-manager. There is no scheduler: the kubelet stand-in binds its own pods.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use kube::Client;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    kubeconfig,
    pki::{ADMIN_TOKEN, Pki},
    ports::Ports,
    process::Process,
    servers::{Binaries, Program},
};

/// The controllers that need a cloud, a bootstrap token or node CIDRs: none of them has anything to do here.
const CONTROLLERS: &str = "*,-bootstrapsigner,-tokencleaner,-cloud-node-lifecycle,-node-route-controller,\
                           -service-lb-controller,-node-ipam-controller";

/// Every request of everybody, once, when it is answered; the writes of a controller that the chart installed with their
/// contents, so that a write without effect can be told from others.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
                            - level: RequestResponse\n  verbs: [create, update, patch]\n  \
                              users: ['system:serviceaccount:tidegate-system:tidegate']\n\
                            - level: Metadata\n";

/// The files and ports of one control plane.
#[derive(Debug, Clone)]
pub struct Layout {
    state: PathBuf,
    ports: Ports,
    pki: Pki,
}

impl Layout {
    /// Prepares the state folder: key material, kubeconfig, audit policy.
    pub fn create(state: &Path, ports: Ports) -> Result<Self> {
        let pki = Pki::create(&state.join("pki"))?;
        let layout = Self {
            state: state.to_owned(),
            ports,
            pki,
        };
        kubeconfig::write(
            &layout.kubeconfig(),
            &layout.api_url(),
            &layout.pki.ca(),
            ADMIN_TOKEN,
        )?;
        let policy = layout.audit_policy();
        fs::write(&policy, AUDIT_POLICY)
            .with_context(|| format!("cannot write {}", policy.display()))?;
        Ok(layout)
    }

    /// The key material.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The folder with the servers' logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The API server's URL.
    pub fn api_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api)
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// The audit log: one JSON object per line.
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("audit.log")
    }

    fn audit_policy(&self) -> PathBuf {
        self.state.join("audit-policy.yaml")
    }

    fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.etcd_client)
    }

    fn etcd_arguments(&self) -> Vec<String> {
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        vec![
            option("data-dir", self.state.join("etcd").display()),
            "--unsafe-no-fsync".to_owned(),
            option("listen-client-urls", self.etcd_url()),
            option("advertise-client-urls", self.etcd_url()),
            option("listen-peer-urls", &peer),
            option("initial-advertise-peer-urls", &peer),
            option("initial-cluster", format!("default={peer}")),
        ]
    }

    fn apiserver_arguments(&self) -> Vec<String> {
        vec![
            option("etcd-servers", self.etcd_url()),
            option("bind-address", "127.0.0.1"),
            // There is no default route to guess an address from.
            option("advertise-address", "127.0.0.1"),
            option("secure-port", self.ports.api),
            // The API refuses loopback addresses in the EndpointSlice it would write.
            option("endpoint-reconciler-type", "none"),
            option("tls-cert-file", self.pki.server_certificate().display()),
            option("tls-private-key-file", self.pki.server_key().display()),
            option("cert-dir", self.pki.folder().display()),
            option("token-auth-file", self.pki.tokens().display()),
            option("authorization-mode", "RBAC"),
            option(
                "service-account-key-file",
                self.pki.service_account_public_key().display(),
            ),
            option(
                "service-account-signing-key-file",
                self.pki.service_account_key().display(),
            ),
            option("service-account-issuer", "https://kubernetes.default.svc"),
            option("service-cluster-ip-range", "10.96.0.0/16"),
            // Pods get no token mounted: nothing here would mount it.
            option("disable-admission-plugins", "ServiceAccount"),
            option("allow-privileged", true),
            option("audit-policy-file", self.audit_policy().display()),
            option("audit-log-path", self.audit_log().display()),
            // In MB: never rotated, for a test that counts requests reads one file.
            option("audit-log-maxsize", 100_000),
        ]
    }

    fn controller_manager_arguments(&self) -> Vec<String> {
        let kubeconfig = self.kubeconfig();
        vec![
            option("kubeconfig", kubeconfig.display()),
            option("authentication-kubeconfig", kubeconfig.display()),
            option("authorization-kubeconfig", kubeconfig.display()),
            option(
                "service-account-private-key-file",
                self.pki.service_account_key().display(),
            ),
            option("root-ca-file", self.pki.ca().display()),
            option("use-service-account-credentials", false),
            option("leader-elect", false),
            option("bind-address", "127.0.0.1"),
            option("secure-port", self.ports.controller_manager),
            option("cert-dir", self.pki.folder().display()),
            option("node-monitor-grace-period", "40s"),
            option("terminated-pod-gc-threshold", 100),
            option("controllers", CONTROLLERS),
        ]
    }
}

/// `--name=value`.
pub(crate) fn option(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// A running control plane; it ends when this is dropped.
pub struct ControlPlane {
    layout: Layout,
    binaries: Binaries,
    client: Client,
    apiserver: Option<Process>,
    controller_manager: Process,
    etcd: Process,
}

impl ControlPlane {
    /// Starts the three servers and waits until the API server is ready.
    pub async fn start(layout: Layout, binaries: &Binaries) -> Result<Self> {
        let logs = layout.logs();
        let start = |program: Program, arguments: Vec<String>| {
            Process::start(
                program.name(),
                binaries.path(program)?,
                arguments,
                &[],
                &logs,
            )
        };
        let etcd = start(Program::Etcd, layout.etcd_arguments())?;
        let mut apiserver = start(Program::KubeApiserver, layout.apiserver_arguments())?;
        let client = kubeconfig::client(&layout.kubeconfig()).await?;
        apiserver.ready(|| api_ready(&client)).await?;
        let controller_manager = start(
            Program::KubeControllerManager,
            layout.controller_manager_arguments(),
        )?;
        let binaries = binaries.clone();
        Ok(Self {
            layout,
            binaries,
            client,
            apiserver: Some(apiserver),
            controller_manager,
            etcd,
        })
    }

    /// An admin's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Kills the API server, as a crash would. Without effect while it is stopped.
    pub async fn stop_apiserver(&mut self) -> Result<()> {
        match self.apiserver.take() {
            Some(apiserver) => apiserver.kill().await,
            None => Ok(()),
        }
    }

    /// Starts the API server again and waits until it is ready. Without effect while it runs.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        if self.apiserver.is_none() {
            let program = self.binaries.path(Program::KubeApiserver)?;
            let name = Program::KubeApiserver.name();
            let arguments = self.layout.apiserver_arguments();
            let mut apiserver = Process::start(name, program, arguments, &[], &self.layout.logs())?;
            apiserver.ready(|| api_ready(&self.client)).await?;
            self.apiserver = Some(apiserver);
        }
        Ok(())
    }

    /// Stops the kube-controller-manager where it is, for good: it neither acts nor ends before the rest does.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn pause_controller_manager(&self) -> Result<()> {
        let id = self.controller_manager.id();
        let id = id.context("the kube-controller-manager has ended")?;
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGSTOP)
            .context("cannot stop the kube-controller-manager")
    }

    /// Kills all three servers and waits for their end.
    pub async fn stop(mut self) -> Result<()> {
        self.stop_apiserver().await?;
        self.controller_manager.kill().await?;
        self.etcd.kill().await
    }
}

async fn api_ready(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    match client.request_text(request).await {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(answer) => Err(answer),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortBlock;

    fn arguments(ports: Ports) -> (String, tempfile::TempDir) {
        let state = tempfile::tempdir().unwrap();
        let layout = Layout::create(state.path(), ports).unwrap();
        let all = [
            layout.etcd_arguments(),
            layout.apiserver_arguments(),
            layout.controller_manager_arguments(),
        ]
        .concat();
        let kubeconfig = fs::read_to_string(layout.kubeconfig()).unwrap();
        (format!("{}\n{kubeconfig}", all.join("\n")), state)
    }

    #[test]
    fn a_second_control_plane_shares_no_port_with_the_first() {
        let names_a_standard_port = |text: &str| {
            let standard = ["2379", "2380", "6443", "10257"];
            standard.map(|port| {
                text.split(|c: char| !c.is_ascii_digit())
                    .any(|word| word == port)
            })
        };
        let (first, _state) = arguments(Ports::STANDARD);
        let block = PortBlock::claim().unwrap();
        let (second, _state) = arguments(block.ports());
        assert_eq!(names_a_standard_port(&first), [true; 4]);
        assert_eq!(names_a_standard_port(&second), [false; 4]);
    }
}
