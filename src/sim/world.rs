//! The simulated cluster: the store, who reacts to changes, and a log of everything that happens.
//!
//! Not here: how requests reach it, our controllers, and who judges what happens: they read the log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

pub use super::nature::{Entry, Nature};
use super::{
    actors::{self, Due},
    metrics::Answer,
    nature::Span,
    proxy::Proxy,
    store::{Author, Change, Key, Store},
    traffic::{self, Traffic},
};

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
    /// How many there are, and what becomes of them. [`World::count_requests`] brings it up to date.
    pub traffic: Traffic,
    /// What actors remember.
    pub actors: actors::Memory,
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
            proxy: Proxy::new(&nature),
            traffic: Traffic::new(&nature, seed),
            actors: actors::Memory::default(),
            store: Store::new(epoch, nature.api),
            nature,
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
            traffic: self.traffic.clone(),
            actors: self.actors.clone(),
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

    /// A time of this span.
    pub fn draw(&mut self, span: Span) -> Duration {
        span.draw(&mut self.random)
    }

    /// From now on requests come in; if a person has deleted what is to serve them, when it is healthy again.
    pub fn open_traffic(&mut self) {
        if self.actors.sent_away {
            self.actors.awaited = true;
            return;
        }
        self.count_requests();
        self.proxy.open = true;
    }

    /// From now on none come in.
    pub fn close_traffic(&mut self) {
        self.actors.awaited = false;
        self.count_requests();
        self.proxy.open = false;
    }

    /// Counts the requests that have come in until now.
    pub fn count_requests(&mut self) {
        self.traffic.advance(&self.proxy, self.now);
    }

    /// The proxies take the routes as they are now.
    pub(super) fn read_routes(&mut self) {
        self.proxy.read(self.store.objects(), self.now);
        self.traffic.turn();
    }

    /// What the metric server says to a query now, given so much time.
    pub fn measure(&mut self, query: &str, timeout: Duration) -> Answer {
        self.count_requests();
        self.traffic.backend.answer(query, self.now, timeout)
    }

    /// Puts something on the agenda. If the same look at something is there already, it is done once, at the sooner time.
    pub fn plan(&mut self, after: Duration, due: Due) {
        let at = self.now + after;
        let mut planned = self.agenda.iter();
        let planned = planned.find(|(_, planned)| due.is_a_look() && **planned == due);
        if let Some((place, _)) = planned {
            if place.0 <= at {
                return;
            }
            let place = *place;
            self.agenda.remove(&place);
        }
        self.entries += 1;
        self.agenda.insert((at, self.entries), due);
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

    /// The object as it would be stored.
    pub fn dry(&self, author: &Author, key: &Key, object: Value) -> Value {
        let prepared = self.store.prepared(self.now, author, key, object);
        prepared.unwrap_or_else(|| self.store.get(key).cloned().unwrap_or_default())
    }

    /// Removes the object, if it is there.
    pub fn remove(&mut self, author: &Author, key: &Key) {
        if let Some(change) = self.store.remove(self.now, author, key) {
            self.told(change);
        }
    }

    fn told(&mut self, change: Change) {
        actors::react(self, &change);
        if traffic::concerns(&change) {
            self.count_requests();
            self.traffic.follow(&self.nature, &change);
        }
        self.proxy
            .follow(self.store.objects(), &change, &self.nature);
        let lost = self.proxy.lost(self.store.objects(), self.now);
        self.happened(Happened::Change(change));
        for how in lost {
            self.happened(Happened::Lost(how));
        }
    }
}
