//! One reconcile of a Rollout: observe → decide → act → write the status → tell.
//!
//! Not here: the watches that start one (`crate::controller`) and any decision.

mod pods;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::runtime::controller::Action as Requeue;
use tokio::time::Instant;

use super::{
    act::{ActError, Acted, Writer},
    decide::{decide, note_of_action, wants_pods},
    decision::{Action, Decision, Next},
    memories::{Memories, Remembered},
    observe::{Memory, observe},
    own_writes,
    snapshot::{Refusal, RefusalKind, Snapshot},
    status::{self, FOLLOW, Pending, SETTLE, Weight, Written},
    tell::{publish, sample},
};
use crate::{
    api::{names::Kind, object::CachedObject, rollout_status::RolloutStatus},
    caches::Caches,
    runtime::{
        backoff::Backoff, client::Failure, clock::Clock, events::EventSink,
        instruments::Instruments,
    },
};

/// Looks again although a watch should wake us, for the case that it does not.
const BEHIND: Duration = Duration::from_secs(2);

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
    let result = Box::pin(pass(&rollout, &context)).await;
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
    let labels = kube::Resource::meta(rollout).labels.as_ref();
    if !context.writer.names.serves(labels) {
        return Ok(Requeue::await_change());
    }
    if !own_writes::are_settled(rollout, &context.writer, &context.caches).await? {
        return Ok(Requeue::requeue(BEHIND));
    }
    let generation = kube::Resource::meta(rollout).generation.unwrap_or(0);
    let now = context.clock.now();
    let (mut snapshot, stored) = look(rollout, context, now)?;
    if wants_pods(&snapshot) {
        let pods = pods::list(&snapshot, context).await?;
        snapshot.attach_pods(pods);
    }
    let mut decision = decide(&snapshot);
    if !decision.actions.is_empty()
        && let Some(patch) = status::difference(&stored, &snapshot.rollout.status)
        && status::weight(&patch, &snapshot.rollout.status) >= Weight::Traffic
    {
        // Nothing rests on where traffic may go before that is on record. The write wakes us.
        put_status(rollout, patch, context).await?;
        return Ok(Requeue::requeue(BEHIND));
    }
    if !decision.actions.is_empty() && !has_caught_up(rollout, context).await? {
        return Ok(Requeue::requeue(BEHIND));
    }
    let (mut failed, mut acted, mut refused) = (None, false, None);
    for action in &decision.actions {
        match carry_out(action, &snapshot, context).await {
            Ok(Acted::Done) => {
                acted = true;
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
                if let Some(refusal) = pods::refused_eviction(action, &error, now) {
                    // Nothing else waits for it; the next look tells it.
                    context
                        .memories
                        .with(rollout.uid(), generation, |remembered| {
                            remembered.memory.eviction_refused = Some(refusal);
                        });
                    refused = Some(BEHIND);
                    continue;
                }
                remember(action, &error, rollout, generation, context);
                failed = Some(error);
                break;
            }
        }
    }
    if failed.is_none()
        && let Some(wait) = learn(&decision, acted, rollout, generation, context)
    {
        return Ok(Requeue::requeue(wait));
    }
    let unanswered = |error: &ActError| matches!(error.failure(), Failure::Transient(_));
    let written = match &failed {
        _ if acted => Written::Yes,
        Some(error) if unanswered(error) => Written::Perhaps,
        Some(_) | None => Written::No,
    };
    let ended = (written, context.clock.now());
    status::settle_change_of_weight(&mut decision.status, &stored, now, ended);
    // The status follows from what was observed, not from what was just written: it is right also after a failure.
    let follows = acted && failed.is_none();
    let settle = write_status(rollout, &stored, &decision, follows, context).await?;
    for note in &decision.notes {
        publish(note, rollout, context);
    }
    sample(&snapshot, &decision, context);
    if let Some(error) = failed {
        return Err(error);
    }
    let is_read = |action: &Action| matches!(action, Action::ReadPodTemplate { .. });
    if decision.actions.iter().any(is_read) {
        return Ok(Requeue::requeue(Duration::ZERO));
    }
    let again = context.memories.try_again(rollout.uid(), generation);
    Ok(requeue(&decision, &snapshot, [settle, again, refused]))
}

