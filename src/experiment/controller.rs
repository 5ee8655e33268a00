//! One reconcile of an Experiment: observe → decide → act → write the status → tell.
//!
//! Not here: the watches that start one (`crate::controller`) and any decision.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::runtime::controller::Action as Requeue;
use tokio::time::Instant;

use super::{
    decide::{decide, note_of_action},
    decision::ExperimentDecision,
    observe::{UnreadableExperiment, observe},
    snapshot::{ExperimentSnapshot, Refused},
};
use crate::{
    api::{experiment::ExperimentStatus, merge_patch, names::Kind, object::CachedObject},
    caches::{self, Caches},
    rollout::{
        act::{ActError, Acted, Writer},
        decision::{Action, Next, Note},
    },
    runtime::{
        backoff::Backoff,
        client::Failure,
        clock::Clock,
        events::{self, EventSink},
        instruments::Instruments,
    },
};

/// Looks again although a watch should wake us, for the case that it does not.
const BEHIND: Duration = Duration::from_secs(2);
const KIND: &str = "Experiment";

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
    /// What the API server refused.
    pub refusals: Refusals,
}

/// What the API server refused, per Experiment and for one generation of it. It can be lost: it is learnt again.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<String, OfOneGeneration>>);

type OfOneGeneration = (i64, BTreeMap<String, Refused>);

impl Refusals {
    fn with<T>(
        &self,
        experiment: &CachedObject,
        change: impl FnOnce(&mut BTreeMap<String, Refused>) -> T,
    ) -> T {
        let generation = kube::Resource::meta(experiment).generation.unwrap_or(0);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(experiment.uid().to_owned()).or_default();
        if entry.0 != generation {
            *entry = (generation, BTreeMap::new());
        }
        change(&mut entry.1)
    }

    /// Forgets Experiments that are gone.
    pub fn retain(&self, is_live: impl Fn(&str) -> bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|uid, _| is_live(uid));
    }
}

/// Why a reconcile did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Something could not be written.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The Experiment cannot be decided on.
    #[error(transparent)]
    Unreadable(#[from] UnreadableExperiment),
}

impl ReconcileError {
    fn failure(&self) -> Failure {
        match self {
            Self::Act(error) => error.failure(),
            Self::Unreadable(error) => Failure::Invalid(error.to_string()),
        }
    }
}

/// One reconcile.
pub async fn reconcile(
    experiment: Arc<CachedObject>,
    context: Arc<Context>,
) -> Result<Requeue, ReconcileError> {
    let started = Instant::now();
    let result = pass(&experiment, &context).await;
    let outcome = if result.is_ok() { "ok" } else { "error" };
    context
        .instruments
        .reconciled(KIND, outcome, started.elapsed());
    if result.is_ok() {
        context.backoff.reset(&key(&experiment));
    }
    result
}

fn key(experiment: &CachedObject) -> (String, String) {
    (
        experiment.namespace().to_owned(),
        experiment.name().to_owned(),
    )
}

/// What happens after a failed reconcile.
pub fn after_failure(
    experiment: &CachedObject,
    error: &ReconcileError,
    context: &Context,
) -> Requeue {
    let failure = error.failure();
    context
        .instruments
        .reconcile_failed(KIND, failure.category());
    if failure == Failure::Conflict {
        // The cache was behind: its next event wakes us.
        return Requeue::requeue(BEHIND);
    }
    tracing::warn!(
        namespace = experiment.namespace(),
        experiment = experiment.name(),
        "{error}"
    );
    Requeue::requeue(context.backoff.failed(&key(experiment), 0.5))
}

async fn pass(experiment: &CachedObject, context: &Context) -> Result<Requeue, ReconcileError> {
    let labels = kube::Resource::meta(experiment).labels.as_ref();
    if !context.writer.names.serves(labels) {
        return Ok(Requeue::await_change());
    }
    if !shows_own_writes(experiment, context) {
        return Ok(Requeue::requeue(BEHIND));
    }
    let sets = &context.caches.replica_sets;
    if context.writer.supersede(sets, experiment.uid()).await? {
        return Ok(Requeue::requeue(BEHIND));
    }
    let now = context.clock.now();
    let refusals = context
        .refusals
        .with(experiment, |refusals| refusals.clone());
    let names = &context.writer.names;
    let snapshot = observe(experiment, &context.caches, names, &refusals, now)?;
    let decision = decide(&snapshot);
    let mut failed = None;
    for action in &decision.actions {
        let outcome = carry_out(action, &snapshot, context).await;
        if let (Ok(_), Some((_, name))) = (&outcome, action.created()) {
            context
                .refusals
                .with(experiment, |refusals| refusals.remove(name));
        }
        match outcome {
            Ok(Acted::Done) => {
                context.instruments.acted(action.name(), "done");
                if let Some(note) = note_of_action(action, &snapshot) {
                    publish(&note, experiment, context);
                }
            }
            Ok(Acted::Nothing) => context.instruments.acted(action.name(), "nothing"),
            Err(error) => {
                let category = error.failure().category();
                context.instruments.acted(action.name(), category);
                let again = remember(action, &error, experiment, context);
                failed = Some((error, again));
                break;
            }
        }
    }
    let outdated = forget_refusals(experiment, &decision, context);
    // The status follows from what was observed, not from what was just written: it is right also after a failure.
    let stored = &snapshot.experiment.status;
    if let Some(patch) = difference(stored, &decision.status) {
        context
            .writer
            .write_status(Kind::Experiment, experiment, patch)
            .await?;
    }
    for note in &decision.notes {
        publish(note, experiment, context);
    }
    match failed {
        Some((_, Again::Never)) => Ok(Requeue::requeue(Duration::ZERO)),
        Some((error, Again::Later)) => Err(error.into()),
        // What has just been told rests on them.
        None if outdated => Ok(Requeue::requeue(Duration::ZERO)),
        None => Ok(requeue(&decision, &snapshot)),
    }
}

