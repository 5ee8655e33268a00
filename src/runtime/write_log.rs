//! What we wrote and the cache may not show yet, so that nobody decides on a cache that is behind our own writes.
//!
//! Only memory: it reads no clock and no API. After a restart it is empty, which is right: then the caches are
//! listed anew and show every earlier write.

use std::{
    cmp::Ordering,
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a write holds decisions up at most. A cache that is behind for longer has lost its watch; holding on would
/// only stop everything, and preconditions still refuse what is decided on stale data.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// How many writes are remembered at most; the oldest go first.
const CAPACITY: usize = 16_384;

/// What a cache holds of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached<'a> {
    /// `metadata.uid`
    pub uid: &'a str,
    /// `metadata.resourceVersion`
    pub resource_version: &'a str,
}

/// The last write to each object, for [`REMEMBERED_FOR`].
#[derive(Debug)]
pub struct WriteLog {
    capacity: usize,
    entries: Mutex<Entries>,
}

type Key = (String, String, String);

#[derive(Debug, Default)]
struct Entries {
    by_object: HashMap<Key, Entry>,
    /// In order of time, which as all are remembered equally long is the order of expiry.
    by_age: VecDeque<(Instant, u64, Key)>,
    writes: u64,
}

#[derive(Debug)]
struct Entry {
    write: Write,
    at: Instant,
    number: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Write {
    /// Created, or changed before a cache showed it: as long as the cache has nothing it is behind.
    Created {
        uid: String,
        resource_version: String,
    },
    /// A cache has shown it: once the cache has nothing, it has gone past us to a deletion.
    Updated {
        uid: String,
        resource_version: String,
    },
    Deleted {
        uid: String,
    },
}

impl Default for WriteLog {
    fn default() -> Self {
        Self {
            capacity: CAPACITY,
            entries: Mutex::default(),
        }
    }
}

impl WriteLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that we created the object and the server answered with this `uid` and `resource_version`.
    pub fn created(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
        now: Instant,
    ) {
        let write = Write::Created {
            uid: uid.to_owned(),
            resource_version: resource_version.to_owned(),
        };
        self.note(key(kind, namespace, name), write, now);
    }

    /// Notes that we changed an object which the cache showed. Also for a deletion that the server answered with the
    /// object (it waits for finalizers): the cache will show that resourceVersion.
    pub fn wrote(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
        now: Instant,
    ) {
        let key = key(kind, namespace, name);
        let (uid, resource_version) = (uid.to_owned(), resource_version.to_owned());
        let unseen = match self.lock().alive(&key, now) {
            Some(Write::Created { uid: created, .. }) => *created == uid,
            Some(Write::Updated { .. } | Write::Deleted { .. }) | None => false,
        };
        let write = if unseen {
            Write::Created {
                uid,
                resource_version,
            }
        } else {
            Write::Updated {
                uid,
                resource_version,
            }
        };
        self.note(key, write, now);
    }

    /// Notes that we deleted the object with this `uid` and the server said it is gone.
    pub fn deleted(&self, kind: &str, namespace: &str, name: &str, uid: &str, now: Instant) {
        self.note(
            key(kind, namespace, name),
            Write::Deleted {
                uid: uid.to_owned(),
            },
            now,
        );
    }

    /// Forgets what we wrote to the object.
    pub fn forget(&self, kind: &str, namespace: &str, name: &str) {
        self.lock().by_object.remove(&key(kind, namespace, name));
    }

    /// Whether the cache, which now holds `cached` of the object, shows our last write to it or something later.
    pub fn caught_up(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        cached: Option<Cached<'_>>,
        now: Instant,
    ) -> bool {
        let key = key(kind, namespace, name);
        let mut entries = self.lock();
        let Some(write) = entries.alive(&key, now) else {
            return true;
        };
        match (write, cached) {
            (Write::Created { .. }, None) => false,
            (Write::Updated { .. } | Write::Deleted { .. }, None) => true,
            (Write::Deleted { uid }, Some(cached)) => uid != cached.uid,
            (
                Write::Created {
                    uid,
                    resource_version,
                }
                | Write::Updated {
                    uid,
                    resource_version,
                },
                Some(cached),
            ) => {
                let shown = at_least(cached.resource_version, resource_version);
                if uid == cached.uid {
                    let seen = Write::Updated {
                        uid: uid.clone(),
                        resource_version: resource_version.clone(),
                    };
                    if let Some(entry) = entries.by_object.get_mut(&key) {
                        entry.write = seen;
                    }
                }
                shown
            }
        }
    }