/// What there is, with what is remembered of it; and the status that is stored.
fn look(
    rollout: &CachedObject,
    context: &Context,
    now: Timestamp,
) -> Result<(Snapshot, RolloutStatus), ActError> {
    let Context {
        memories,
        caches,
        writer,
        ..
    } = context;
    let uid = rollout.uid();
    let generation = kube::Resource::meta(rollout).generation.unwrap_or(0);
    let memory = memories.recall(uid, generation, now);
    let mut snapshot = observe(rollout, caches, &writer.names, &memory, now)?;
    let pending = memories.with(uid, generation, |remembered| {
        let services = snapshot.services.values();
        let emptied = services.filter_map(|service| Some((service.name.clone(), service.emptied?)));
        remembered.memory.emptied = emptied.collect();
        remembered.pending.take()
    });
    let stored = snapshot.rollout.status.clone();
    // If somebody else has written since, what was decided before is decided anew.
    if let Some(pending) = pending
        && pending.resource_version == rollout.resource_version()
    {
        snapshot.rollout.status = pending.status;
    }
    Ok((snapshot, stored))
}

/// Whether the cache has the status that was last written. A process that takes over has followed watches that may be late, and
/// the one before it may have promoted meanwhile: before it does anything for a Rollout, it asks once.
async fn has_caught_up(rollout: &CachedObject, context: &Context) -> Result<bool, ActError> {
    let uid = rollout.uid();
    if context.memories.has_caught_up(uid) {
        return Ok(true);
    }
    let (namespace, name) = (rollout.namespace(), rollout.name());
    let newest = context.writer.newest_rollout(namespace, name).await?;
    let same = |newest: &CachedObject| newest.resource_version() == rollout.resource_version();
    let is_newest = newest.is_some_and(|newest| same(&newest));
    if is_newest {
        context.memories.catch_up(uid);
    }
    Ok(is_newest)
}

/// Keeps what actions that were carried out have told. Returns when to look again, if nothing else was decided.
fn learn(
    decision: &Decision,
    acted: bool,
    rollout: &CachedObject,
    generation: i64,
    context: &Context,
) -> Option<Duration> {
    let created = |action: &Action| matches!(action, Action::CreateReplicaSet { .. });
    let keep = |change: &dyn Fn(&mut Remembered)| {
        context.memories.with(rollout.uid(), generation, change);
    };
    if decision.actions.iter().any(created) {
        keep(&|remembered| {
            remembered.taken_at = None;
            remembered.memory = Memory {
                since: remembered.memory.since,
                emptied: std::mem::take(&mut remembered.memory.emptied),
                ..Memory::default()
            };
        });
    }
    let [Action::RecogniseReplicaSet { hash, .. }] = &decision.actions[..] else {
        return None;
    };
    // The ReplicaSet says it now; or none has this pod template, and it is a new one.
    let nothing = (!acted).then(|| hash.clone());
    keep(&|remembered| remembered.memory.compared.clone_from(&nothing));
    Some(if acted { BEHIND } else { Duration::ZERO })
}

async fn carry_out(
    action: &Action,
    snapshot: &Snapshot,
    context: &Context,
) -> Result<Acted, ActError> {
    let namespace = &snapshot.rollout.namespace;
    // Objects that we created and no cache shows yet are not seen by `shows_own_writes`.
    if let Some((kind, name)) = action.created()
        && !context
            .writer
            .write_log
            .caught_up(kind, namespace, name, None, Instant::now())
    {
        return Ok(Acted::Nothing);
    }
    let (uid, generation) = (&snapshot.rollout.uid, snapshot.rollout.generation);
    if let Action::ReadPodTemplate { name } = action {
        let template = context.writer.pod_template(namespace, name).await?;
        context.memories.with(uid, generation, |remembered| {
            let known = &mut remembered.memory.pod_templates;
            known.insert(name.clone(), template);
        });
        return Ok(Acted::Nothing);
    }
    let acted = context
        .writer
        .act(action, namespace, uid, &context.caches)
        .await?;
    if matches!(action, Action::CreateExperiment { .. }) {
        // They are large, and were for this one.
        context.memories.with(uid, generation, |remembered| {
            remembered.memory.pod_templates.clear();
        });
    }
    Ok(acted)
}

