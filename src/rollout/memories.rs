//! What is remembered between two reconciles of a Rollout, and what of it is outdated. All of it can be lost: it is learnt again.
//!
//! Not here: what is decided because of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{observe::Memory, status::Pending};

/// A name that somebody else has is asked for again: of an object without our label no watch tells that it is gone.
const TAKEN_AGAIN: Duration = Duration::from_secs(15);

/// What is remembered between reconciles, per Rollout. All of it can be lost: it is learnt again.
#[derive(Debug, Default)]
pub struct Memories {
    rollouts: Mutex<HashMap<String, Remembered>>,
    /// Rollouts of which this process has had the newest status: from then on nobody but this process changes it, and knows what it has
    /// written.
    caught_up: Mutex<HashSet<String>>,
    /// The last look at anything, on both clocks.
    last: Mutex<Option<(Timestamp, Instant)>>,
}

/// A clock that gains so much at once was put forward.
const PUT_FORWARD: Duration = Duration::from_millis(250);

/// Of one Rollout, for one generation of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    generation: i64,
    pub(super) memory: Memory,
    /// When the name of `memory.taken` was found taken.
    pub(super) taken_at: Option<Instant>,
    /// Since when a change of the status waits to be written.
    pub(super) waits_since: Option<Instant>,
    /// A status that waits for the next look.
    pub(super) pending: Option<Pending>,
}

impl Memories {
    pub(super) fn with<T>(
        &self,
        uid: &str,
        generation: i64,
        change: impl FnOnce(&mut Remembered) -> T,
    ) -> T {
        let mut all = self.rollouts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(uid.to_owned()).or_default();
        if entry.generation != generation {
            let memory = Memory {
                since: entry.memory.since,
                emptied: std::mem::take(&mut entry.memory.emptied),
                ..Memory::default()
            };
            *entry = Remembered {
                generation,
                memory,
                ..Remembered::default()
            };
        }
        change(entry)
    }

    /// What the next decision has to know. A taken name is forgotten after a while, so that it is tried again.
    pub(super) fn recall(&self, uid: &str, generation: i64, now: Timestamp) -> Memory {
        if self.put_forward(now) {
            let mut all = self.rollouts.lock().unwrap_or_else(PoisonError::into_inner);
            for remembered in all.values_mut() {
                remembered.memory.since = Some(now);
            }
        }
        self.with(uid, generation, |remembered| {
            remembered.memory.since.get_or_insert(now);
            if left_of(remembered.taken_at).is_some_and(|left| left.is_zero()) {
                remembered.memory.taken = None;
                remembered.taken_at = None;
            }
            remembered.memory.clone()
        })
    }

    /// Whether the clock was put forward since the last look: then less time has passed than it says.
    fn put_forward(&self, now: Timestamp) -> bool {
        let at = Instant::now();
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace((now, at));
        last.is_some_and(|(then, then_at)| {
            let shown = Duration::try_from(now.duration_since(then)).unwrap_or_default();
            shown > at.saturating_duration_since(then_at) + PUT_FORWARD
        })
    }

    /// When a taken name is to be tried again, if one is remembered.
    pub(super) fn try_again(&self, uid: &str, generation: i64) -> Option<Duration> {
        self.with(uid, generation, |remembered| left_of(remembered.taken_at))
    }

    /// Whether this process has had the newest status of the Rollout.
    pub(super) fn has_caught_up(&self, uid: &str) -> bool {
        self.caught_up().contains(uid)
    }

    /// This process has the newest status of the Rollout.
    pub(super) fn catch_up(&self, uid: &str) {
        self.caught_up().insert(uid.to_owned());
    }

    /// Nobody knows whether this process has the newest status of the Rollout.
    pub(super) fn fall_behind(&self, uid: &str) {
        self.caught_up().remove(uid);
    }

    /// Forgets Rollouts that are gone.
    pub fn retain(&self, is_live: impl Fn(&str) -> bool) {
        self.rollouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|uid, _| is_live(uid));
        self.caught_up().retain(|uid| is_live(uid));
    }

    fn caught_up(&self) -> MutexGuard<'_, HashSet<String>> {
        self.caught_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn left_of(taken_at: Option<Instant>) -> Option<Duration> {
    taken_at.map(|at| TAKEN_AGAIN.saturating_sub(at.elapsed()))
}