    fn note(&self, key: Key, write: Write, now: Instant) {
        let mut entries = self.lock();
        entries.writes += 1;
        let number = entries.writes;
        entries.by_age.push_back((now, number, key.clone()));
        entries.by_object.insert(
            key,
            Entry {
                write,
                at: now,
                number,
            },
        );
        entries.drop_old(self.capacity, now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn alive(&self, key: &Key, now: Instant) -> Option<&Write> {
        let entry = self.by_object.get(key)?;
        (now.saturating_duration_since(entry.at) < REMEMBERED_FOR).then_some(&entry.write)
    }

    fn drop_old(&mut self, capacity: usize, now: Instant) {
        while let Some((at, _, _)) = self.by_age.front()
            && (self.by_age.len() > capacity
                || now.saturating_duration_since(*at) >= REMEMBERED_FOR)
        {
            if let Some((_, number, key)) = self.by_age.pop_front()
                && self
                    .by_object
                    .get(&key)
                    .is_some_and(|entry| entry.number == number)
            {
                self.by_object.remove(&key);
            }
        }
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    (kind.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Whether resourceVersion `a` is `b` or later. They are unsigned integers of any length (documented as comparable since
/// Kubernetes 1.35); of anything else only equality is known.
fn at_least(a: &str, b: &str) -> bool {
    match (digits(a), digits(b)) {
        (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)) != Ordering::Less,
        (Some(_) | None, None) | (None, Some(_)) => a == b,
    }
}

fn digits(resource_version: &str) -> Option<&str> {
    let number =
        !resource_version.is_empty() && resource_version.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| resource_version.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Option<Cached<'_>> = Some(Cached {
        uid: "u1",
        resource_version: "9",
    });
    const OURS: Option<Cached<'_>> = Some(Cached {
        uid: "u1",
        resource_version: "10",
    });
    const LATER: Option<Cached<'_>> = Some(Cached {
        uid: "u1",
        resource_version: "11",
    });
    const SUCCESSOR: Option<Cached<'_>> = Some(Cached {
        uid: "u2",
        resource_version: "12",
    });

    fn caught_up(log: &WriteLog, cached: Option<Cached<'_>>, now: Instant) -> bool {
        log.caught_up("ReplicaSet", "demo", "app", cached, now)
    }

    #[test]
    fn a_cache_has_caught_up_when_it_shows_our_write_or_a_later_one() {
        type Act = fn(&WriteLog, Instant);
        let created: Act = |log, now| log.created("ReplicaSet", "demo", "app", "u1", "10", now);
        let updated: Act = |log, now| log.wrote("ReplicaSet", "demo", "app", "u1", "10", now);
        let created_then_updated: Act = |log, now| {
            log.created("ReplicaSet", "demo", "app", "u1", "8", now);
            log.wrote("ReplicaSet", "demo", "app", "u1", "10", now);
        };
        let deleted: Act = |log, now| log.deleted("ReplicaSet", "demo", "app", "u1", now);
        let forgotten: Act = |log, now| {
            log.created("ReplicaSet", "demo", "app", "u1", "10", now);
            log.forget("ReplicaSet", "demo", "app");
        };
        let other: Act = |log, now| log.created("Service", "demo", "app", "u1", "10", now);
        // what we did                                    nothing  old    ours   later  successor
        let table: [(&str, Act, [bool; 5]); 6] = [
            ("created", created, [false, false, true, true, true]),
            ("updated", updated, [true, false, true, true, true]),
            (
                "created, then updated",
                created_then_updated,
                [false, false, true, true, true],
            ),
            ("deleted", deleted, [true, false, false, false, true]),
            ("forgotten", forgotten, [true, true, true, true, true]),
            (
                "wrote another object",
                other,
                [true, true, true, true, true],
            ),
        ];
        for (did, act, expected) in table {
            let answers = [None, OLD, OURS, LATER, SUCCESSOR].map(|cached| {
                let (log, now) = (WriteLog::new(), Instant::now());
                act(&log, now);
                caught_up(&log, cached, now)
            });
            assert_eq!(answers, expected, "{did}");
        }
    }

    #[test]
    fn an_object_that_the_cache_showed_and_lost_was_deleted_by_someone() {
        let (log, now) = (WriteLog::new(), Instant::now());
        log.created("ReplicaSet", "demo", "app", "u1", "10", now);
        caught_up(&log, OURS, now);
        assert!(caught_up(&log, None, now));
    }

    #[test]
    fn a_write_holds_nothing_up_after_thirty_seconds() {
        let (log, now) = (WriteLog::new(), Instant::now());
        log.created("ReplicaSet", "demo", "app", "u1", "10", now);
        let last = now + REMEMBERED_FOR;
        assert_eq!(
            [last - Duration::from_millis(1), last].map(|at| caught_up(&log, None, at)),
            [false, true]
        );
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let (log, now) = (
            WriteLog {
                capacity: 3,
                ..WriteLog::new()
            },
            Instant::now(),
        );
        for name in ["a", "b", "c", "d"] {
            log.created("Pod", "demo", name, name, "1", now);
        }
        let held_up =
            ["a", "b", "c", "d"].map(|name| !log.caught_up("Pod", "demo", name, None, now));
        assert_eq!(
            (held_up, log.lock().by_age.len()),
            ([false, true, true, true], 3)
        );
    }

    #[test]
    fn writing_one_object_again_and_again_takes_no_more_room() {
        let (log, now) = (
            WriteLog {
                capacity: 100,
                ..WriteLog::new()
            },
            Instant::now(),
        );
        for version in 0..1_000 {
            log.wrote("Pod", "demo", "a", "u1", &version.to_string(), now);
        }
        let entries = log.lock();
        assert_eq!((entries.by_object.len(), entries.by_age.len()), (1, 100));
    }

    #[test]
    fn resource_versions_are_numbers_of_any_length() {
        let table = [
            ("10", "9", true),
            ("9", "10", false),
            ("10", "10", true),
            ("010", "10", true),
            (
                "340282366920938463463374607431768211457",
                "340282366920938463463374607431768211456",
                true,
            ),
            (
                "340282366920938463463374607431768211455",
                "340282366920938463463374607431768211456",
                false,
            ),
            ("abc", "abc", true),
            ("abc", "1", false),
            ("1", "abc", false),
            ("", "1", false),
        ];
        for (a, b, expected) in table {
            assert_eq!(at_least(a, b), expected, "{a:?} at least {b:?}");
        }
    }
}
