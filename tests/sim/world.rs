//! A run: the simulated cluster, and everybody who watches over it.
//!
//! Not here: how requests reach it (`transport`) and how the controller is run (`process`).

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use tidegate::sim::world::{Happened, Nature, World};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    faults::{Faults, Order, deaths::Writes},
    monitors::{self, Asked, Leniency, Monitors},
    summary::Counts,
};

/// The world, and what is known about what happened in it.
pub(super) struct Run {
    pub(super) world: World,
    /// When this runtime took the world over, and how old the world was then.
    origin: Instant,
    age: Duration,
    /// Changes so far; Events and leases do not count.
    pub(super) changes: u64,
    /// How far the story is.
    pub(super) beat: usize,
    /// Processes of the controller so far.
    processes: u64,
    /// Whether the controller is there already, whether or not it is alive.
    pub(super) installed: bool,
    pub(super) monitors: Monitors,
    pub(super) writes: Writes,
    pub(super) faults: Faults,
    /// Moments that people waited for in vain.
    pub(super) missed: usize,
    /// Requests that have come to the API server.
    pub(super) requests: u64,
    pub(super) counts: Counts,
    /// Everything that happened, in order.
    pub(super) trace: Vec<String>,
    /// What must not have happened.
    pub(super) complaints: Vec<String>,
    signals: Arc<Signals>,
}

/// What others wait for.
#[derive(Default)]
pub(super) struct Signals {
    /// The newest resourceVersion.
    pub(super) committed: watch::Sender<u64>,
    /// There is something new on the agenda.
    pub(super) planned: Notify,
    /// There is something to do for the supervisor of the processes.
    pub(super) orders: Notify,
}

/// The run, shared. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shared {
    run: Arc<Mutex<Run>>,
    pub(super) signals: Arc<Signals>,
}

impl Shared {
    fn new(run: Run) -> Self {
        let signals = run.signals.clone();
        Self {
            run: Arc::new(Mutex::new(run)),
            signals,
        }
    }

    /// The run at this moment. What is done with it is judged, and told to who waits, when the guard goes.
    pub(super) fn lock(&self) -> Guard<'_> {
        let mut run = self.run.lock().expect("nobody panics with the world");
        let now = run.age + run.origin.elapsed();
        run.world.set_now(now);
        Guard {
            planned: run.world.planned(),
            version: run.world.store.version(),
            run,
        }
    }
}

/// The run while it is looked at or changed.
pub(super) struct Guard<'a> {
    run: MutexGuard<'a, Run>,
    planned: u64,
    version: u64,
}

impl Deref for Guard<'_> {
    type Target = Run;
    fn deref(&self) -> &Run {
        &self.run
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.run.settle();
        let version = self.run.world.store.version();
        if version != self.version {
            self.run.signals.committed.send_replace(version);
        }
        if self.run.world.planned() != self.planned {
            self.run.signals.planned.notify_one();
        }
    }
}

impl Deref for Run {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Run {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

/// A run at a moment, without anybody in it.
pub(super) struct Snapshot {
    /// How many changes there were before it.
    pub(super) changes: u64,
    world: World,
    beat: usize,
    processes: u64,
    monitors: Monitors,
    counts: Counts,
    trace: Vec<String>,
}

/// What went wrong may be felt for so long: who failed again and again waits before the next attempt.
pub(super) const AFTERWARDS: Duration = Duration::from_secs(120);

/// Lines of the trace that a snapshot keeps.
const REMEMBERED: usize = 6;

impl Run {
    /// Everything as it is now.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.settle();
        Snapshot {
            changes: self.changes,
            world: self.world.copy(),
            beat: self.beat,
            processes: self.processes,
            monitors: self.monitors.clone(),
            counts: self.counts.clone(),
            trace: self.trace[self.trace.len().saturating_sub(REMEMBERED)..].to_vec(),
        }
    }

    /// Goes on from a snapshot.
    pub(super) fn resume(snapshot: Snapshot) -> Shared {
        let mut monitors = snapshot.monitors;
        monitors.excuse();
        Shared::new(Self {
            origin: Instant::now(),
            age: snapshot.world.now(),
            changes: snapshot.changes,
            beat: snapshot.beat,
            processes: snapshot.processes,
            // Who has died was there.
            installed: true,
            world: snapshot.world,
            monitors,
            writes: Writes::default(),
            faults: Faults::default(),
            missed: 0,
            requests: 0,
            counts: snapshot.counts,
            trace: snapshot.trace,
            complaints: Vec::new(),
            signals: Arc::default(),
        })
    }

