//! A stand-in for the kubelet, without a container engine: it binds pods to its node and runs each as a real
//! HTTP server on an address of its own.
//!
//! Not here: a scheduler that chooses among nodes, volumes, liveness probes, init containers, and more than one
//! program per pod. Works inside the testbed's network namespace, which owns 10.244.0.0/16.

pub mod addresses;

pub mod image_tag;
pub mod job;
mod metrics;
mod node;
mod pod;
pub mod probe;
mod program;
mod report;
pub mod status;
pub mod termination;
mod workload;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use addresses::Addresses;
use pod::Deletion;
use probe::ProbeClient;

/// Between two attempts while the API server does not answer.
const RETRY: Duration = Duration::from_millis(250);

/// Where the pods of one kubelet run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The node's name.
    pub node: String,
    /// Third octets of the node's pod addresses `10.244.x.0/24`, 250 pods in each.
    pub subnets: RangeInclusive<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: "node-1".to_owned(),
            subnets: 1..=15,
        }
    }
}

/// A running kubelet. It and all its pods end when it is dropped.
#[derive(Debug)]
pub struct Kubelet {
    _node: AbortOnDropHandle<()>,
    _pods: AbortOnDropHandle<()>,
}

impl Kubelet {
    /// Starts a node; it keeps trying while the API server is away.
    pub fn start(client: kube::Client, options: Options) -> Self {
        let addresses = Addresses::new(options.subnets);
        let heartbeats =
            node::keep_ready(client.clone(), options.node.clone(), addresses.capacity());
        let node = Node {
            client,
            name: options.node,
            addresses,
            pods: HashMap::new(),
            without_address: VecDeque::new(),
            bound: HashSet::new(),
            probes: ProbeClient::default(),
            tasks: JoinSet::new(),
        };
        Self {
            _node: AbortOnDropHandle::new(tokio::spawn(heartbeats)),
            _pods: AbortOnDropHandle::new(tokio::spawn(node.run())),
        }
    }
}

/// The pods of one node. Its tasks end with it.
struct Node {
    client: kube::Client,
    name: String,
    addresses: Addresses,
    /// By uid.
    pods: HashMap<String, Running>,
    without_address: VecDeque<Pod>,
    /// Uids of pods for which a binding was begun.
    bound: HashSet<String>,
    probes: ProbeClient,
    tasks: JoinSet<()>,
}

struct Running {
    address: Ipv4Addr,
    deletion: watch::Sender<Option<Duration>>,
    task: AbortHandle,
}

impl Node {
    async fn run(mut self) {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let events = watcher::watcher(pods, watcher::Config::default())
            .backoff(Constant)
            .map_err(|error| {
                tracing::warn!(%error, "watching pods, will try again");
            });
        pin_mut!(events);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(pod)) => {
                    listed.extend(pod.uid());
                    self.see(&pod);
                }
                Ok(Event::InitDone) => self.forget_all_but(&listed),
                Ok(Event::Apply(pod)) => self.see(&pod),
                Ok(Event::Delete(pod)) => self.forget(&pod.uid().unwrap_or_default()),
                // Already logged; the watcher lists again.
                Err(()) => {}
            }
            while let Some(ended) = self.tasks.try_join_next() {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    tracing::error!(%error, "a pod's task");
                }
            }
        }
    }

    /// A pod exists or has changed.
    fn see(&mut self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            None => self.bind(pod, uid),
            Some(node) if node != self.name => {}
            Some(_) => {
                self.bound.remove(&uid);
                if !self.pods.contains_key(&uid) && !is_done(pod) {
                    self.start(pod.clone());
                }
                if let (Some(running), Some(grace)) = (self.pods.get(&uid), grace_period(pod)) {
                    running
                        .deletion
                        .send_if_modified(|known| known.replace(grace) != Some(grace));
                }
            }
        }
    }

    fn bind(&mut self, pod: &Pod, uid: String) {
        let gated = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.scheduling_gates.as_ref())
            .is_some_and(|gates| !gates.is_empty());
        if !gated && pod.meta().deletion_timestamp.is_none() && self.bound.insert(uid) {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            self.tasks.spawn(bind(
                self.client.clone(),
                namespace,
                name,
                self.name.clone(),
            ));
        }
    }

    fn start(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        let published = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_deref()?.parse().ok());
        let Some(address) = self.addresses.take(published) else {
            tracing::error!(
                pod = pod.name_any(),
                "no pod address is free: give the kubelet more subnets"
            );
            self.without_address
                .retain(|waiting| waiting.uid() != pod.uid());
            self.without_address.push_back(pod);
            return;
        };
        let (deletion, asked) = watch::channel(None);
        let running = pod::run(
            self.client.clone(),
            self.probes.clone(),
            pod,
            address,
            Deletion::new(asked),
        );
        let task = self.tasks.spawn(running);
        self.pods.insert(
            uid,
            Running {
                address,
                deletion,
                task,
            },
        );
    }

    /// A pod is gone from the API: whatever still runs is cut.
    fn forget(&mut self, uid: &str) {
        self.bound.remove(uid);
        self.without_address
            .retain(|waiting| waiting.uid().as_deref() != Some(uid));
        if let Some(running) = self.pods.remove(uid) {
            running.task.abort();
            self.addresses.release(running.address);
            if let Some(waiting) = self.without_address.pop_front() {
                self.see(&waiting);
            }
        }
    }

    fn forget_all_but(&mut self, listed: &HashSet<String>) {
        let gone: Vec<String> = self
            .pods
            .keys()
            .filter(|uid| !listed.contains(*uid))
            .cloned()
            .collect();
        for uid in gone {
            self.forget(&uid);
        }
    }
}

fn is_done(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// How long a pod that is being deleted may take; `None` while it is not.
fn grace_period(pod: &Pod) -> Option<Duration> {
    pod.meta().deletion_timestamp.as_ref()?;
    let seconds = pod
        .meta()
        .deletion_grace_period_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    Some(Duration::from_secs(seconds.unwrap_or(30)))
}

/// Assigns a pod to the node, as a scheduler would.
async fn bind(client: kube::Client, namespace: String, name: String, node: String) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    loop {
        match pods
            .create_subresource::<_, Value>("binding", &name, &PostParams::default(), &binding)
            .await
        {
            Ok(_) => return,
            // It is bound already, or gone.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                return;
            }
            Err(error) => {
                tracing::warn!(pod = name, %error, "binding, will try again");
                sleep(RETRY).await;
            }
        }
    }
}

/// Watches again at once: a restarted API server should find its node soon, and there is only one such client.
struct Constant;

impl Iterator for Constant {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(RETRY)
    }
}

impl Backoff for Constant {
    fn reset(&mut self) {}
}
