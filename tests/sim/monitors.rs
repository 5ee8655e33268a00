//! The rules that hold after every commit, whatever happens: T (traffic), D (decisions), C (control), L (liveness). T1 and so
//! on are their names in our lists; each has its place in `traffic`, `decisions`, `control` or `liveness`, or a reason in `exempt`.
//!
//! They follow everything that happens in one ordered log, and keep a picture of the cluster of their own (`view`), so that each
//! is judged at exactly its commit. Not here: whether requests are lost on the way (`proxy`).

mod asked;
mod control;
mod debt;
mod decisions;
mod exempt;
mod liveness;
mod per_release;
mod release;
mod routes;
mod steps;
mod traffic;
mod view;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

pub(in crate::sim) use control::watch_panics;
pub(in crate::sim) use exempt::watched;
use jiff::Timestamp;
use serde_json::Value;
use tidegate::sim::{
    store::{Change, Key},
    world::Nature,
};
pub(in crate::sim) use view::View;

/// From a change to the last write of a reconcile that has not seen it, without a fault.
const LATENCY: Duration = Duration::from_millis(200);

/// Something that happened, in the order in which it did.
#[derive(Clone, Debug)]
pub(in crate::sim) enum Happened<'a> {
    /// An object has changed.
    Change(&'a Change),
    /// The server has answered a request of the controller that was to change something.
    Request(&'a Asked),
    /// The answer has reached the controller.
    Answered(&'a Asked),
    /// A request of a user is lost, or may be: how.
    Lost(&'a str),
}

/// A request of a controller, and how it was answered.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct Asked {
    /// Which process asks.
    pub(in crate::sim) process: u64,
    /// When it was sent.
    pub(in crate::sim) sent: Duration,
    /// What it is about.
    pub(in crate::sim) key: Option<Key>,
    /// `create`, `update`, `patch` or `delete`.
    pub(in crate::sim) verb: &'static str,
    pub(in crate::sim) status: bool,
    /// The resourceVersion that it was computed from.
    pub(in crate::sim) version: Option<String>,
    /// The uid that it is meant for.
    pub(in crate::sim) uid: Option<String>,
    pub(in crate::sim) body: Value,
    /// Nothing is to be kept of it.
    pub(in crate::sim) dry_run: bool,
    pub(in crate::sim) code: u16,
    /// Whether it has changed anything.
    pub(in crate::sim) changed: bool,
    /// The resourceVersion in the answer.
    pub(in crate::sim) answered: Option<u64>,
}

/// What a monitor has seen.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct Told {
    /// How often each rule was put to the test.
    pub(in crate::sim) tested: BTreeMap<&'static str, u64>,
    broken: Vec<String>,
}

impl Told {
    /// Puts a rule to the test.
    fn check(&mut self, rule: &'static str, holds: bool, what: impl FnOnce() -> String) {
        *self.tested.entry(rule).or_default() += 1;
        if !holds {
            self.broken.push(format!("{rule}: {}", what()));
        }
    }
}

/// Watches over one rule, or a few that belong together.
trait Monitor: Send + Sync {
    /// Takes note of what happened, and tells what is wrong with it.
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told);
    /// Nobody can be blamed for time in which there was no controller.
    fn excuse(&mut self) {}
    /// Nothing more happens.
    fn finish(&mut self, _: &View, _: &mut Told) {}
    /// Worlds are copied, and whoever watches over them with them.
    fn copy(&self) -> Box<dyn Monitor>;
}

/// All of them.
pub(in crate::sim) struct Monitors {
    view: View,
    all: Vec<Box<dyn Monitor>>,
    pub(in crate::sim) told: Told,
}

impl Clone for Monitors {
    fn clone(&self) -> Self {
        Self {
            view: self.view.clone(),
            all: self.all.iter().map(|monitor| monitor.copy()).collect(),
            told: self.told.clone(),
        }
    }
}

/// How much the monitors bear with.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Leniency {
    /// How old may be what a controller acts on: latency, and how late faults make watches.
    pub(in crate::sim) lateness: Duration,
    /// How long a live controller may take to do what it has to, an election included.
    pub(in crate::sim) patience: Duration,
}

impl Leniency {
    /// Without a fault.
    pub(in crate::sim) fn of(nature: &Nature) -> Self {
        Self {
            lateness: LATENCY,
            patience: nature.bring_back,
        }
    }
}

impl Monitors {
    pub(in crate::sim) fn new(epoch: Timestamp, leniency: Leniency) -> Self {
        let all = [
            traffic::all(),
            decisions::all(),
            control::all(),
            liveness::all(),
        ];
        Self {
            view: View::new(epoch, leniency),
            all: all.into_iter().flatten().collect(),
            told: Told::default(),
        }
    }

    /// What this breaks.
    pub(in crate::sim) fn on(&mut self, at: Duration, event: &Happened<'_>) -> Vec<String> {
        self.view.follow(at, event);
        for monitor in &mut self.all {
            monitor.on(event, &self.view, &mut self.told);
        }
        let by = match event {
            Happened::Change(change) => format!(" (by a write to {})", change.key),
            Happened::Request(_) | Happened::Answered(_) | Happened::Lost(_) => String::new(),
        };
        self.told.broken.drain(..).map(|what| what + &by).collect()
    }

    /// Bears with so much from here on: runs with faults say how late those make things.
    pub(in crate::sim) fn bear(&mut self, leniency: Leniency) {
        self.view.leniency = leniency;
    }

    /// What happens from here on follows from a request that was sent then, or from none.
    pub(in crate::sim) fn follows(&mut self, sent: Option<Duration>) {
        self.view.follows(sent);
    }

    /// Clocks of controllers may be so far from ours from here on.
    pub(in crate::sim) fn skew(&mut self, by: Duration) {
        self.view.skew = self.view.skew.max(by);
    }

    /// Nobody can be blamed for time in which there was no controller.
    pub(in crate::sim) fn excuse(&mut self) {
        for monitor in &mut self.all {
            monitor.excuse();
        }
    }

    /// What is owed at the end. The proxies have looked so often where a request may go.
    pub(in crate::sim) fn finish(&mut self, at: Duration, looks: u64) -> Vec<String> {
        self.view.pass(at);
        *self.told.tested.entry("T21").or_default() += looks;
        for monitor in &mut self.all {
            monitor.finish(&self.view, &mut self.told);
        }
        std::mem::take(&mut self.told.broken)
    }
}
