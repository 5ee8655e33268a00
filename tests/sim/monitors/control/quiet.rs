//! C2: no write changes nothing; and where nobody else does anything, at most two a minute go to one object.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tidegate::sim::store::{By, Key};

use crate::sim::monitors::{Happened, Monitor, Told, View};

const MINUTE: Duration = Duration::from_secs(60);
const MOST: usize = 2;

#[derive(Clone, Default)]
pub(super) struct Quiet {
    /// When anybody else last did something, or a Rollout or AnalysisRun came into another state.
    busy: Duration,
    writes: BTreeMap<Key, VecDeque<Duration>>,
}

impl Monitor for Quiet {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        match event {
            Happened::Change(change) => {
                let moves = ["/status/phase", "/status/currentStepIndex", "/spec"]
                    .into_iter()
                    .any(|path| {
                        change
                            .before
                            .as_ref()
                            .and_then(|before| before.pointer(path))
                            != change.object.pointer(path)
                    });
                let alone = change.by == By::Controller && !moves;
                if !alone && !matches!(change.key.plural, "leases" | "events") {
                    self.busy = view.now;
                }
            }
            Happened::Request(asked) => {
                let Some(key) = &asked.key else { return };
                if !(200..300).contains(&asked.code) || matches!(key.plural, "events" | "leases") {
                    return;
                }
                if asked.dry_run {
                    return;
                }
                told.check("C2", asked.changed, || {
                    format!("a {} of {key} changes nothing: {}", asked.verb, asked.body)
                });
                let times = self.writes.entry(key.clone()).or_default();
                times.push_back(view.now);
                while times
                    .front()
                    .is_some_and(|first| *first + MINUTE < view.now)
                {
                    times.pop_front();
                }
                // Measurements go on as long as there is something to measure.
                let idle =
                    view.now.saturating_sub(self.busy) > MINUTE && key.plural != "analysisruns";
                told.check("C2", !idle || times.len() <= MOST, || {
                    format!(
                        "{key} is written {} times in a minute in which nothing happens",
                        times.len()
                    )
                });
            }
            Happened::Answered(_) | Happened::Lost(_) => {}
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
