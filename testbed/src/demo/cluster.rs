//! What the demo does to the cluster, as a person would: helm, kubectl, and `tidegate controller` with the rights that the
//! chart gives it. Releases and counting are *not* here.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use tokio::process::Command;

use super::{Options, screen::Screen};
use crate::{
    Program, Testbed, kubeconfig, probe,
    process::{self, Process},
};

/// The host of the example's Ingress.
pub(super) const HOST: &str = "demo.example.com";
/// The example's Rollout.
pub(super) const ROLLOUT: &str = "demo";
/// The namespace that the example is applied to.
const NAMESPACE: &str = "demo";
/// The release name, the namespace and the ServiceAccount of the chart.
const CHART_RELEASE: &str = "tidegate";
const CHART_NAMESPACE: &str = "tidegate-system";
/// Where the controller says whether it is ready. Its default would take the pods' port on every address.
const HEALTH: &str = "127.0.0.1:8181";
/// The label that says which version a pod is.
const HASH: &str = "tidegate.dev/pod-template-hash";
/// The controller's token lives as long as anybody may look at the demo, seconds.
const TOKEN: i64 = 24 * 60 * 60;

/// The cluster with the chart installed and the controller at work. The controller ends when this is dropped.
pub(super) struct Cluster<'a> {
    testbed: &'a Testbed,
    controller: Process,
}

impl<'a> Cluster<'a> {
    /// Installs the chart and starts the controller.
    pub(super) async fn prepare(
        testbed: &'a Testbed,
        options: &Options,
        screen: &mut Screen,
    ) -> Result<Self> {
        let chart = project_file("charts/tidegate");
        screen.say(&format!(
            "$ helm install {CHART_RELEASE} charts/tidegate --namespace {CHART_NAMESPACE} --create-namespace \
             --set deployment.enabled=false"
        ))?;
        let install: [&OsStr; 8] = [
            "install".as_ref(),
            CHART_RELEASE.as_ref(),
            chart.as_os_str(),
            "--namespace".as_ref(),
            CHART_NAMESPACE.as_ref(),
            "--create-namespace".as_ref(),
            "--set".as_ref(),
            "deployment.enabled=false".as_ref(),
        ];
        run(testbed, Program::Helm, &install).await?;
        run(
            testbed,
            Program::Kubectl,
            &["create", "namespace", NAMESPACE],
        )
        .await?;

        let folder = &testbed.state().folder;
        let kubeconfig = folder.join("controller.kubeconfig");
        let token = kubeconfig::service_account_token(
            testbed.client(),
            CHART_NAMESPACE,
            CHART_RELEASE,
            TOKEN,
        )
        .await?;
        kubeconfig::write(&kubeconfig, testbed.api_url(), &testbed.state().ca, &token)?;
        screen.say(&format!(
            "$ tidegate controller --prometheus-address {}   (as the chart's ServiceAccount)",
            testbed.prometheus_url()?
        ))?;
        let arguments: [&OsStr; 9] = [
            "controller".as_ref(),
            "--health-address".as_ref(),
            HEALTH.as_ref(),
            "--namespace".as_ref(),
            CHART_NAMESPACE.as_ref(),
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
            "--prometheus-address".as_ref(),
            testbed.prometheus_url()?.as_ref(),
        ];
        let mut controller = Process::start(
            "controller",
            &options.tidegate,
            arguments,
            &[],
            &folder.join("log"),
        )?;
        let url = format!("http://{HEALTH}/readyz");
        controller.ready(|| probe::get(&url)).await?;
        Ok(Self {
            testbed,
            controller,
        })
    }

    /// Applies the example. Returns the generation of the Rollout.
    pub(super) async fn apply_example(&self, screen: &mut Screen) -> Result<i64> {
        screen.say(&format!(
            "$ kubectl -n {NAMESPACE} apply -f examples/canary"
        ))?;
        let example = project_file("examples/canary");
        let arguments: [&OsStr; 5] = [
            "-n".as_ref(),
            NAMESPACE.as_ref(),
            "apply".as_ref(),
            "-f".as_ref(),
            example.as_os_str(),
        ];
        run(self.testbed, Program::Kubectl, &arguments).await?;
        let object = self.rollouts().get(ROLLOUT).await;
        let object = object.context("cannot read the Rollout that was applied")?;
        Ok(object.metadata.generation.unwrap_or(0))
    }

