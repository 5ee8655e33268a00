//! How far a long run is, told at least every two seconds.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

const EVERY: Duration = Duration::from_millis(1_900);

pub(super) struct Progress {
    told: bool,
    begun: Instant,
    /// What is being played.
    what: Mutex<String>,
    /// Of that, and of everything before it.
    done: AtomicU64,
    all: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    /// Tells on the standard output.
    pub(super) fn told() -> Self {
        Self {
            told: true,
            begun: Instant::now(),
            what: Mutex::default(),
            done: AtomicU64::default(),
            all: AtomicU64::default(),
            failed: AtomicU64::default(),
            over: AtomicBool::default(),
        }
    }

    pub(super) fn silent() -> Self {
        Self {
            told: false,
            ..Self::told()
        }
    }

    pub(super) fn begin(&self, what: String) {
        *self.what.lock().expect("no panic") = what;
        self.done.store(0, Ordering::Relaxed);
    }

    pub(super) fn step(&self, failed: bool) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
    }

    /// Tells something besides.
    pub(super) fn say(&self, what: &str) {
        if self.told {
            println!("{what}");
        }
    }

    /// Tells how far it is while `work` goes on.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let teller = scope.spawn(|| {
                while !self.over.load(Ordering::Relaxed) {
                    thread::park_timeout(EVERY);
                    self.tell();
                }
            });
            let done = work();
            self.over.store(true, Ordering::Relaxed);
            teller.thread().unpark();
            done
        })
    }

    fn tell(&self) {
        println!(
            "{:>5} s  {}: {} played; {} in all, {} failed",
            self.begun.elapsed().as_secs(),
            self.what.lock().expect("no panic"),
            self.done.load(Ordering::Relaxed),
            self.all.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        );
    }
}