    pub(super) fn begin(seed: u64, epoch: Timestamp, nature: Nature) -> Shared {
        Shared::new(Self {
            origin: Instant::now(),
            age: Duration::ZERO,
            changes: 0,
            beat: 0,
            processes: 0,
            installed: true,
            monitors: Monitors::new(epoch, Leniency::of(&nature)),
            world: World::new(seed, epoch, nature),
            writes: Writes::default(),
            faults: Faults::default(),
            missed: 0,
            requests: 0,
            counts: Counts::default(),
            trace: Vec::new(),
            complaints: Vec::new(),
            signals: Arc::default(),
        })
    }

    pub(super) fn note(&mut self, line: impl std::fmt::Display) {
        self.settle();
        let at = self.world.now();
        self.trace_at(at, line);
    }

    fn trace_at(&mut self, at: Duration, line: impl std::fmt::Display) {
        self.trace.push(format!("{:>7} {line}", at.as_millis()));
    }

    /// Notes what must not happen; the run fails with it.
    pub(super) fn complain(&mut self, what: impl std::fmt::Display) {
        self.settle();
        let at = self.world.now();
        self.complain_at(at, what);
    }

    fn complain_at(&mut self, at: Duration, what: impl std::fmt::Display) {
        self.trace_at(at, format_args!("!! {what}"));
        self.complaints
            .push(format!("at {} ms: {what}", at.as_millis()));
    }

    /// What happens from here on follows from a request that was sent then, or from none.
    pub(super) fn follows(&mut self, sent: Option<Duration>) {
        self.settle();
        self.monitors.follows(sent);
    }

    /// The controller comes, and what it finds is nobody's fault.
    pub(super) fn install(&mut self) {
        self.settle();
        self.monitors.excuse();
        self.installed = true;
        self.faults.orders.push(Order::Install);
        self.signals.orders.notify_one();
    }

    /// The server has decided on a request of the controller.
    pub(super) fn asked(&mut self, asked: &Asked) {
        self.settle();
        let at = self.world.now();
        self.judge(at, &monitors::Happened::Request(asked));
    }

    /// The controller knows the answer.
    pub(super) fn answered(&mut self, asked: &Asked) {
        self.settle();
        let at = self.world.now();
        self.judge(at, &monitors::Happened::Answered(asked));
    }

    /// A number for another process.
    pub(super) fn new_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    fn judge(&mut self, at: Duration, event: &monitors::Happened<'_>) {
        for what in self.monitors.on(at, event) {
            self.complain_at(at, what);
        }
    }

    /// Nothing more happens: what is owed is told.
    pub(super) fn finish(&mut self) {
        self.settle();
        let (at, looks) = (self.world.now(), self.world.proxy.looks);
        for what in self.monitors.finish(at, looks) {
            self.complain_at(at, what);
        }
    }

    /// Things begin to go wrong: so much may be late until `until`, and for a while after it.
    pub(super) fn suffer(&mut self, faults: Faults, lateness: Duration) {
        let patience = faults.until() + AFTERWARDS;
        // What was written with a wrong clock is compared with later ones, too.
        self.monitors.skew(faults.most_skew());
        self.faults = faults;
        self.monitors.bear(Leniency { lateness, patience });
    }

    /// Nothing goes wrong any more: who has to do something does it in time again.
    pub(super) fn recover(&mut self) {
        self.settle();
        self.monitors.excuse();
        self.monitors.bear(Leniency::of(&self.world.nature));
    }

    /// Reads what has happened: the rules are asked about each change at the moment of that change.
    pub(super) fn settle(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            match event.what {
                Happened::Change(change) => {
                    if !matches!(change.key.plural, "events" | "leases") {
                        self.changes += 1;
                    }
                    self.counts.count(&change);
                    self.judge(event.at, &monitors::Happened::Change(&change));
                }
                Happened::Lost(what) => {
                    self.judge(event.at, &monitors::Happened::Lost(&what));
                }
                Happened::Complaint(what) => self.complain_at(event.at, what),
                Happened::Note(line) => self.trace_at(event.at, line),
            }
        }
    }
}

/// Does what is due in the world when it is due, for ever.
pub(super) async fn live(shared: Shared) {
    loop {
        let next = {
            let mut run = shared.lock();
            let next = run.world.act();
            next.map(|at| at.saturating_sub(run.world.now()))
        };
        let timer = async {
            match next {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.signals.planned.notified() => {}
            () = timer => {}
        }
    }
}
