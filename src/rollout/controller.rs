//! One reconcile of a Rollout: observe → decide → act → write the status → tell.
//!
//! Not here: the watches that start one (`crate::controller`) and any decision.

mod memories;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::{controller::Action as Requeue, events::EventType};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    act::{ActError, Acted, Writer},
    decide::{decide, note_of_action},
    decision::{Action, Decision, Next, Note},
    observe::observe,
    snapshot::Snapshot,
};
use crate::{
    api::{
        gateway_api::RouteKind, merge_patch, names::Kind, object::CachedObject,
        rollout_status::Phase, strategy::Declared,
    },
    caches::{self, Caches},
    runtime::{
        backoff::Backoff,
        client::Failure,
        clock::Clock,
        events::{self, EventSink},
        instruments::{Instruments, ReplicaCounts, RolloutSample},
        write_log::Cached,
    },
};

pub use memories::Memories;
use memories::Of;

/// Looks again although a watch should wake us, for the case that it does not.
const BEHIND: Duration = Duration::from_secs(2);
/// How long a change of mere counts may wait for company.
const SETTLE: Duration = Duration::from_secs(1);

/// What every reconcile shares.
pub struct Context {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub caches: Caches,
    /// The clock.
    pub clock: Clock,
    /// Events.
    pub events: EventSink,
    /// Metrics.
    pub instruments: Instruments,
    /// Delays after failures.
    pub backoff: Backoff<(String, String)>,
    /// What the API server said about this Rollout's writes.
    pub memories: Memories,
}

/// One reconcile.
pub async fn reconcile(
    rollout: Arc<CachedObject>,
    context: Arc<Context>,
) -> Result<Requeue, ActError> {
    let started = Instant::now();
    let result = pass(&rollout, &context).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(_) => "error",
    };
    context
        .instruments
        .reconciled("Rollout", outcome, started.elapsed());
    if result.is_ok() {
        context
            .backoff
            .reset(&(rollout.namespace().to_owned(), rollout.name().to_owned()));
    }
    result
}

/// What happens after a failed reconcile.
pub fn after_failure(rollout: &CachedObject, error: &ActError, context: &Context) -> Requeue {
    let failure = error.failure();
    context
        .instruments
        .reconcile_failed("Rollout", failure.category());
    match failure {
        // The cache was behind: its next event wakes us.
        Failure::Conflict => {
            tracing::debug!(
                namespace = rollout.namespace(),
                rollout = rollout.name(),
                "{error}"
            );
            Requeue::requeue(BEHIND)
        }
        Failure::AlreadyExists
        | Failure::NotFound
        | Failure::Invalid(_)
        | Failure::Forbidden(_)
        | Failure::Transient(_) => {
            tracing::warn!(
                namespace = rollout.namespace(),
                rollout = rollout.name(),
                "{error}"
            );
            let key = (rollout.namespace().to_owned(), rollout.name().to_owned());
            Requeue::requeue(context.backoff.failed(&key, 0.5))
        }
    }
}

async fn pass(rollout: &CachedObject, context: &Context) -> Result<Requeue, ActError> {
    let resource = context.writer.names.resource(Kind::Rollout);
    if !shows_own_writes(rollout, context) {
        return Ok(Requeue::requeue(BEHIND));
    }
    let generation = kube::Resource::meta(rollout).generation.unwrap_or(0);
    let now = context.clock.now();
    let of = Of {
        uid: rollout.uid(),
        generation,
    };
    let memory = context.memories.recall(of, now);
    let snapshot = observe(
        rollout,
        &context.caches,
        &context.writer.names,
        &memory,
        now,
    )?;
    let decision = decide(&snapshot);
    let mut failed = None;
    for action in &decision.actions {
        match carry_out(action, &snapshot, context).await {
            Ok(Acted::Done) => {
                context.instruments.acted(action.name(), "done");
                if let Some(note) = note_of_action(action, &snapshot) {
                    publish(&note, rollout, context);
                }
            }
            Ok(Acted::Nothing) => context.instruments.acted(action.name(), "nothing"),
            Err(error) => {
                context
                    .instruments
                    .acted(action.name(), error.failure().category());
                if let Action::CreateReplicaSet { name, .. } = action {
                    context.memories.refused(of, name, error.failure());
                }
                failed = Some(error);
                break;
            }
        }
    }
    if failed.is_none()
        && decision
            .actions
            .iter()
            .any(|action| matches!(action, Action::CreateReplicaSet { .. }))
    {
        context.memories.created(of);
    }
    // The status follows from what was observed, not from what was just written: it is right also after a failure.
    let settle = write_status(rollout, &resource, &snapshot, &decision, context).await?;
    for note in &decision.notes {
        publish(note, rollout, context);
    }
    sample(&snapshot, &decision, context);
    if let Some(error) = failed {
        return Err(error);
    }
    let again = context.memories.try_again(of);
    Ok(requeue(&decision, &snapshot, [settle, again]))
}

