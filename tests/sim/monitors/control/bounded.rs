//! C14: a status does not grow for ever, and no Rollout keeps the API server busy.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::Value;
use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View};

/// Bytes of a status.
const LARGEST: usize = 64 * 1024;
/// Writes in a minute for each Rollout, AnalysisRuns and Experiments included.
const BUSIEST: usize = 240;

#[derive(Clone, Default)]
pub(super) struct Bounded {
    /// By process.
    writes: BTreeMap<u64, VecDeque<Duration>>,
}

impl Monitor for Bounded {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        match event {
            Happened::Change(change) => {
                let ours = matches!(
                    change.key.plural,
                    "rollouts" | "analysisruns" | "experiments"
                );
                if !ours || change.by != By::Controller || change.deleted {
                    return;
                }
                let size = length(&change.object["status"]);
                told.check("C14", size <= LARGEST, || {
                    format!("a status of {size} bytes")
                });
            }
            Happened::Request(asked) => {
                if asked
                    .key
                    .as_ref()
                    .is_none_or(|key| matches!(key.plural, "leases" | "events"))
                {
                    return;
                }
                let writes = self.writes.entry(asked.process).or_default();
                writes.push_back(view.now);
                while writes
                    .front()
                    .is_some_and(|first| *first + Duration::from_secs(60) < view.now)
                {
                    writes.pop_front();
                }
                let most = BUSIEST * view.releases().count().max(1);
                told.check("C14", writes.len() <= most, || {
                    format!("{} writes in a minute", writes.len())
                });
            }
            Happened::Answered(_) | Happened::Lost(_) => {}
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}

/// About how long it is as text.
fn length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 6,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| length(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => {
            let members = fields
                .iter()
                .map(|(name, value)| name.len() + 4 + length(value));
            members.sum::<usize>() + 2
        }
    }
}
