//! Where the requests of users go, and how they are answered: a flow, not single requests.
//!
//! Not here: what moves it (`rollout::decide` and the routers), and what a metric makes of it (`super::metrics`).

use std::{ops::Add, time::Duration};

use crate::{
    api::strategy::Declared,
    rollout::snapshot::{ReplicaSetView, ServiceView, Snapshot, is_pod_of},
    traffic::Routers,
};

/// Whose requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The new version.
    New,
    /// All others.
    Old,
}

/// What was seen of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) requests: f64,
    pub(super) errors: f64,
}

impl Add for Seen {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
        }
    }
}

impl Seen {
    fn part(self, share: f64) -> Self {
        Self {
            requests: self.requests * share,
            errors: self.errors * share,
        }
    }
}

/// The shares of the users' requests that go to each version; what is left finds no pod.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shares {
    pub(super) new: f64,
    pub(super) old: f64,
}

/// Where requests go, by what Services, routes and pods say.
///
/// `serves` says of a pod whether it answers.
pub(super) fn shares(snapshot: &Snapshot, new_hash: &str, serves: impl Fn(&str) -> bool) -> Shares {
    let Some(strategy) = snapshot
        .rollout
        .spec
        .as_ref()
        .ok()
        .and_then(|spec| spec.strategy.declared())
    else {
        return Shares::default();
    };
    let through = |service: Option<&String>, share: f64| {
        let service = service.and_then(|name| snapshot.services.get(name));
        service.map_or_else(Shares::default, |service| {
            behind(service, &snapshot.replica_sets, new_hash, &serves).part(share)
        })
    };
    match strategy {
        Declared::BlueGreen(_) => through(strategy.stable_service(), 1.0),
        Declared::Canary(canary) => match Routers::of(canary) {
            Some(routers) => {
                let max = canary
                    .traffic_routing
                    .as_ref()
                    .and_then(|routing| routing.max_traffic_weight)
                    .unwrap_or(100);
                let observed = routers.observe(snapshot, max, false);
                let share = f64::from(observed.highest) / f64::from(max.max(1));
                through(strategy.canary_service(), share)
                    .and(through(strategy.stable_service(), 1.0 - share))
            }
            None => by_pods(&snapshot.replica_sets, new_hash),
        },
    }
}

impl Shares {
    fn part(self, share: f64) -> Self {
        Self {
            new: self.new * share,
            old: self.old * share,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            new: self.new + other.new,
            old: self.old + other.old,
        }
    }

    fn of(new: i32, old: i32) -> Self {
        let all = f64::from(new + old);
        if all == 0.0 {
            return Self::default();
        }
        Self {
            new: f64::from(new) / all,
            old: f64::from(old) / all,
        }
    }
}

fn behind(
    service: &ServiceView,
    sets: &[ReplicaSetView],
    new_hash: &str,
    serves: &impl Fn(&str) -> bool,
) -> Shares {
    let ready = service.endpoints.iter().filter(|one| one.ready);
    let all = ready.clone().count();
    let (mut new, mut old) = (0, 0);
    for endpoint in ready.filter(|endpoint| serves(&endpoint.pod)) {
        let of_new = sets
            .iter()
            .any(|set| set.pod_template_hash == new_hash && is_pod_of(&endpoint.pod, &set.name));
        if of_new {
            new += 1;
        } else {
            old += 1;
        }
    }
    let answered = f64::from(new + old) / f64::from(i32::try_from(all.max(1)).unwrap_or(i32::MAX));
    Shares::of(new, old).part(answered)
}

fn by_pods(sets: &[ReplicaSetView], new_hash: &str) -> Shares {
    let ready = |is_new: bool| {
        sets.iter()
            .filter(|set| (set.pod_template_hash == new_hash) == is_new)
            .map(|set| set.ready)
            .sum()
    };
    Shares::of(ready(true), ready(false))
}

/// A time in which nothing changed.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Duration,
    to: Duration,
    new: Seen,
    old: Seen,
}

/// What has been seen so far, testers' requests included: what metrics rest on.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Vec<Span>);

impl Log {
    /// Adds what was seen since the end of the log.
    pub(super) fn add(&mut self, from: Duration, to: Duration, new: Seen, old: Seen) {
        self.0.push(Span { from, to, new, old });
    }

    /// What was seen between two times.
    pub(super) fn seen(&self, side: Side, from: Duration, to: Duration) -> Seen {
        let spans = self.0.iter().rev();
        spans
            .take_while(|span| span.to > from)
            .filter(|span| span.from < to)
            .map(|span| {
                let whole = span.to.saturating_sub(span.from).as_secs_f64();
                let part = span.to.min(to).saturating_sub(span.from.max(from));
                let seen = match side {
                    Side::New => span.new,
                    Side::Old => span.old,
                };
                seen.part(if whole > 0.0 {
                    part.as_secs_f64() / whole
                } else {
                    0.0
                })
            })
            .fold(Seen::default(), Seen::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_its_part_of_what_was_seen() {
        let seconds = Duration::from_secs;
        let seen = |requests| Seen {
            requests,
            errors: requests / 10.0,
        };
        let mut log = Log::default();
        log.add(seconds(0), seconds(10), seen(100.0), seen(0.0));
        log.add(seconds(10), seconds(20), seen(0.0), seen(50.0));
        let new = log.seen(Side::New, seconds(5), seconds(15));
        let old = log.seen(Side::Old, seconds(5), seconds(15));
        assert_eq!((new, old), (seen(50.0), seen(25.0)));
    }
}