    /// Declares another image. Returns the generation that says so.
    pub(super) async fn set_image(&self, image: &str, screen: &mut Screen) -> Result<i64> {
        let field = "/spec/template/spec/containers/0/image";
        let patch = format!(r#"[{{"op":"replace","path":"{field}","value":"{image}"}}]"#);
        screen.say(&format!(
            "$ kubectl -n {NAMESPACE} patch rollout {ROLLOUT} --type json -p '{patch}'"
        ))?;
        let arguments = [
            "-n",
            NAMESPACE,
            "patch",
            "rollout",
            ROLLOUT,
            "--type",
            "json",
            "-p",
            &patch,
            "-o",
            "jsonpath={.metadata.generation}",
        ];
        let generation = run(self.testbed, Program::Kubectl, &arguments).await?;
        let generation = generation.trim().parse();
        generation.context("kubectl patch did not answer with a generation")
    }

    /// The Rollouts of the demo's namespace.
    pub(super) fn rollouts(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("tidegate.dev", "v1alpha1", "Rollout");
        let resource = ApiResource::from_gvk_with_plural(&kind, "rollouts");
        Api::namespaced_with(self.testbed.client(), NAMESPACE, &resource)
    }

    /// The pods that are not of the version with this hash, or are on their way out.
    pub(super) async fn leftover_pods(&self, hash: &str) -> Result<Vec<String>> {
        let pods = Api::<Pod>::namespaced(self.testbed.client(), NAMESPACE);
        let all = pods.list(&ListParams::default()).await;
        let leftovers = all
            .context("cannot list the pods")?
            .into_iter()
            .filter(|pod| {
                pod.metadata.deletion_timestamp.is_some()
                    || pod.labels().get(HASH).is_none_or(|of| of != hash)
            });
        Ok(leftovers.map(|pod| pod.name_any()).collect())
    }

    /// Prints what helps to find out why something went wrong.
    pub(super) async fn tell_what_is_known(&self, screen: &mut Screen) -> Result<()> {
        let wanted: [(&str, &[&str]); 4] = [
            ("The Rollout", &["get", "rollout", ROLLOUT, "-o", "yaml"]),
            ("Its AnalysisRuns", &["get", "analysisruns", "-o", "wide"]),
            (
                "ReplicaSets, pods, Services and Ingresses",
                &["get", "replicasets,pods,services,ingresses", "-o", "wide"],
            ),
            ("Events", &["events"]),
        ];
        for (title, arguments) in wanted {
            let arguments: Vec<&str> = ["-n", NAMESPACE].iter().chain(arguments).copied().collect();
            let told = match run(self.testbed, Program::Kubectl, &arguments).await {
                Ok(text) => last_lines(&text, 200),
                Err(error) => format!("{error:#}"),
            };
            screen.say(&format!("\n{title}:\n{told}"))?;
        }
        screen.say(&format!(
            "\nThe controller's log ends:\n{}",
            process::tail(self.controller.log())
        ))
    }

    /// Says what can be tried while everything is left running.
    pub(super) fn explain(&self, options: &Options, screen: &mut Screen) -> Result<()> {
        let state = self.testbed.state();
        let tidegate = options.tidegate.parent().unwrap_or(Path::new("."));
        screen.say(&format!(
            "Everything goes on until Ctrl-C. From another terminal:\n\n\
             \x20 {enter} env -C $PWD KUBECONFIG={kubeconfig} PATH={bin}:{tidegate}:$PATH $SHELL\n\n\
             and there, for example:\n\n\
             \x20 tidegate get -n {NAMESPACE} {ROLLOUT} -w                          how it goes\n\
             \x20 tidegate set-image -n {NAMESPACE} {ROLLOUT} demo=demo:v5          a good version\n\
             \x20 tidegate set-image -n {NAMESPACE} {ROLLOUT} demo=demo:v6-err20    a bad one\n\
             \x20 tidegate promote -n {NAMESPACE} {ROLLOUT} --full                  without further steps\n\
             \x20 tidegate abort -n {NAMESPACE} {ROLLOUT}                           back to the stable version\n\
             \x20 tidegate explain -n {NAMESPACE} {ROLLOUT}                         why it waits, and what comes next\n\
             \x20 kubectl -n {NAMESPACE} get analysisruns\n\
             \x20 kubectl -n {NAMESPACE} describe rollout {ROLLOUT}\n\
             \x20 curl -i -H 'Host: {HOST}' {proxy}\n\n\
             Words of an image tag: err20 (20 % errors), lat50 (50 ms), slow5 (ready after 5 s), unready, crash.\n\
             Logs: {logs}",
            enter = options.enter,
            kubeconfig = state.kubeconfig.display(),
            bin = state.folder.join("bin").display(),
            tidegate = tidegate.display(),
            proxy = self.testbed.proxy_url()?,
            logs = state.folder.join("log").display(),
        ))
    }
}

/// A file of this project.
fn project_file(path: &str) -> PathBuf {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR"));
    testbed.parent().unwrap_or(testbed).join(path)
}

/// Runs a program as the cluster's admin and returns what it printed.
async fn run(
    testbed: &Testbed,
    program: Program,
    arguments: &[impl AsRef<OsStr>],
) -> Result<String> {
    let output = Command::new(testbed.bin(program)?)
        .args(arguments)
        .env("KUBECONFIG", testbed.kubeconfig_path())
        // Its caches and settings are the demo's own.
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

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}
