//! Starts the kubelet stand-in of a control plane and waits for its node. How pods run is in [`crate::kubelet`].

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::{
    kubelet::{Kubelet, Options},
    ports::PortBlock,
};

const READY: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(25);

/// Starts the node. Each port block has pod addresses of its own, for all share one network namespace.
pub(crate) async fn start(client: Client, block: Option<&PortBlock>) -> Result<Kubelet> {
    let mut options = Options::default();
    if let Some(block) = block {
        let subnet = options.subnets.end() + block.number();
        options.subnets = subnet..=subnet;
    }
    let node = options.node.clone();
    let kubelet = Kubelet::start(client.clone(), options);
    let nodes = Api::<Node>::all(client);
    let deadline = Instant::now() + READY;
    while !nodes
        .get_opt(&node)
        .await
        .context("cannot read the node")?
        .is_some_and(|node| is_ready(&node))
    {
        if Instant::now() > deadline {
            bail!("node {node} was not ready after {} s", READY.as_secs());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(kubelet)
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    })
}