/// Keeps what the next decision has to know about a refusal.
fn remember(
    action: &Action,
    error: &ActError,
    rollout: &CachedObject,
    generation: i64,
    context: &Context,
) {
    let (Action::CreateReplicaSet { name, .. } | Action::RecogniseReplicaSet { hash: name, .. }) =
        action
    else {
        return;
    };
    let change = |remembered: &mut Remembered| match error.failure() {
        Failure::Invalid(message) => {
            remembered.memory.refusal = Some(Refusal {
                kind: RefusalKind::Invalid,
                message,
            });
        }
        Failure::Forbidden(message) => {
            remembered.memory.refusal = Some(Refusal {
                kind: RefusalKind::Forbidden,
                message,
            });
        }
        Failure::AlreadyExists => {
            remembered.memory.taken = Some(name.clone());
            remembered.taken_at = Some(Instant::now());
        }
        Failure::Conflict | Failure::NotFound | Failure::Transient(_) => {}
    };
    context.memories.with(rollout.uid(), generation, change);
}

/// Writes the status if it changed, unless it may wait; returns for how long. When something was carried out that makes us
/// look again, that look `follows`.
async fn write_status(
    rollout: &CachedObject,
    stored: &RolloutStatus,
    decision: &Decision,
    follows: bool,
    context: &Context,
) -> Result<Option<Duration>, ActError> {
    let generation = kube::Resource::meta(rollout).generation.unwrap_or(0);
    let patch = status::difference(stored, &decision.status);
    let weight = patch.as_ref().map_or(Weight::Idle, |patch| {
        status::weight(patch, &decision.status)
    });
    let left = |limit: Duration, remembered: &mut Remembered| {
        let now = Instant::now();
        let since = *remembered.waits_since.get_or_insert(now);
        limit.saturating_sub(now.duration_since(since))
    };
    let wait = context
        .memories
        .with(rollout.uid(), generation, |remembered| match weight {
            Weight::Idle => {
                remembered.waits_since = None;
                None
            }
            Weight::Counts => Some(left(SETTLE, remembered)),
            Weight::Told => Some(left(FOLLOW, remembered)),
            Weight::Traffic if follows => Some(FOLLOW),
            Weight::Traffic | Weight::Decided => Some(Duration::ZERO),
        });
    let (Some(patch), Some(wait)) = (patch, wait) else {
        return Ok(None);
    };
    if !wait.is_zero() {
        if weight > Weight::Counts {
            let pending = Pending {
                resource_version: rollout.resource_version().to_owned(),
                status: decision.status.clone(),
            };
            context
                .memories
                .with(rollout.uid(), generation, |remembered| {
                    remembered.pending = Some(pending);
                });
        }
        return Ok(Some(wait));
    }
    put_status(rollout, patch, context).await?;
    context
        .memories
        .with(rollout.uid(), generation, |remembered| {
            remembered.waits_since = None;
        });
    Ok(None)
}

/// Writes what differs in the status. Without an answer nobody knows which status the Rollout has: it is asked for before anything
/// else is done.
async fn put_status(
    rollout: &CachedObject,
    difference: serde_json::Value,
    context: &Context,
) -> Result<(), ActError> {
    let writer = &context.writer;
    let written = writer
        .write_status(Kind::Rollout, rollout, difference)
        .await;
    if let Err(error) = &written
        && matches!(error.failure(), Failure::Transient(_))
    {
        context.memories.fall_behind(rollout.uid());
    }
    written
}

fn requeue(decision: &Decision, snapshot: &Snapshot, own: [Option<Duration>; 3]) -> Requeue {
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
