//! What is told of a pass beside the status: Events, logs and metrics.
//!
//! Not here: what there is to tell (`decide`).

use super::{
    controller::Context,
    decision::{Decision, Note},
    snapshot::Snapshot,
};
use crate::{
    api::{names::Kind, object::CachedObject, rollout_status::Phase, strategy::Declared},
    runtime::{
        events,
        instruments::{ReplicaCounts, RolloutSample},
    },
};

/// Tells of an edge, or of an action.
pub(super) fn publish(note: &Note, rollout: &CachedObject, context: &Context) {
    tracing::info!(
        namespace = rollout.namespace(),
        rollout = rollout.name(),
        reason = note.reason,
        "{}",
        note.message
    );
    let regarding = rollout.reference(&context.writer.names, Kind::Rollout);
    context.events.publish(events::Note::about(
        regarding,
        note.warning,
        note.reason,
        &note.message,
    ));
}

/// Shows how the Rollout stands.
pub(super) fn sample(snapshot: &Snapshot, decision: &Decision, context: &Context) {
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    let status = &decision.status;
    let desired = snapshot
        .rollout
        .spec
        .as_ref()
        .map_or(0, super::super::api::rollout::RolloutSpec::desired_replicas);
    let weight = status.canary.weights.as_ref().map_or(0, |weights| {
        let all = (weights.canary.weight + weights.stable.weight).max(1);
        weights.canary.weight.saturating_mul(100) / all
    });
    context.instruments.upsert(
        &snapshot.rollout.namespace,
        &snapshot.rollout.name,
        RolloutSample {
            strategy: snapshot
                .rollout
                .spec
                .as_ref()
                .ok()
                .and_then(|spec| spec.strategy.declared())
                .map_or("none", Declared::name),
            phase: status.phase.map_or("Unknown", Phase::name),
            weight: count(weight),
            replicas: ReplicaCounts {
                desired: count(desired),
                updated: count(status.updated_replicas),
                ready: count(status.ready_replicas),
                available: count(status.available_replicas),
            },
        },
    );
}
