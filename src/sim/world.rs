//! The simulated cluster: the store, who reacts to changes, and a log of everything that happens.
//!
//! Not here: how requests reach it, our controllers, and who judges what happens: they read the log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    actors::{self, Due},
    proxy::Proxy,
    store::{Author, Change, Key, Store},
};

/// How a cluster behaves, where scenarios differ.
#[derive(Clone, Debug)]
pub struct Nature {
    /// How long a pod goes on serving after it was told to end.
    pub grace: Duration,
    /// How long it may take until a controller brings back traffic that it has to, an election included.
    pub bring_back: Duration,
    /// Whether requests come in through an Ingress, or else to the Service of this name.
    pub entry: Entry,
}

/// Where requests come in.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The Ingress of this name.
    Ingress(String),
    /// The Service of this name.
    Service(String),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, since the beginning of the world.
    pub at: Duration,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Happened {
    /// An object was created, changed or deleted.
    Change(Change),
    /// A request of a user may be lost now: how.
    Lost(String),
    /// The world came to something that it does not model, or that nobody should ask of it.
    Complaint(String),
    /// Something to read in a trace.
    Note(String),
}

/// The simulated cluster.
#[derive(Debug)]
pub struct World {
    now: Duration,
    /// How it behaves.
    pub nature: Nature,
    /// The objects.
    pub store: Store,
    agenda: BTreeMap<(Duration, u64), Due>,
    entries: u64,
    /// Where requests go.
    pub proxy: Proxy,
    /// The only source of chance.
    pub random: fastrand::Rng,
    /// What has happened since somebody took it.
    pub events: Vec<Event>,
}

impl World {
    /// An empty cluster. `epoch` is when it begins.
    pub fn new(seed: u64, epoch: Timestamp, nature: Nature) -> Self {
        Self {
            now: Duration::ZERO,
            proxy: Proxy::new(nature.entry.clone()),
            nature,
            store: Store::new(epoch),
            agenda: BTreeMap::new(),
            entries: 0,
            random: fastrand::Rng::with_seed(seed),
            events: Vec::new(),
        }
    }

    /// The same cluster once more, without the history of its objects: all watches have ended.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            now: self.now,
            nature: self.nature.clone(),
            store: self.store.compacted_copy(),
            agenda: self.agenda.clone(),
            entries: self.entries,
            proxy: self.proxy.clone(),
            random: self.random.clone(),
            events: Vec::new(),
        }
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The time of day.
    pub fn time(&self) -> Timestamp {
        self.store.time(self.now)
    }

    /// Sets the time. It never goes back.
    pub fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Notes something for a trace.
    pub fn note(&mut self, line: impl std::fmt::Display) {
        self.happened(Happened::Note(line.to_string()));
    }

    /// Notes what must not happen.
    pub fn complain(&mut self, what: impl std::fmt::Display) {
        self.happened(Happened::Complaint(what.to_string()));
    }

    fn happened(&mut self, what: Happened) {
        self.events.push(Event { at: self.now, what });
    }

    /// Five characters as in generated names.
    pub fn suffix(&mut self) -> String {
        (0..5).map(|_| self.random.lowercase()).collect()
    }

    /// A time between the two, in milliseconds.
    pub fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.random.u64(least..=most))
    }

    /// Puts something on the agenda, unless the same is there already.
    pub fn plan(&mut self, after: Duration, due: Due) {
        if self.agenda.values().any(|planned| *planned == due) {
            return;
        }
        self.entries += 1;
        self.agenda.insert((self.now + after, self.entries), due);
    }

    /// How often something was put on the agenda.
    pub fn planned(&self) -> u64 {
        self.entries
    }

    /// When the next thing on the agenda is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does what is due by now. Returns when the next thing is.
    pub fn act(&mut self) -> Option<Duration> {
        while let Some(first) = self.agenda.first_entry() {
            if first.key().0 > self.now {
                return Some(first.key().0);
            }
            let due = first.remove();
            actors::act(self, due);
        }
        None
    }

    /// Stores the object. Returns it as stored, or `None` if nothing changed.
    pub fn commit(&mut self, author: &Author, key: &Key, object: Value) -> Option<Arc<Value>> {
        let change = self.store.put(self.now, author, key, object)?;
        let object = change.object.clone();
        self.told(change);
        Some(object)
    }

    /// Removes the object, if it is there.
    pub fn remove(&mut self, author: &Author, key: &Key) {
        if let Some(change) = self.store.remove(self.now, author, key) {
            self.told(change);
        }
    }

    fn told(&mut self, change: Change) {
        actors::react(self, &change);
        self.proxy.follow(self.store.objects(), &change);
        let lost = self.proxy.lost(self.store.objects(), self.now);
        self.happened(Happened::Change(change));
        for how in lost {
            self.happened(Happened::Lost(how));
        }
    }
}
