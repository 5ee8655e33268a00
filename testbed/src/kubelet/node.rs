//! The node's own objects: Node and Lease, and their heartbeats. Pods are not here.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::clock::now;

/// The node's address; nothing listens there for the node itself.
pub const ADDRESS: &str = "127.0.0.1";
/// Between two heartbeats; the node lifecycle controller waits 40 s for one.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// After a failed heartbeat.
const RETRY: Duration = Duration::from_millis(500);

/// Keeps the node Ready for ever.
pub async fn keep_ready(client: kube::Client, node: String, capacity: usize) {
    let since = now();
    loop {
        match heartbeat(&client, &node, capacity, since).await {
            Ok(()) => sleep(HEARTBEAT).await,
            Err(error) => {
                tracing::warn!(node, %error, "heartbeat, will try again");
                sleep(RETRY).await;
            }
        }
    }
}

async fn heartbeat(
    client: &kube::Client,
    node: &str,
    capacity: usize,
    since: jiff::Timestamp,
) -> kube::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let status = Patch::Strategic(node_status(capacity, since));
    if let Err(error) = nodes
        .patch_status(node, &PatchParams::default(), &status)
        .await
    {
        if !super::report::is_gone(&error) {
            return Err(error);
        }
        create(
            &nodes,
            json!({"metadata": {"name": node, "labels": {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"}}}),
        )
        .await?;
        nodes
            .patch_status(node, &PatchParams::default(), &status)
            .await?;
    }
    let renewed = Patch::Merge(
        json!({"spec": {"holderIdentity": node, "renewTime": format!("{:.6}", now())}}),
    );
    if let Err(error) = leases.patch(node, &PatchParams::default(), &renewed).await {
        if !super::report::is_gone(&error) {
            return Err(error);
        }
        create(
            &leases,
            json!({"metadata": {"name": node}, "spec": {"holderIdentity": node, "leaseDurationSeconds": 40}}),
        )
        .await?;
    }
    Ok(())
}

async fn create<K>(api: &Api<K>, object: Value) -> kube::Result<()>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}

fn node_status(capacity: usize, since: jiff::Timestamp) -> Value {
    let resources = json!({"cpu": "64", "memory": "256Gi", "pods": capacity.to_string()});
    json!({"status": {
        "addresses": [{"type": "InternalIP", "address": ADDRESS}],
        "capacity": resources,
        "allocatable": resources,
        "nodeInfo": {
            "kubeletVersion": "v1.36.3", "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "",
            "osImage": "", "containerRuntimeVersion": "", "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": "amd64",
        },
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "StandIn",
            "lastHeartbeatTime": now(), "lastTransitionTime": since,
        }],
    }})
}
