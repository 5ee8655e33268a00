//! The world of a test on the real control plane: a namespace of its own, the chart's identity in it, the controller as a
//! process that can be killed, acts as a person does them, and waiting with a deadline.
//!
//! A test asserts what is seen from outside: objects, answers to requests, the audit log. It looks into no cache.

mod app;
mod audit;
mod controller;
mod rollout;
mod traffic;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command as Blocking,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Options, Program, Testbed};
use tidegate::{api::names::ApiNames, runtime::clock::Clock};
use tokio::{
    process::Command,
    sync::Mutex,
    time::{Instant, sleep},
};

pub use app::{App, service};
pub use controller::{Controller, QUICK_LEASE};
pub use rollout::Rollout;
pub use traffic::{CANARY_INGRESS, WEIGHT, WeightWatch, none_lost, share_is};

use super::kubectl::{Said, apply_crds, install_argo_crds, install_crds, kubectl, run};

/// By when something must have happened that takes a few seconds on an idle machine.
pub const SOON: Duration = Duration::from_mins(1);
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// A name that stands in the rendered chart for the namespace of a test.
const NAMESPACE: &str = "the-namespace-of-a-test";

/// Asks until the answer is `Ok`.
pub async fn eventually<T, F>(within: Duration, what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + within;
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(last) => assert!(
                Instant::now() < deadline,
                "not within {within:?}: {what}. Last seen: {last}"
            ),
        }
        sleep(ASK_AGAIN).await;
    }
}

/// The time, as the controller reads it.
pub fn now() -> jiff::Timestamp {
    Clock::system().now()
}

/// Which namespaces the controllers of a world serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The world's; they are at home in it.
    Namespaced,
    /// All of them, from a namespace of their own.
    Cluster,
}

/// A testbed for one test, with the definitions of Tidegate. Its state is kept under that of the shared one: what its
/// controllers ask for counts, too (`testbed permissions`).
pub async fn own_testbed(name: &str, wanted: impl FnOnce(Options) -> Options) -> Testbed {
    let shared = Testbed::attach_from_env().await.unwrap();
    let folder = shared.state().folder.join("own").join(name);
    let options = Options::own(shared.state().binaries.clone()).unwrap();
    let options = wanted(options).state(Some(folder));
    let testbed = Testbed::start(options).await.unwrap();
    apply_crds(&testbed).await;
    testbed
}

/// A namespace with the chart's ServiceAccount and rules. It is deleted with this value; after a failure what was in it
/// is printed.
pub struct World {
    testbed: Testbed,
    namespace: String,
    mode: Mode,
    names: ApiNames,
    folder: TempDir,
    controllers: AtomicUsize,
}

impl World {
    /// A namespace of this name in the shared testbed.
    pub async fn new(namespace: &str) -> Self {
        let testbed = Testbed::attach_from_env().await.unwrap();
        install_crds(&testbed).await;
        Self::on(testbed, namespace).await
    }

    /// A namespace of this name in a testbed that has the definitions already.
    pub async fn on(testbed: Testbed, namespace: &str) -> Self {
        Self::begin(testbed, namespace, Mode::Namespaced, ApiNames::default()).await
    }

    /// A namespace of this name in the shared testbed, with the group of Argo Rollouts in the place of ours.
    pub async fn of_argo_rollouts(namespace: &str) -> Self {
        let testbed = Testbed::attach_from_env().await.unwrap();
        install_argo_crds(&testbed).await;
        let names = ApiNames::argo_rollouts();
        Self::begin(testbed, namespace, Mode::Namespaced, names).await
    }

    /// The same, with controllers that serve all namespaces: nobody else may use the testbed.
    pub async fn cluster_wide(testbed: Testbed, namespace: &str) -> Self {
        Self::begin(testbed, namespace, Mode::Cluster, ApiNames::default()).await
    }

    async fn begin(testbed: Testbed, namespace: &str, mode: Mode, names: ApiNames) -> Self {
        let world = Self {
            namespace: namespace.to_owned(),
            mode,
            names,
            folder: tempfile::tempdir().unwrap(),
            controllers: AtomicUsize::new(0),
            testbed,
        };
        let home = world.home();
        let spaces = [namespace, home].map(
            |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        );
        let identity = chart(&world.testbed, mode, &world.names)
            .await
            .replace(NAMESPACE, home);
        let manifests = format!("{}\n---\n{identity}", documents(&spaces));
        let applied = kubectl(&world.testbed, &["apply", "-f", "-"], &manifests).await;
        assert!(applied.ok, "{}", applied.stderr);
        world
    }

    /// The namespace of the controllers.
    fn home(&self) -> &str {
        match self.mode {
            Mode::Namespaced => &self.namespace,
            Mode::Cluster => "tidegate-home",
        }
    }

    /// The testbed.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// The testbed, for restarting its servers.
    pub fn testbed_mut(&mut self) -> &mut Testbed {
        &mut self.testbed
    }

