//! What a reconcile has to know of those before it.
//!
//! Not here: what was written (`runtime::write_log`).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    rollout::{
        observe::Memory,
        snapshot::{Refusal, RefusalKind},
    },
    runtime::client::Failure,
};

/// A name that somebody else has is asked for again: of an object without our label no watch tells that it is gone.
const TAKEN_AGAIN: Duration = Duration::from_secs(15);

/// Of which Rollout, with which spec. What was learnt of another spec does not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub(super) uid: &'a str,
    pub(super) generation: i64,
}

/// What is remembered between reconciles, per Rollout. All of it can be lost: it is learnt again.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<String, Remembered>>);

#[derive(Clone, Debug, Default)]
struct Remembered {
    generation: i64,
    memory: Memory,
    /// When the name of `memory.taken` was found taken.
    taken_at: Option<Instant>,
    /// Since when a change of mere counts waits to be written.
    counts_wait_since: Option<Instant>,
}

impl Memories {
    fn with<T>(&self, of: Of<'_>, change: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(of.uid.to_owned()).or_default();
        if entry.generation != of.generation {
            let since = entry.memory.since;
            *entry = Remembered {
                generation: of.generation,
                ..Remembered::default()
            };
            entry.memory.since = since;
        }
        change(entry)
    }

    /// What the next decision has to know. A taken name is forgotten after a while, so that it is tried again.
    pub(super) fn recall(&self, of: Of<'_>, now: jiff::Timestamp) -> Memory {
        self.with(of, |remembered| {
            remembered.memory.since.get_or_insert(now);
            if left_of(remembered.taken_at).is_some_and(|left| left.is_zero()) {
                remembered.memory.taken = None;
                remembered.taken_at = None;
            }
            remembered.memory.clone()
        })
    }

    /// When a taken name is to be tried again, if one is remembered.
    pub(super) fn try_again(&self, of: Of<'_>) -> Option<Duration> {
        self.with(of, |remembered| left_of(remembered.taken_at))
    }

    /// The API server did not create the ReplicaSet `name`.
    pub(super) fn refused(&self, of: Of<'_>, name: &str, failure: Failure) {
        let refusal = |kind, message| Some(Refusal { kind, message });
        self.with(of, |remembered| match failure {
            Failure::Invalid(message) => {
                remembered.memory.refusal = refusal(RefusalKind::Invalid, message);
            }
            Failure::Forbidden(message) => {
                remembered.memory.refusal = refusal(RefusalKind::Forbidden, message);
            }
            Failure::AlreadyExists => {
                remembered.memory.taken = Some(name.to_owned());
                remembered.taken_at = Some(Instant::now());
            }
            Failure::Conflict | Failure::NotFound | Failure::Transient(_) => {}
        });
    }

    /// The API server has created the ReplicaSet: what it refused before is over.
    pub(super) fn created(&self, of: Of<'_>) {
        self.with(of, |remembered| {
            remembered.taken_at = None;
            remembered.memory = Memory {
                since: remembered.memory.since,
                ..Memory::default()
            };
        });
    }

    /// How long a change of mere counts has waited to be written, from now on if none did.
    pub(super) fn counts_wait(&self, of: Of<'_>) -> Duration {
        self.with(of, |remembered| {
            let since = remembered
                .counts_wait_since
                .get_or_insert_with(Instant::now);
            since.elapsed()
        })
    }

    /// No change of mere counts waits any more.
    pub(super) fn counts_written(&self, of: Of<'_>) {
        self.with(of, |remembered| remembered.counts_wait_since = None);
    }

    /// Forgets Rollouts that are gone.
    pub fn retain(&self, is_live: impl Fn(&str) -> bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|uid, _| is_live(uid));
    }
}

fn left_of(taken_at: Option<Instant>) -> Option<Duration> {
    taken_at.map(|at| TAKEN_AGAIN.saturating_sub(at.elapsed()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_taken_name_is_tried_again_after_a_while() {
        let (memories, begun) = (Memories::default(), Timestamp::UNIX_EPOCH);
        let of = Of {
            uid: "a",
            generation: 1,
        };
        memories.refused(of, "demo-x", Failure::AlreadyExists);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!(memories.recall(of, begun).taken.as_deref(), Some("demo-x"));
        assert_eq!(memories.try_again(of), Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(memories.recall(of, begun).taken, None);
        assert_eq!(memories.try_again(of), None);
    }

    #[test]
    fn what_was_learnt_of_another_spec_does_not_count() {
        let memories = Memories::default();
        let of = |generation| Of {
            uid: "a",
            generation,
        };
        let begun = Timestamp::UNIX_EPOCH;
        memories.recall(of(1), begun);
        memories.refused(of(1), "demo-x", Failure::Invalid("no".to_owned()));
        assert!(memories.recall(of(1), begun).refusal.is_some());
        let after = memories.recall(of(2), Timestamp::MAX);
        assert_eq!((after.refusal, after.since), (None, Some(begun)));
    }
}
