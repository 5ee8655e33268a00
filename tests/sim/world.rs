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
    faults::Faults,
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
    origin: Instant,
    pub(super) nature: Nature,
    pub(super) store: Store,
    pub(super) agenda: BTreeMap<(Duration, u64), Due>,
    entries: u64,
    pub(super) proxy: Proxy,
    pub(super) rules: Rules,
    pub(super) faults: Faults,
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
    /// The controller is to die now.
    pub(super) crash: Notify,
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

impl World {
    pub(super) fn begin(seed: u64, epoch: Timestamp, nature: Nature, faults: Faults) -> Shared {
        let signals = Arc::<Signals>::default();
        let world = Self {
            origin: Instant::now(),
            proxy: Proxy::new(nature.entry.clone()),
            rules: Rules::new(&nature.entry),
            nature,
            store: Store::new(epoch),
            agenda: BTreeMap::new(),
            entries: 0,
            faults,
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
        self.origin.elapsed()
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
        Some(change.object)
    }

    pub(super) fn remove(&mut self, author: &Author, key: &Key) {
        if let Some(change) = self.store.remove(self.now(), author, key) {
            self.told(&change);
        }
    }

    fn told(&mut self, change: &Change) {
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
