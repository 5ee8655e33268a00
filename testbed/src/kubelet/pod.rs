//! The life of one pod, from its address to its removal. What it runs is decided in `program`.

use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::job::{RestartPolicy, Script, restart_backoff};
use super::probe::{ProbeClient, ReadinessProbe};
use super::program::{Program, pre_stop};
use super::report::{Identity, Report, remove};
use super::termination::Timetable;
use super::workload::Workload;

const SIGKILLED: u8 = 137;
const SIGTERMED: u8 = 143;
/// From the failed pull to the back-off, and between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells a pod that it is being deleted, and its grace period.
#[derive(Debug, Clone)]
pub struct Deletion(watch::Receiver<Option<Duration>>);

impl Deletion {
    /// The sender's side holds the grace period once the pod is deleted.
    pub fn new(grace: watch::Receiver<Option<Duration>>) -> Self {
        Self(grace)
    }

    /// Returns the grace period when the pod is deleted.
    async fn asked(&mut self) -> Duration {
        match self.0.wait_for(Option::is_some).await.map(|grace| *grace) {
            Ok(Some(grace)) => grace,
            // Without its kubelet a pod is never deleted; its task ends with the kubelet's.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// Runs a pod until it is removed from the API.
pub async fn run(
    client: kube::Client,
    probes: ProbeClient,
    pod: Pod,
    ip: Ipv4Addr,
    mut deletion: Deletion,
) {
    let identity = identity(&pod);
    let spec = pod.spec.unwrap_or_default();
    let report = Report::start(client.clone(), identity.clone(), ip);
    let exit_code = match Program::of(&spec) {
        Program::Server {
            behaviour,
            port,
            probe,
        } => {
            let drain = behaviour.drain;
            match listen(&report, &mut deletion, || {
                Workload::listen((ip, port).into(), &identity.name, behaviour.clone())
            })
            .await
            {
                Some(workload) => {
                    let times = Times {
                        pre_stop: pre_stop(&spec),
                        drain,
                    };
                    serve(&report, workload, probe, &probes, ip, times, &mut deletion).await
                }
                None => SIGKILLED,
            }
        }
        Program::Script(script) => {
            run_script(&report, script, identity.policy, &mut deletion).await
        }
        Program::NoImage => fail_to_pull(&report, &spec, &mut deletion).await,
        Program::Refused(message) => {
            tracing::error!(pod = identity.name, namespace = identity.namespace, message);
            report.waiting("CreateContainerConfigError", &message);
            deletion.asked().await;
            SIGKILLED
        }
    };
    report.finish(exit_code).await;
    deletion.asked().await;
    remove(client, &identity).await;
}

fn identity(pod: &Pod) -> Identity {
    let spec = pod.spec.as_ref();
    Identity {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        containers: spec
            .into_iter()
            .flat_map(|spec| &spec.containers)
            .map(|container| {
                (
                    container.name.clone(),
                    container.image.clone().unwrap_or_default(),
                )
            })
            .collect(),
        policy: RestartPolicy::read(spec.and_then(|spec| spec.restart_policy.as_deref())),
    }
}

/// Listens, however often it takes; `None` when the pod is deleted first.
async fn listen<F>(
    report: &Report,
    deletion: &mut Deletion,
    attempt: impl Fn() -> F,
) -> Option<Workload>
where
    F: Future<Output = std::io::Result<Workload>>,
{
    loop {
        match attempt().await {
            Ok(workload) => return Some(workload),
            Err(error) => report.waiting("CreateContainerError", &format!("listening: {error}")),
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = deletion.asked() => return None,
        }
    }
}

/// How long a server stays after its deletion.
struct Times {
    pre_stop: Duration,
    drain: Duration,
}

/// Serves and probes until the deletion and through its draining; returns the exit code.
async fn serve(
    report: &Report,
    workload: Workload,
    probe: Option<ReadinessProbe>,
    probes: &ProbeClient,
    ip: Ipv4Addr,
    times: Times,
    deletion: &mut Deletion,
) -> u8 {
    report.running();
    let probing = async {
        match probe {
            Some(probe) => {
                probe
                    .run(probes, ip.into(), |ready| report.ready(ready))
                    .await;
            }
            None => report.ready(true),
        }
        std::future::pending::<()>().await;
    };
    let draining = async {
        let grace = deletion.asked().await;
        let deleted = Instant::now();
        let timetable = Timetable::new(grace, times.pre_stop, times.drain);
        sleep_until(deleted + timetable.close).await;
        deleted + timetable.kill
    };
    let kill_at = tokio::select! {
        kill_at = draining => kill_at,
        () = probing => return SIGKILLED,
    };
    if workload.close(kill_at).await {
        0
    } else {
        SIGKILLED
    }
}

/// Runs a program that ends, again if the policy says so; returns the last exit code.
async fn run_script(
    report: &Report,
    script: Script,
    policy: RestartPolicy,
    deletion: &mut Deletion,
) -> u8 {
    loop {
        report.running();
        tokio::select! {
            () = sleep(script.sleep) => {}
            _ = deletion.asked() => return SIGTERMED,
        }
        if !policy.restarts_after(script.exit_code) {
            return script.exit_code;
        }
        let pause = restart_backoff(report.crashed(script.exit_code));
        report.waiting(
            "CrashLoopBackOff",
            &format!("back-off {} s restarting failed container", pause.as_secs()),
        );
        tokio::select! {
            () = sleep(pause) => {}
            _ = deletion.asked() => return SIGKILLED,
        }
    }
}

async fn fail_to_pull(report: &Report, spec: &PodSpec, deletion: &mut Deletion) -> u8 {
    let image = spec
        .containers
        .first()
        .and_then(|container| container.image.as_deref())
        .unwrap_or_default();
    report.waiting(
        "ErrImagePull",
        &format!("failed to pull image {image:?}: not found"),
    );
    tokio::select! {
        () = sleep(PAUSE) => report.waiting("ImagePullBackOff", &format!("back-off pulling image {image:?}")),
        _ = deletion.asked() => return SIGKILLED,
    }
    deletion.asked().await;
    SIGKILLED
}
