//! The monitors' own picture of the cluster: the objects, and for every Rollout what follows from them, derived once per commit and
//! only for those Rollouts that the commit has to do with.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Happened, Leniency, release::Release};
use tidegate::sim::store::{By, Change, Key};

/// A Rollout before and after what has just happened.
#[derive(Clone)]
pub(super) struct Touched {
    pub(super) before: Arc<Release>,
    pub(super) after: Arc<Release>,
    /// What a controller may have acted on: each picture with the time until which it held, oldest first; not `after`.
    past: VecDeque<(Duration, Arc<Release>)>,
    pub(super) by: By,
    /// Whether the change is one of the Rollout itself.
    pub(super) itself: bool,
    /// The first that is known of it.
    pub(super) new: bool,
    /// When it took the place of a Rollout of its name that was deleted.
    reborn: Option<Duration>,
    /// Whether the write may have been meant for the one in whose place it is: nobody can have known better.
    inherited: bool,
}

impl Touched {
    /// Whether it holds, or held when the controller may have looked.
    pub(super) fn lately(&self, holds: impl Fn(&Release) -> bool) -> bool {
        holds(&self.after) || self.past.iter().any(|(_, release)| holds(release))
    }

    /// Whether it held before this, when the controller may have looked.
    pub(super) fn held(&self, holds: impl Fn(&Release) -> bool) -> bool {
        holds(&self.before) || self.past.iter().any(|(_, release)| holds(release))
    }

    /// Whether it has held all the time, as far back as the controller may have looked.
    pub(super) fn for_long(&self, holds: impl Fn(&Release) -> bool) -> bool {
        !self.lately(|release| !holds(release))
    }

    pub(super) fn by_controller(&self) -> bool {
        self.by == By::Controller && !self.inherited
    }
}

#[derive(Clone)]
pub(in crate::sim) struct View {
    epoch: Timestamp,
    pub(super) now: Duration,
    pub(super) leniency: Leniency,
    /// How far from ours a controller's clock may be, or may have been.
    pub(super) skew: Duration,
    objects: BTreeMap<Key, Arc<Value>>,
    releases: BTreeMap<(String, String), Touched>,
    /// Whom the last change was about.
    touched: Vec<(String, String)>,
    /// When the request was sent that the server is at.
    sent: Option<Duration>,
}

impl View {
    pub(super) fn new(epoch: Timestamp, leniency: Leniency) -> Self {
        Self {
            epoch,
            now: Duration::ZERO,
            leniency,
            skew: Duration::ZERO,
            objects: BTreeMap::new(),
            releases: BTreeMap::new(),
            touched: Vec::new(),
            sent: None,
        }
    }

    /// What happens from here on follows from a request that was sent then, or from none.
    pub(super) fn follows(&mut self, sent: Option<Duration>) {
        self.sent = sent;
    }

    pub(super) fn time(&self, at: Duration) -> Timestamp {
        SignedDuration::try_from(at).map_or(self.epoch, |at| self.epoch + at)
    }

    /// The time now, on everybody's clock.
    pub(super) fn clock(&self) -> Timestamp {
        self.time(self.now)
    }

    /// The latest that it may be on any controller's clock.
    pub(super) fn latest(&self) -> Timestamp {
        self.time(self.now + self.skew)
    }

    pub(super) fn get(
        &self,
        plural: &'static str,
        namespace: &str,
        name: &str,
    ) -> Option<&Arc<Value>> {
        self.objects.get(&Key::new(plural, namespace, name))
    }

