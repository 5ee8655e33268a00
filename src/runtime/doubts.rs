//! Writes without an answer: each may still arrive, long after whoever sent it has changed their mind.
//!
//! Only memory: it reads no clock and no API. Not here: what is done about them (`rollout::act::supersede`). A process that
//! takes over knows none of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a write may be on its way: longer than an API server works on a request by default (60 s).
const ON_ITS_WAY: Duration = Duration::from_secs(75);

/// The version of each object that a write without an answer was meant for.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<HashMap<Key, Doubt>>);

/// Namespace and name.
type Key = (String, String);

#[derive(Debug)]
struct Doubt {
    resource_version: String,
    since: Instant,
}

impl Doubts {
    /// Nobody knows whether a write to the object at this version was, or will be, carried out.
    pub fn note(&self, namespace: &str, name: &str, resource_version: &str, now: Instant) {
        let doubt = Doubt {
            resource_version: resource_version.to_owned(),
            since: now,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, doubt| doubt.is_open(now));
        all.insert((namespace.to_owned(), name.to_owned()), doubt);
    }

    /// Whether a write may still change the object, of which a cache has this version. One to another version is refused
    /// by the API server.
    pub fn is_in_doubt(
        &self,
        namespace: &str,
        name: &str,
        resource_version: &str,
        now: Instant,
    ) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !all.is_empty()
            && all
                .get(&(namespace.to_owned(), name.to_owned()))
                .is_some_and(|doubt| {
                    doubt.is_open(now) && doubt.resource_version == resource_version
                })
    }
}

impl Doubt {
    fn is_open(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < ON_ITS_WAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_may_arrive_until_the_object_has_another_version_or_the_server_has_given_it_up() {
        let (doubts, sent) = (Doubts::default(), Instant::now());
        doubts.note("demo", "web-1", "7", sent);
        let asked = |name, version, after| {
            doubts.is_in_doubt("demo", name, version, sent + Duration::from_secs(after))
        };
        assert_eq!(
            [
                asked("web-1", "7", 1),
                asked("web-1", "8", 1),
                asked("web-2", "7", 1),
                asked("web-1", "7", 75),
            ],
            [true, false, false, false]
        );
    }
}
