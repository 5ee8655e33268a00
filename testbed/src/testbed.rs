//! The whole testbed: started here, or attached to from another process inside its namespace.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use kube::Client;
use tempfile::TempDir;

use crate::{
    control_plane::{ControlPlane, Layout},
    gateway_api, kubeconfig,
    kubelet::Kubelet,
    pki::ADMIN_TOKEN,
    pods,
    ports::{PortBlock, Ports},
    process::Process,
    prometheus,
    servers::{Binaries, Program},
    state::{self, State, StateFolder},
    traefik::{self, RouteKinds},
};

/// What to start.
#[derive(Debug)]
pub struct Options {
    binaries: Binaries,
    state: Option<PathBuf>,
    ports: Option<PortBlock>,
    prometheus: bool,
    proxy: Option<RouteKinds>,
}

impl Options {
    /// Everything, on the standard ports: the shared testbed.
    pub fn shared(binaries: Binaries) -> Self {
        Self {
            binaries,
            state: None,
            ports: None,
            prometheus: true,
            proxy: Some(RouteKinds {
                gateway_api: true,
                traefik: false,
            }),
        }
    }

    /// A control plane and pods on ports of their own, for a test that restarts servers or cuts connections.
    ///
    /// # Errors
    /// When no ports are left in this namespace.
    pub fn own(binaries: Binaries) -> Result<Self> {
        Ok(Self {
            binaries,
            state: None,
            ports: Some(PortBlock::claim()?),
            prometheus: false,
            proxy: None,
        })
    }

    /// Keeps the state (logs, audit log, kubeconfig) in `folder` instead of a temporary one.
    #[must_use]
    pub fn state(mut self, folder: Option<PathBuf>) -> Self {
        self.state = folder;
        self
    }

    /// With or without Prometheus.
    #[must_use]
    pub fn prometheus(mut self, wanted: bool) -> Self {
        self.prometheus = wanted;
        self
    }

    /// With the proxy for these kinds of route, or without it.
    #[must_use]
    pub fn proxy(mut self, kinds: Option<RouteKinds>) -> Self {
        self.proxy = kinds;
        self
    }
}

/// A testbed in use. The servers this value started end when it is dropped; an attached one ends nothing.
pub struct Testbed {
    state: State,
    client: Client,
    servers: Option<Servers>,
}

/// Fields are dropped in this order: users of a server before the server, the state folder last.
struct Servers {
    kubelet: Kubelet,
    others: Vec<Process>,
    control_plane: ControlPlane,
    _ports: Option<PortBlock>,
    _folder: StateFolder,
    _temporary: Option<TempDir>,
}

impl Testbed {
    /// Starts the servers and waits until all are ready.
    pub async fn start(options: Options) -> Result<Self> {
        // Boxed, or its size would be part of every caller's future.
        Box::pin(Self::start_all(options)).await
    }

    async fn start_all(options: Options) -> Result<Self> {
        let temporary = match options.state {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("testbed-")
                    .tempdir()
                    .context("no temporary folder")?,
            ),
        };
        let path = options
            .state
            .as_deref()
            .or(temporary.as_ref().map(TempDir::path));
        let folder = StateFolder::take(path.context("no state folder")?)?;
        link_binaries(&options.binaries, &folder.path().join("bin"))?;

        let ports = options
            .ports
            .as_ref()
            .map_or(Ports::STANDARD, PortBlock::ports);
        let layout = Layout::create(folder.path(), ports)?;
        let control_plane = ControlPlane::start(layout.clone(), &options.binaries).await?;
        let client = control_plane.client();

        let metrics = async {
            Ok(if options.prometheus {
                Some(prometheus::start(&layout, &options.binaries).await?)
            } else {
                None
            })
        };
        let proxy = async {
            let Some(kinds) = options.proxy else {
                return Ok(None);
            };
            traefik::create_ingress_class(client.clone()).await?;
            if kinds.gateway_api {
                gateway_api::install(&layout, &options.binaries).await?;
            }
            traefik::start(&layout, &options.binaries, kinds)
                .await
                .map(Some)
        };
        let pods = pods::start(client.clone(), options.ports.as_ref());
        let (metrics, proxy, kubelet) = futures::future::try_join3(metrics, proxy, pods).await?;