/// Forgets refusals of what is there by now, or is not wanted any more: nobody asks for it. What is not valid is not asked
/// for because of its refusal. Returns whether there was one.
fn forget_refusals(
    experiment: &CachedObject,
    decision: &ExperimentDecision,
    context: &Context,
) -> bool {
    let asked = |name: &str| {
        let mut created = decision.actions.iter().filter_map(Action::created);
        created.any(|(_, created)| created == name)
    };
    context.refusals.with(experiment, |refusals| {
        let before = refusals.len();
        refusals.retain(|name, refused| match refused {
            Refused::Invalid(_) => true,
            Refused::Forbidden(_) | Refused::Taken => asked(name),
        });
        refusals.len() < before
    })
}

/// Whether what has failed is to be tried again.
enum Again {
    /// It would be refused again; the next decision knows.
    Never,
    /// With the next look.
    Later,
}

fn difference(stored: &ExperimentStatus, new: &ExperimentStatus) -> Option<serde_json::Value> {
    if stored == new {
        return None;
    }
    let json = |status| serde_json::to_value(status).unwrap_or_default();
    merge_patch::difference(&json(stored), &json(new))
}

/// Whether the caches show everything we wrote for this Experiment: deciding on less would decide it twice.
fn shows_own_writes(experiment: &CachedObject, context: &Context) -> bool {
    let log = &context.writer.write_log;
    let shows = |kind: &str, object: &CachedObject| caches::shows_own_write(log, kind, object);
    let caches = &context.caches;
    shows(KIND, experiment)
        && [
            ("ReplicaSet", &caches.replica_sets),
            ("Service", &caches.services),
            ("AnalysisRun", &caches.analysis_runs),
        ]
        .into_iter()
        .all(|(kind, store)| {
            let objects = store.owned_by(experiment.uid());
            objects.iter().all(|object| shows(kind, object))
        })
}

async fn carry_out(
    action: &Action,
    snapshot: &ExperimentSnapshot,
    context: &Context,
) -> Result<Acted, ActError> {
    let experiment = &snapshot.experiment;
    // Objects that we created and no cache shows yet are not seen by `shows_own_writes`.
    if let Some((kind, name)) = action.created()
        && !context.writer.write_log.caught_up(
            kind,
            &experiment.namespace,
            name,
            None,
            Instant::now(),
        )
    {
        return Ok(Acted::Nothing);
    }
    let (namespace, uid) = (&experiment.namespace, &experiment.uid);
    context
        .writer
        .act(action, namespace, uid, &context.caches)
        .await
}

/// Keeps what the next decision has to know about a refusal.
fn remember(
    action: &Action,
    error: &ActError,
    experiment: &CachedObject,
    context: &Context,
) -> Again {
    let Some((_, name)) = action.created() else {
        return Again::Later;
    };
    let (refused, again) = match error.failure() {
        Failure::Invalid(message) => (Refused::Invalid(message), Again::Never),
        Failure::Forbidden(message) => (Refused::Forbidden(message), Again::Later),
        Failure::AlreadyExists => (Refused::Taken, Again::Later),
        Failure::Conflict | Failure::NotFound | Failure::Transient(_) => return Again::Later,
    };
    context.refusals.with(experiment, |refusals| {
        refusals.insert(name.clone(), refused);
    });
    again
}

/// Tells of an edge, or of an action. Of its verdicts the Rollout that made it hears too.
fn publish(note: &Note, experiment: &CachedObject, context: &Context) {
    tracing::info!(
        namespace = experiment.namespace(),
        experiment = experiment.name(),
        reason = note.reason,
        "{}",
        note.message
    );
    let names = &context.writer.names;
    let regarding = experiment.reference(names, Kind::Experiment);
    let mut about = vec![regarding];
    let of_a_rollout = experiment
        .controller()
        .filter(|owner| owner.kind == Kind::Rollout.name());
    if let Some(owner) = of_a_rollout.filter(|_| note.reason.starts_with("Experiment")) {
        about.push(k8s_openapi::api::core::v1::ObjectReference {
            api_version: Some(owner.api_version.clone()),
            kind: Some(owner.kind.clone()),
            name: Some(owner.name.clone()),
            namespace: Some(experiment.namespace().to_owned()),
            uid: Some(owner.uid.clone()),
            ..Default::default()
        });
    }
    for regarding in about {
        context.events.publish(events::Note::about(
            regarding,
            note.warning,
            note.reason,
            &note.message,
        ));
    }
}

fn requeue(decision: &ExperimentDecision, snapshot: &ExperimentSnapshot) -> Requeue {
    match decision.next {
        Next::OnChange => Requeue::await_change(),
        Next::At(at) => {
            let left = at.duration_since(snapshot.now);
            // A timer that fires a moment early would find nothing to do.
            let left = Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1);
            Requeue::requeue(left)
        }
    }
}
