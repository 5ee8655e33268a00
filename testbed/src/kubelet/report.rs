//! Writes a pod's status, and at the end removes the pod, until the API server has taken it.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::job::RestartPolicy;
use super::status::{Ended, Facts, State, patch};
use crate::clock::now;

/// Between two attempts while the API server does not answer.
const RETRY: Duration = Duration::from_millis(250);

/// Who a pod is, for writing to it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: a later pod of the same name is another pod.
    pub uid: String,
    /// Its containers' names and images.
    pub containers: Vec<(String, String)>,
    /// Its restart policy.
    pub policy: RestartPolicy,
}

/// A pod's status as known here; every change is written soon, in order, the newest last.
#[derive(Debug)]
pub struct Report {
    facts: watch::Sender<Facts>,
    writer: AbortOnDropHandle<()>,
}

impl Report {
    /// Reports a pod that was just taken on.
    pub fn start(client: kube::Client, pod: Identity, ip: Ipv4Addr) -> Self {
        let (facts, changes) = watch::channel(Facts::accepted(ip, now()));
        let api = Api::namespaced(client, &pod.namespace);
        let writer = AbortOnDropHandle::new(tokio::spawn(write_all(api, pod, changes)));
        Self { facts, writer }
    }

    /// Changes what is known; written only if it differs.
    pub fn change(&self, change: impl FnOnce(&mut Facts, Timestamp)) {
        self.facts.send_if_modified(|facts| {
            let before = facts.clone();
            change(facts, now());
            *facts != before
        });
    }

    /// The container does not run.
    pub fn waiting(&self, reason: &'static str, message: &str) {
        self.change(|facts, now| {
            facts.set_ready(false, now);
            facts.state = State::Waiting {
                reason,
                message: message.to_owned(),
            };
        });
    }

    /// The container runs, not ready yet.
    pub fn running(&self) {
        self.change(|facts, now| facts.state = State::Running(now));
    }

    /// The container is ready, or no longer.
    pub fn ready(&self, ready: bool) {
        self.change(|facts, now| facts.set_ready(ready, now));
    }

    /// The container ended and will be started again: how often that happened by then.
    pub fn crashed(&self, exit_code: u8) -> u32 {
        self.change(|facts, now| {
            facts.last = Some(facts.end(exit_code, now));
            facts.restarts += 1;
        });
        self.facts.borrow().restarts
    }

    /// The container ended for good; returns when the API server knows.
    pub async fn finish(self, exit_code: u8) {
        self.change(|facts, now| {
            // What ended before keeps its own end.
            if !matches!(facts.state, State::Terminated(Ended { .. })) {
                facts.end(exit_code, now);
            }
            facts.finished = true;
        });
        if let Err(error) = self.writer.await
            && error.is_panic()
        {
            tracing::error!(%error, "writing a pod's status");
        }
    }
}

async fn write_all(api: Api<Pod>, pod: Identity, mut changes: watch::Receiver<Facts>) {
    loop {
        let facts = changes.borrow_and_update().clone();
        let patch = Patch::Strategic(patch(&pod.uid, &pod.containers, pod.policy, &facts));
        match api
            .patch_status(&pod.name, &PatchParams::default(), &patch)
            .await
        {
            Ok(_) if facts.finished => return,
            Ok(_) => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            Err(error) if is_gone(&error) => return,
            Err(error) => {
                // Also a conflict: another pod has the name by now (the watch will tell) or a writer was faster.
                tracing::warn!(pod = pod.name, %error, "writing the status, will try again");
                sleep(RETRY).await;
            }
        }
    }
}

/// Removes the pod from the API: its containers have ended. Only this very pod, never a successor of its name.
pub async fn remove(client: kube::Client, pod: &Identity) {
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: Some(pod.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    loop {
        match api.delete(&pod.name, &parameters).await {
            Ok(_) => return,
            Err(error) if is_gone(&error) => return,
            Err(error) => {
                tracing::warn!(pod = pod.name, %error, "removing the pod, will try again");
                sleep(RETRY).await;
            }
        }
    }
}

/// Whether the API server says that there is no such object.
pub fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}
