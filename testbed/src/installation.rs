//! Tidegate in the testbed, as a person would install it: the chart, and `tidegate controller` with the rights that the
//! chart gives it. For the demo and the benchmark; what they do with it is *not* here.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{Program, Testbed, kubeconfig, probe, process::Process};

/// The release name of the chart, and of its ServiceAccount.
const RELEASE: &str = "tidegate";
/// Its namespace.
const NAMESPACE: &str = "tidegate-system";
/// The name by which the API server knows the controller.
pub(crate) const USER: &str = "system:serviceaccount:tidegate-system:tidegate";
/// Where the controller says whether it is ready. Its default would take the pods' port on every address.
const HEALTH: &str = "127.0.0.1:8181";
/// The controller's token lives as long as anybody may look, seconds.
const TOKEN: i64 = 24 * 60 * 60;

/// Installs the chart without its Deployment: no pod here can run the program.
pub(crate) async fn install(testbed: &Testbed) -> Result<()> {
    let chart = project_file("charts/tidegate");
    let arguments: [&OsStr; 8] = [
        "install".as_ref(),
        RELEASE.as_ref(),
        chart.as_os_str(),
        "--namespace".as_ref(),
        NAMESPACE.as_ref(),
        "--create-namespace".as_ref(),
        "--set".as_ref(),
        "deployment.enabled=false".as_ref(),
    ];
    run(testbed, Program::Helm, &arguments).await.map(drop)
}

/// [`install`] as a person types it.
pub(crate) fn install_command() -> String {
    format!(
        "$ helm install {RELEASE} charts/tidegate --namespace {NAMESPACE} --create-namespace \
         --set deployment.enabled=false"
    )
}

/// Starts the controller and waits until it is ready. It ends when the process is dropped.
pub(crate) async fn start_controller(
    testbed: &Testbed,
    tidegate: &Path,
    prometheus: &str,
) -> Result<Process> {
    let folder = &testbed.state().folder;
    let kubeconfig = folder.join("controller.kubeconfig");
    let token =
        kubeconfig::service_account_token(testbed.client(), NAMESPACE, RELEASE, TOKEN).await?;
    kubeconfig::write(&kubeconfig, testbed.api_url(), &testbed.state().ca, &token)?;
    let arguments: [&OsStr; 9] = [
        "controller".as_ref(),
        "--health-address".as_ref(),
        HEALTH.as_ref(),
        "--namespace".as_ref(),
        NAMESPACE.as_ref(),
        "--kubeconfig".as_ref(),
        kubeconfig.as_os_str(),
        "--prometheus-address".as_ref(),
        prometheus.as_ref(),
    ];
    let mut controller =
        Process::start("controller", tidegate, arguments, &[], &folder.join("log"))?;
    let url = format!("http://{HEALTH}/readyz");
    controller.ready(|| probe::get(&url)).await?;
    Ok(controller)
}

/// A file of this project.
pub(crate) fn project_file(path: &str) -> PathBuf {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR"));
    testbed.parent().unwrap_or(testbed).join(path)
}

/// Runs a program as the cluster's admin and returns what it printed.
pub(crate) async fn run(
    testbed: &Testbed,
    program: Program,
    arguments: &[impl AsRef<OsStr>],
) -> Result<String> {
    let output = Command::new(testbed.bin(program)?)
        .args(arguments)
        .env("KUBECONFIG", testbed.kubeconfig_path())
        // Its caches and settings are the testbed's own.
        .env("HOME", &testbed.state().folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {}", program.name()))?;
    if !output.status.success() {
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.as_ref().to_string_lossy())
            .collect();
        bail!(
            "{} {}: {}",
            program.name(),
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
