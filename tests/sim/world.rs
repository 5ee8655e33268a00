//! The simulated cluster: the store, who reacts to changes, and everybody who watches over them.
//!
//! Not here: how requests reach it (`transport`) and how the controller is run (`process`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    actors::{self, Due},
    faults::Writes,
    proxy::Proxy,
    rules::Rules,
    store::{Author, Change, Key, Store},
    summary::Counts,
};

/// How a cluster behaves, where scenarios differ.
#[derive(Clone, Debug)]
pub(super) struct Nature {
    /// How long a pod goes on serving after it was told to end.
    pub(super) grace: Duration,
    /// How long it may take until a controller brings back traffic that it has to, an election included.
    pub(super) bring_back: Duration,
    /// Whether requests come in through an Ingress, or else to the Service of this name.
    pub(super) entry: Entry,
}

/// Where requests come in.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// The Ingress of this name.
    Ingress(&'static str),
    /// The Service of this name.
    Service(&'static str),
}

pub(super) struct World {
    /// When this runtime took the world over, and how old the world was then.
    origin: Instant,
    age: Duration,
    /// Changes so far; Events and leases do not count.
    pub(super) changes: u64,
    /// How far the story is.
    pub(super) beat: usize,
    pub(super) nature: Nature,
    pub(super) store: Store,
    pub(super) agenda: BTreeMap<(Duration, u64), Due>,
    entries: u64,
    pub(super) proxy: Proxy,
    pub(super) rules: Rules,
    pub(super) writes: Writes,
    pub(super) counts: Counts,
    /// Everything that happened, in order.
    pub(super) trace: Vec<String>,
    /// What must not have happened.
    pub(super) complaints: Vec<String>,
    pub(super) random: fastrand::Rng,
    signals: Arc<Signals>,
}

/// What others wait for.
#[derive(Default)]
pub(super) struct Signals {
    /// The newest resourceVersion.
    pub(super) committed: watch::Sender<u64>,
    /// There is something new on the agenda.
    pub(super) planned: Notify,
}

/// The world, shared. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shared {
    world: Arc<Mutex<World>>,
    pub(super) signals: Arc<Signals>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panics with the world")
    }
}

/// A world at a moment, without anybody in it.
pub(super) struct Snapshot {
    /// How many changes there were before it.
    pub(super) changes: u64,
    age: Duration,
    beat: usize,
    nature: Nature,
    store: Store,
    agenda: BTreeMap<(Duration, u64), Due>,
    entries: u64,
    proxy: Proxy,
    rules: Rules,
    counts: Counts,
    trace: Vec<String>,
    random: fastrand::Rng,
}

/// Lines of the trace that a snapshot keeps.
const REMEMBERED: usize = 6;

impl World {
    /// The world as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            changes: self.changes,
            age: self.now(),
            beat: self.beat,
            nature: self.nature.clone(),
            store: self.store.compacted_copy(),
            agenda: self.agenda.clone(),
            entries: self.entries,
            proxy: self.proxy.clone(),
            rules: self.rules.clone(),
            counts: self.counts.clone(),
            trace: self.trace[self.trace.len().saturating_sub(REMEMBERED)..].to_vec(),
            random: self.random.clone(),
        }
    }

    /// Goes on from a snapshot.
    pub(super) fn resume(snapshot: Snapshot) -> Shared {
        let signals = Arc::<Signals>::default();
        let mut rules = snapshot.rules;
        rules.excuse();
        let world = Self {
            origin: Instant::now(),
            age: snapshot.age,
            changes: snapshot.changes,
            beat: snapshot.beat,
            nature: snapshot.nature,
            store: snapshot.store,
            agenda: snapshot.agenda,
            entries: snapshot.entries,
            proxy: snapshot.proxy,
            rules,
            writes: Writes::default(),
            counts: snapshot.counts,
            trace: snapshot.trace,
            complaints: Vec::new(),
            random: snapshot.random,
            signals: signals.clone(),
        };
        Shared {
            world: Arc::new(Mutex::new(world)),
            signals,
        }
    }

    pub(super) fn begin(seed: u64, epoch: Timestamp, nature: Nature) -> Shared {
        let signals = Arc::<Signals>::default();
        let world = Self {
            origin: Instant::now(),
            age: Duration::ZERO,
            changes: 0,
            beat: 0,
            proxy: Proxy::new(nature.entry.clone()),
            rules: Rules::new(&nature),
            nature,
            store: Store::new(epoch),
            agenda: BTreeMap::new(),
            entries: 0,
            writes: Writes::default(),
            counts: Counts::default(),
            trace: Vec::new(),
            complaints: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            signals: signals.clone(),
        };
        Shared {
            world: Arc::new(Mutex::new(world)),
            signals,
        }
    }

    /// Time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.age + self.origin.elapsed()
    }

    pub(super) fn note(&mut self, line: impl std::fmt::Display) {
        let at = self.now().as_millis();
        self.trace.push(format!("{at:>7} {line}"));
    }

    /// Notes what must not happen; the run fails with it.
    pub(super) fn complain(&mut self, what: impl std::fmt::Display) {
        self.note(format_args!("!! {what}"));
        let at = self.now().as_millis();
        self.complaints.push(format!("at {at} ms: {what}"));
    }

    /// Five characters as in generated names.
    pub(super) fn suffix(&mut self) -> String {
        (0..5).map(|_| self.random.lowercase()).collect()
    }

    /// A time between the two, in milliseconds.
    pub(super) fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.random.u64(least..=most))
    }

    /// Puts something on the agenda, unless the same is there already.
    pub(super) fn plan(&mut self, after: Duration, due: Due) {
        if self.agenda.values().any(|planned| *planned == due) {
            return;
        }
        self.entries += 1;
        self.agenda.insert((self.now() + after, self.entries), due);
        self.signals.planned.notify_one();
    }

    /// Stores the object. Returns it as stored, or `None` if nothing changed.
    pub(super) fn commit(&mut self, author: &Author, key: &Key, object: Value) -> Option<Value> {
        let change = self.store.put(self.now(), author, key, object)?;
        self.told(&change);
        Some(change.object.as_ref().clone())
    }

    pub(super) fn remove(&mut self, author: &Author, key: &Key) {
        if let Some(change) = self.store.remove(self.now(), author, key) {
            self.told(&change);
        }
    }

    fn told(&mut self, change: &Change) {
        if !matches!(change.key.plural, "events" | "leases") {
            self.changes += 1;
        }
        actors::react(self, change);
        self.counts.count(change);
        self.proxy.follow(&self.store, change);
        let now = self.now();
        let mut broken = self.rules.check(&self.store, change, now);
        broken.extend(self.proxy.lost(&self.store, now));
        for what in broken {
            self.complain(what);
        }
        self.signals.committed.send_replace(change.version);
    }
}