        let state = describe(
            &layout,
            options.binaries,
            metrics.is_some(),
            proxy.is_some(),
        );
        state.write()?;
        let others = metrics.into_iter().chain(proxy).collect();
        let servers = Servers {
            kubelet,
            others,
            control_plane,
            _ports: options.ports,
            _folder: folder,
            _temporary: temporary,
        };
        Ok(Self {
            state,
            client,
            servers: Some(servers),
        })
    }

    /// Attaches to the running testbed that `TIDEGATE_TESTBED` names.
    ///
    /// # Errors
    /// When the variable is not set or no testbed runs there; the message says what to run.
    pub async fn attach_from_env() -> Result<Self> {
        let folder = std::env::var_os(state::VARIABLE).with_context(|| {
            format!(
                "{} is not set: this test needs a control plane, run `make test`",
                state::VARIABLE
            )
        })?;
        let state = State::read(Path::new(&folder))?;
        let client = kubeconfig::client(&state.kubeconfig).await?;
        Ok(Self {
            state,
            client,
            servers: None,
        })
    }

    /// An admin's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// All that is known of the testbed.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig_path(&self) -> &Path {
        &self.state.kubeconfig
    }

    /// The API server's URL.
    pub fn api_url(&self) -> &str {
        &self.state.api_url
    }

    /// The certificate that clients of the API server trust.
    pub fn ca_pem(&self) -> Result<String> {
        let path = &self.state.ca;
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The admin's bearer token.
    pub fn token(&self) -> &str {
        &self.state.token
    }

    /// Prometheus' URL.
    ///
    /// # Errors
    /// When this testbed runs without it.
    pub fn prometheus_url(&self) -> Result<&str> {
        self.state
            .prometheus_url
            .as_deref()
            .context("this testbed runs without Prometheus")
    }

    /// The URL of the proxy's web entry point.
    ///
    /// # Errors
    /// When this testbed runs without it.
    pub fn proxy_url(&self) -> Result<&str> {
        self.state
            .proxy_url
            .as_deref()
            .context("this testbed runs without a proxy")
    }

    /// The audit log: one JSON object per answered request.
    pub fn audit_log_path(&self) -> &Path {
        &self.state.audit_log
    }

    /// The path of a program.
    pub fn bin(&self, program: Program) -> Result<&Path> {
        self.state.binaries.path(program)
    }

    /// Writes a kubeconfig for a ServiceAccount to `path`, with a token valid for an hour.
    ///
    /// `server` is the URL to use instead of the API server's own, such as a fault proxy's.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
        server: Option<&str>,
        path: &Path,
    ) -> Result<()> {
        let token = kubeconfig::service_account_token(self.client(), namespace, name, 3600).await?;
        kubeconfig::write(
            path,
            server.unwrap_or(&self.state.api_url),
            &self.state.ca,
            &token,
        )
    }

    /// Kills the API server, as a crash would.
    ///
    /// # Errors
    /// When this testbed is only attached to: others use it too.
    pub async fn stop_apiserver(&mut self) -> Result<()> {
        self.own_control_plane()?.stop_apiserver().await
    }

    /// Starts the API server again and waits until it is ready.
    ///
    /// # Errors
    /// When this testbed is only attached to, or the server does not become ready.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        self.own_control_plane()?.start_apiserver().await
    }

    /// Stops the kube-controller-manager where it is, for good.
    ///
    /// # Errors
    /// When this testbed is only attached to, or the program has ended.
    pub fn pause_controller_manager(&self) -> Result<()> {
        let servers = self.servers.as_ref();
        let servers = servers.context("only its owner can stop parts of a testbed")?;
        servers.control_plane.pause_controller_manager()
    }

    fn own_control_plane(&mut self) -> Result<&mut ControlPlane> {
        let servers = self
            .servers
            .as_mut()
            .context("a shared API server is not restarted: start a testbed of one's own")?;
        Ok(&mut servers.control_plane)
    }

    /// Ends the servers this value started and waits until they are gone.
    pub async fn stop(self) -> Result<()> {
        let Some(servers) = self.servers else {
            return Ok(());
        };
        drop(servers.kubelet);
        for process in servers.others {
            process.kill().await?;
        }
        servers.control_plane.stop().await
    }
}

fn describe(layout: &Layout, binaries: Binaries, metrics: bool, proxy: bool) -> State {
    let ports = layout.ports();
    State {
        folder: layout.state().to_owned(),
        api_url: layout.api_url(),
        token: ADMIN_TOKEN.to_owned(),
        ca: layout.pki().ca(),
        server_certificate: layout.pki().server_certificate(),
        server_key: layout.pki().server_key(),
        kubeconfig: layout.kubeconfig(),
        audit_log: layout.audit_log(),
        prometheus_url: metrics.then(|| format!("http://127.0.0.1:{}", ports.prometheus)),
        proxy_url: proxy.then(|| format!("http://127.0.0.1:{}", ports.proxy_web)),
        ports,
        binaries,
    }
}

/// One folder with all programs, for `PATH`.
fn link_binaries(binaries: &Binaries, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (program, path) in binaries.iter() {
        let link = folder.join(program.name());
        symlink(path, &link).with_context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(())
}