    /// The objects of a kind in a namespace, by name.
    pub(super) fn list_in<'a>(
        &'a self,
        plural: &'static str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        self.objects
            .range(Key::new(plural, namespace, "")..)
            .take_while(move |(key, _)| key.plural == plural && key.namespace == namespace)
    }

    /// The Rollouts that the last change was about.
    pub(super) fn touched(&self) -> impl Iterator<Item = &Touched> {
        self.touched.iter().filter_map(|key| self.releases.get(key))
    }

    /// All Rollouts that exist.
    pub(super) fn releases(&self) -> impl Iterator<Item = &Touched> {
        self.releases.values().filter(|one| !one.after.deleted)
    }

    pub(super) fn release(&self, namespace: &str, name: &str) -> Option<&Touched> {
        self.releases
            .get(&(namespace.to_owned(), name.to_owned()))
            .filter(|one| !one.after.deleted)
    }

    /// Whether it holds for a Rollout as it is, or as a controller may believe it to be.
    pub(super) fn any_lately(&self, holds: impl Fn(&Release) -> bool) -> bool {
        self.releases.values().any(|one| {
            let believed = one
                .past
                .iter()
                .filter(|(until, _)| self.still_believed(*until))
                .map(|(_, release)| release)
                .chain([&one.after]);
            believed
                .filter(|release| !release.deleted)
                .any(|release| holds(release))
        })
    }

    /// Whether a controller may act on what held until then.
    fn still_believed(&self, until: Duration) -> bool {
        let acted = self.sent.unwrap_or(self.now).min(self.now);
        until.saturating_add(self.leniency.lateness) >= acted
    }

    /// Time passes.
    pub(super) fn pass(&mut self, at: Duration) {
        self.now = at;
    }

    pub(super) fn follow(&mut self, at: Duration, event: &Happened<'_>) {
        self.now = at;
        self.touched.clear();
        let Happened::Change(change) = event else {
            return;
        };
        match change.after() {
            Some(_) => {
                self.objects
                    .insert(change.key.clone(), change.object.clone());
            }
            None => {
                self.objects.remove(&change.key);
            }
        }
        for key in self.about(change) {
            self.derive(key, change);
        }
    }

    /// The Rollouts that the change has to do with.
    fn about(&self, change: &Change) -> BTreeSet<(String, String)> {
        let namespace = &change.key.namespace;
        let named = |name: &str| (namespace.clone(), name.to_owned());
        match change.key.plural {
            "rollouts" => BTreeSet::from([named(&change.key.name)]),
            "replicasets" | "analysisruns" | "experiments" => change
                .before
                .as_deref()
                .into_iter()
                .chain(change.after())
                .filter_map(|object| owner(object, "Rollout"))
                .map(|(name, _)| named(name))
                .filter(|key| self.releases.contains_key(key))
                .collect(),
            "services" | "ingresses" | "httproutes" | "analysistemplates" => self
                .releases
                .range((namespace.clone(), String::new())..)
                .take_while(|((of, _), _)| of == namespace)
                .filter(|(_, release)| {
                    !release.after.deleted
                        && release
                            .after
                            .names(change.key.plural, &change.key.name, change)
                })
                .map(|(key, _)| key.clone())
                .collect(),
            _ => BTreeSet::new(),
        }
    }

    fn derive(&mut self, key: (String, String), change: &Change) {
        let object = self.get("rollouts", &key.0, &key.1).cloned();
        let known = self.releases.get(&key);
        let before = known.map(|known| known.after.clone());
        let same = |before: &&Arc<Release>| {
            let uid = &change.object["metadata"]["uid"];
            change.key.plural != "rollouts" || uid.as_str() == Some(&before.uid)
        };
        let before = before.as_ref().filter(same);
        let after = match (object, before) {
            (Some(object), _) => Release::of(self, &object, before.map(Arc::as_ref), change),
            (None, Some(before)) => Release {
                deleted: true,
                ..before.as_ref().clone()
            },
            (None, None) => return,
        };
        let after = Arc::new(after);
        let mut past = match (before, known) {
            (Some(_), Some(known)) => known.past.clone(),
            _ => VecDeque::new(),
        };
        if let Some(before) = before {
            past.push_back((self.now, before.clone()));
        }
        while past
            .front()
            .is_some_and(|(until, _)| until.saturating_add(self.leniency.lateness) < self.now)
        {
            past.pop_front();
        }
        let reborn = match (before, known) {
            (Some(_), Some(known)) => known.reborn,
            (None, Some(_)) => Some(self.now),
            (_, None) => None,
        };
        let touched = Touched {
            before: before.unwrap_or(&after).clone(),
            new: before.is_none(),
            reborn,
            inherited: change.key.plural != "rollouts"
                && reborn.is_some_and(|born| self.still_believed(born)),
            after,
            past,
            by: change.by,
            itself: change.key.plural == "rollouts",
        };
        self.releases.insert(key.clone(), touched);
        self.touched.push(key);
    }
}

/// Name and uid of the controlling owner of this kind.
pub(super) fn owner<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners
        .iter()
        .find(|owner| owner["controller"] == true && owner["kind"] == kind)?;
    Some((owner["name"].as_str()?, owner["uid"].as_str()?))
}