/// Whether the caches show everything we wrote for this Rollout: deciding on less would decide it twice.
fn shows_own_writes(rollout: &CachedObject, context: &Context) -> bool {
    let log = &context.writer.write_log;
    let now = Instant::now();
    let shows = |kind: &str, object: &CachedObject| {
        let cached = Cached {
            uid: object.uid(),
            resource_version: object.resource_version(),
        };
        log.caught_up(kind, object.namespace(), object.name(), Some(cached), now)
    };
    let owned = |object: &CachedObject| {
        object
            .controller()
            .is_some_and(|owner| owner.uid == rollout.uid())
    };
    let namespace = rollout.namespace();
    let caches = &context.caches;
    shows("Rollout", rollout)
        && caches::select(&caches.replica_sets, namespace, owned)
            .iter()
            .all(|object| shows("ReplicaSet", object))
        && caches::select(&caches.ingresses, namespace, owned)
            .iter()
            .all(|object| shows("Ingress", object))
        && caches::select(&caches.analysis_runs, namespace, owned)
            .iter()
            .all(|object| shows("AnalysisRun", object))
        && caches::select(&caches.services, namespace, |service| {
            rollout.mentions(service.name())
        })
        .iter()
        .all(|object| shows("Service", object))
        && RouteKind::ALL.into_iter().all(|kind| {
            let named = caches.routes.store(kind).map(|store| {
                caches::select(store, namespace, |route| rollout.mentions(route.name()))
            });
            named
                .iter()
                .flatten()
                .all(|object| shows(kind.name(), object))
        })
}

async fn carry_out(
    action: &Action,
    snapshot: &Snapshot,
    context: &Context,
) -> Result<Acted, ActError> {
    let namespace = &snapshot.rollout.namespace;
    // Objects that we created and no cache shows yet are not seen by `shows_own_writes`.
    let created = match action {
        Action::CreateReplicaSet { name, .. } => Some(("ReplicaSet", name)),
        Action::CreateIngress { name, .. } => Some(("Ingress", name)),
        Action::CreateAnalysisRun { name, .. } => Some(("AnalysisRun", name)),
        Action::PatchReplicaSet { .. }
        | Action::AdoptReplicaSet { .. }
        | Action::DeleteReplicaSet { .. }
        | Action::PinService { .. }
        | Action::PatchIngress { .. }
        | Action::PatchRoute { .. }
        | Action::DeleteIngress { .. }
        | Action::TerminateAnalysisRun { .. }
        | Action::DeleteAnalysisRun { .. } => None,
    };
    if let Some((kind, name)) = created
        && !context
            .writer
            .write_log
            .caught_up(kind, namespace, name, None, Instant::now())
    {
        return Ok(Acted::Nothing);
    }
    context
        .writer
        .act(action, namespace, &snapshot.rollout.uid, &context.caches)
        .await
}

/// Writes the status if it changed. Returns when to come back if only counts changed and they may wait for company.
async fn write_status(
    rollout: &CachedObject,
    resource: &kube::core::ApiResource,
    snapshot: &Snapshot,
    decision: &Decision,
    context: &Context,
) -> Result<Option<Duration>, ActError> {
    let json = |status| serde_json::to_value(status).unwrap_or(Value::Null);
    let of = Of {
        uid: rollout.uid(),
        generation: snapshot.rollout.generation,
    };
    let Some(difference) =
        merge_patch::difference(&json(&snapshot.rollout.status), &json(&decision.status))
    else {
        context.memories.counts_written(of);
        return Ok(None);
    };
    if only_counts(&difference) {
        let left = SETTLE.saturating_sub(context.memories.counts_wait(of));
        if !left.is_zero() {
            return Ok(Some(left));
        }
    }
    context
        .writer
        .write_status(resource, rollout, difference)
        .await?;
    context.memories.counts_written(of);
    Ok(None)
}

/// Whether a status differs in counts only, which change with every pod.
fn only_counts(difference: &Value) -> bool {
    const COUNTS: [&str; 7] = [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "HPAReplicas",
        "progress",
        "waitingFor",
    ];
    difference
        .as_object()
        .is_some_and(|fields| fields.keys().all(|key| COUNTS.contains(&key.as_str())))
}

fn requeue(decision: &Decision, snapshot: &Snapshot, own: [Option<Duration>; 2]) -> Requeue {
    let due = match decision.next {
        Next::OnChange => None,
        Next::At(at) => {
            let left = at.duration_since(snapshot.now);
            // A timer that fires a moment early would find nothing to do.
            Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1))
        }
    };
    match own.into_iter().chain([due]).flatten().min() {
        Some(delay) => Requeue::requeue(delay),
        None => Requeue::await_change(),
    }
}

fn publish(note: &Note, rollout: &CachedObject, context: &Context) {
    tracing::info!(
        namespace = rollout.namespace(),
        rollout = rollout.name(),
        reason = note.reason,
        "{}",
        note.message
    );
    context.events.publish(events::Note {
        regarding: ObjectReference {
            api_version: Some(context.writer.names.api_version()),
            kind: Some(Kind::Rollout.name().to_owned()),
            name: Some(rollout.name().to_owned()),
            namespace: Some(rollout.namespace().to_owned()),
            uid: Some(rollout.uid().to_owned()),
            ..ObjectReference::default()
        },
        related: None,
        severity: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason.to_owned(),
        action: note.reason.to_owned(),
        note: note.message.clone(),
    });
}

fn sample(snapshot: &Snapshot, decision: &Decision, context: &Context) {
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