    /// Group, labels and annotations.
    pub fn names(&self) -> &ApiNames {
        &self.names
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A folder for files of this test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs kubectl in the namespace.
    pub async fn kubectl(&self, args: &[&str]) -> Said {
        let args = [&["-n", &self.namespace], args].concat();
        kubectl(&self.testbed, &args, "").await
    }

    /// `kubectl apply`, whatever comes of it.
    pub async fn try_apply(&self, manifests: &[Value]) -> Said {
        let args = ["-n", &self.namespace, "apply", "-f", "-"];
        kubectl(&self.testbed, &args, &documents(manifests)).await
    }

    /// `kubectl apply`.
    pub async fn apply(&self, manifests: &[Value]) {
        let applied = self.try_apply(manifests).await;
        assert!(applied.ok, "{}", applied.stderr);
    }

    /// Runs a subcommand of `tidegate` in the namespace.
    pub async fn tidegate(&self, args: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .args(["-n", &self.namespace, "--api-group", &self.names.group])
            .env("KUBECONFIG", self.testbed.kubeconfig_path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        Said {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a subcommand of `tidegate`, which must succeed.
    pub async fn ask(&self, args: &[&str]) -> Said {
        let said = self.tidegate(args).await;
        assert!(said.ok, "tidegate {args:?}: {said:?}");
        said
    }

    /// An object, if it exists.
    pub async fn get(&self, plural: &str, name: &str) -> Option<Value> {
        let path = format!("{}/{name}", self.collection(plural));
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        match self.testbed.client().request::<Value>(request).await {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.is_not_found() => None,
            Err(error) => panic!("get {plural}/{name}: {error}"),
        }
    }

    /// All objects of a kind.
    pub async fn list(&self, plural: &str) -> Vec<Value> {
        let request = http::Request::get(self.collection(plural)).body(Vec::new());
        let client = self.testbed.client();
        let list = client.request::<Value>(request.unwrap()).await.unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// A merge patch, as a person with another tool writes it. The name may end with a subresource, `demo/status`.
    pub async fn patch(&self, plural: &str, name: &str, patch: &Value) -> Value {
        let uri = format!("{}/{name}?fieldManager=somebody", self.collection(plural));
        let request = http::Request::patch(uri)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string().into_bytes())
            .unwrap();
        self.testbed.client().request(request).await.unwrap()
    }

    /// Deletes an object in the background way.
    pub async fn delete(&self, plural: &str, name: &str) {
        let path = format!("{}/{name}", self.collection(plural));
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        let client = self.testbed.client();
        client.request::<Value>(request).await.unwrap();
    }

    fn collection(&self, plural: &str) -> String {
        let group = match plural {
            "pods" | "podtemplates" | "services" | "secrets" | "resourcequotas" => "/api/v1",
            "replicasets" | "deployments" => "/apis/apps/v1",
            "jobs" => "/apis/batch/v1",
            "ingresses" => "/apis/networking.k8s.io/v1",
            "httproutes" => "/apis/gateway.networking.k8s.io/v1",
            "events" => "/apis/events.k8s.io/v1",
            "leases" => "/apis/coordination.k8s.io/v1",
            "roles" => "/apis/rbac.authorization.k8s.io/v1",
            "rollouts" | "analysisruns" | "analysistemplates" | "experiments" => {
                &format!("/apis/{}", self.names.api_version())
            }
            other => panic!("the harness does not know {other}"),
        };
        format!("{group}/namespaces/{}/{plural}", self.namespace)
    }

    fn tell(&self) {
        let kubectl = self.testbed.bin(Program::Kubectl).unwrap();
        for args in [
            &["get", "rollouts", "-o", "yaml"] as &[&str],
            &[
                "get",
                "replicasets,pods,services,ingresses,analysisruns,experiments",
                "-o",
                "wide",
            ],
            &[
                "get",
                "services,ingresses,analysisruns,experiments",
                "-o",
                "yaml",
            ],
            &["events"],
        ] {
            let output = Blocking::new(kubectl)
                .args(["-n", &self.namespace])
                .args(args)
                .env("KUBECONFIG", self.testbed.kubeconfig_path())
                .output();
            if let Ok(output) = output {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                eprintln!("--- kubectl {}\n{}", args.join(" "), last_lines(&text, 250));
            }
        }
        for number in 0..self.controllers.load(Ordering::Relaxed) {
            let log = self.folder.path().join(format!("controller-{number}.log"));
            let text = fs::read_to_string(log).unwrap_or_default();
            eprintln!("--- log of controller {number}\n{}", last_lines(&text, 80));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        if let Ok(kubectl) = self.testbed.bin(Program::Kubectl) {
            // What cannot be deleted goes with the testbed.
            Blocking::new(kubectl)
                .args(["delete", "namespace", &self.namespace, "--wait=false"])
                .env("KUBECONFIG", self.testbed.kubeconfig_path())
                .output()
                .ok();
        }
    }
}

/// ServiceAccount, roles and bindings as the chart renders them.
async fn chart(testbed: &Testbed, mode: Mode, names: &ApiNames) -> String {
    static RENDERED: Mutex<BTreeMap<String, String>> = Mutex::const_new(BTreeMap::new());
    let mode = match mode {
        Mode::Namespaced => "namespaced",
        Mode::Cluster => "cluster",
    };
    let values = format!("mode={mode},apiGroup={}", names.group);
    let mut all = RENDERED.lock().await;
    if let Some(rendered) = all.get(&values) {
        return rendered.clone();
    }
    let args = [
        "template",
        "tidegate",
        concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tidegate"),
        "--kube-version=1.36.0",
        "--namespace",
        NAMESPACE,
        "--set=deployment.enabled=false,crds.install=false",
        "--set",
        &values,
    ];
    let rendered = run(testbed, Program::Helm, &args, "").await;
    assert!(rendered.ok, "{}", rendered.stderr);
    all.insert(values, rendered.stdout.clone());
    rendered.stdout
}

fn documents(manifests: &[Value]) -> String {
    let texts: Vec<String> = manifests.iter().map(Value::to_string).collect();
    texts.join("\n---\n")
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}
