//! Nodes: where pods are, and what becomes of them when a node is lost. It answers nobody from then on; some time later its
//! pods are not ready any more, then they are deleted, and at last the node is back, empty.
//!
//! Nodes are no objects here: nobody looks at them.

use serde_json::{Value, json};

use super::{Due, kubelet};
use crate::sim::{
    nature::Span,
    store::{Author, Key},
    world::World,
};

/// How long nobody knows.
const UNNOTICED: Span = Span::millis(5_000, 40_000);
/// How long its pods are kept.
const TOLERATED: Span = Span::millis(10_000, 60_000);
/// How long it takes until it is back.
const AWAY: Span = Span::millis(30_000, 120_000);

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It does not answer any more. The last node is never lost.
    Lost,
    /// That is known.
    Noticed,
    /// Its pods are deleted.
    Evicted,
    /// It is back.
    Back,
}

/// Whether the pod is on a node that nobody here keeps.
pub(in crate::sim) fn is_elsewhere(world: &World, pod: &Value) -> bool {
    let ours = |node: &str| (0..world.nature.nodes.max(1)).any(|index| name(index) == node);
    pod["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !ours(node))
}

/// The name of a node that is there, for a new pod.
pub(super) fn assign(world: &mut World) -> String {
    let there: Vec<u32> = (0..world.nature.nodes.max(1))
        .filter(|node| !world.actors.lost_nodes.contains(node))
        .collect();
    let index = world.random.usize(0..there.len().max(1));
    name(there.get(index).copied().unwrap_or(0))
}

fn name(node: u32) -> String {
    format!("node-{node}")
}

/// Whether the node of this pod is lost.
pub(super) fn is_lost(world: &World, pod: &Value) -> bool {
    let mut lost = world.actors.lost_nodes.iter();
    lost.any(|node| pod["spec"]["nodeName"] == name(*node).as_str())
}

pub(super) fn step(world: &mut World, node: u32, step: Step) {
    let next = match step {
        Step::Lost => {
            let all = usize::try_from(world.nature.nodes).unwrap_or(usize::MAX);
            if node >= world.nature.nodes
                || world.actors.lost_nodes.len() + 1 >= all
                || !world.actors.lost_nodes.insert(node)
            {
                return;
            }
            world.note(format_args!("node {node} is lost"));
            (UNNOTICED, Step::Noticed)
        }
        Step::Noticed => (TOLERATED, Step::Evicted),
        Step::Evicted => (AWAY, Step::Back),
        Step::Back => {
            world.actors.lost_nodes.remove(&node);
            return world.note(format_args!("node {node} is back"));
        }
    };
    for key in pods_on(world, node) {
        let Some(mut pod) = world.store.get(&key).cloned() else {
            continue;
        };
        match step {
            Step::Lost => kubelet::set(&mut pod, "brokeAt", Some(world.now())),
            Step::Noticed if kubelet::is_ready(&pod) => kubelet::fall(world, &mut pod),
            Step::Noticed | Step::Back => {}
            Step::Evicted => {
                kubelet::end(world, &key);
                continue;
            }
        }
        world.commit(&Author::cluster(), &key, pod);
    }
    let after = world.draw(next.0);
    world.plan(after, Due::Node(node, next.1));
}

fn pods_on(world: &World, node: u32) -> Vec<Key> {
    let node = json!(name(node));
    world
        .store
        .list("pods")
        .filter(|(_, pod)| pod["spec"]["nodeName"] == node)
        .map(|(key, _)| key.clone())
        .collect()
}
