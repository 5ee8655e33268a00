//! What the demo does to the cluster, as a person would: helm, kubectl, and `tidegate controller` with the rights that the
//! chart gives it. Releases and counting are *not* here.

use std::{ffi::OsStr, path::Path};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use super::{Options, releases::Application, screen::Screen};
use crate::{
    Program, Testbed,
    installation::{self, project_file, run},
    process::{self, Process},
};

/// The label that says which version a pod is.
const HASH: &str = "tidegate.dev/pod-template-hash";

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
        screen.say(&installation::install_command())?;
        installation::install(testbed).await?;
        let prometheus = testbed.prometheus_url()?;
        screen.say(&format!(
            "$ tidegate controller --prometheus-address {prometheus}   (as the chart's ServiceAccount)"
        ))?;
        let controller =
            installation::start_controller(testbed, &options.tidegate, prometheus).await?;
        Ok(Self {
            testbed,
            controller,
        })
    }

    /// Applies the example to a namespace of its own. Returns the generation of the Rollout.
    pub(super) async fn apply_example(
        &self,
        application: &Application,
        screen: &mut Screen,
    ) -> Result<i64> {
        let Application {
            namespace, example, ..
        } = application;
        run(
            self.testbed,
            Program::Kubectl,
            &["create", "namespace", namespace],
        )
        .await?;
        let example = format!("examples/{example}");
        screen.say(&format!("$ kubectl -n {namespace} apply -f {example}"))?;
        let example = project_file(&example);
        let arguments: [&OsStr; 5] = [
            "-n".as_ref(),
            namespace.as_ref(),
            "apply".as_ref(),
            "-f".as_ref(),
            example.as_os_str(),
        ];
        run(self.testbed, Program::Kubectl, &arguments).await?;
        let object = self.rollouts(application).get(application.rollout).await;
        let object = object.context("cannot read the Rollout that was applied")?;
        Ok(object.metadata.generation.unwrap_or(0))
    }

    /// Declares another image. Returns the generation that says so.
    pub(super) async fn set_image(
        &self,
        application: &Application,
        image: &str,
        screen: &mut Screen,
    ) -> Result<i64> {
        let Application {
            namespace, rollout, ..
        } = application;
        let field = "/spec/template/spec/containers/0/image";
        let patch = format!(r#"[{{"op":"replace","path":"{field}","value":"{image}"}}]"#);
        screen.say(&format!(
            "$ kubectl -n {namespace} patch rollout {rollout} --type json -p '{patch}'"
        ))?;
        let arguments = [
            "-n",
            namespace,
            "patch",
            "rollout",
            rollout,
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

    /// The Rollouts of the application's namespace.
    pub(super) fn rollouts(&self, application: &Application) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("tidegate.dev", "v1alpha1", "Rollout");
        let resource = ApiResource::from_gvk_with_plural(&kind, "rollouts");
        Api::namespaced_with(self.testbed.client(), application.namespace, &resource)
    }

    /// The pods that are not of the version with this hash, or are on their way out.
    pub(super) async fn leftover_pods(
        &self,
        application: &Application,
        hash: &str,
    ) -> Result<Vec<String>> {
        let pods = Api::<Pod>::namespaced(self.testbed.client(), application.namespace);
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
    pub(super) async fn tell_what_is_known(
        &self,
        application: &Application,
        screen: &mut Screen,
    ) -> Result<()> {
        let objects = "replicasets,pods,services,ingresses,httproutes";
        let wanted: [(&str, &[&str]); 4] = [
            (
                "The Rollout",
                &["get", "rollout", application.rollout, "-o", "yaml"],
            ),
            ("Its AnalysisRuns", &["get", "analysisruns", "-o", "wide"]),
            (
                "ReplicaSets, pods, Services, Ingresses and routes",
                &["get", objects, "-o", "wide"],
            ),
            ("Events", &["events"]),
        ];
        for (title, arguments) in wanted {
            let arguments: Vec<&str> = ["-n", application.namespace]
                .iter()
                .chain(arguments)
                .copied()
                .collect();
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
    pub(super) fn explain(
        &self,
        application: &Application,
        options: &Options,
        screen: &mut Screen,
    ) -> Result<()> {
        let Application {
            namespace,
            rollout,
            host,
            ..
        } = application;
        let state = self.testbed.state();
        let tidegate = options.tidegate.parent().unwrap_or(Path::new("."));
        screen.say(&format!(
            "Everything goes on until Ctrl-C. From another terminal:\n\n\
             \x20 {enter} env -C $PWD KUBECONFIG={kubeconfig} PATH={bin}:{tidegate}:$PATH $SHELL\n\n\
             and there, for example:\n\n\
             \x20 tidegate get -n {namespace} {rollout} -w                          how it goes\n\
             \x20 tidegate set-image -n {namespace} {rollout} demo=demo:v5          a good version\n\
             \x20 tidegate set-image -n {namespace} {rollout} demo=demo:v6-err20    a bad one\n\
             \x20 tidegate promote -n {namespace} {rollout} --full                  without further steps\n\
             \x20 tidegate abort -n {namespace} {rollout}                           back to the stable version\n\
             \x20 tidegate explain -n {namespace} {rollout}                         why it waits, and what comes next\n\
             \x20 kubectl -n {namespace} get analysisruns\n\
             \x20 kubectl -n {namespace} describe rollout {rollout}\n\
             \x20 curl -i -H 'Host: {host}' {proxy}\n\n\
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

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}
