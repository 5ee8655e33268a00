//! Follows the Rollout: its newest state, and when its weight changed. What that means is *not* here.

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use kube::{
    Api,
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{report::WeightChange, rollout::Seen};

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    pub(super) seen: Seen,
    pub(super) changes: Vec<WeightChange>,
}

/// A watch of one Rollout. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct RolloutWatch {
    observed: watch::Receiver<Observed>,
    _task: AbortOnDropHandle<()>,
}

impl RolloutWatch {
    pub(super) fn start(rollouts: Api<DynamicObject>, name: &str) -> Self {
        let (sender, observed) = watch::channel(Observed::default());
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let task = async move {
            let events = watcher::watcher(rollouts, only).default_backoff();
            pin_mut!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        see(&sender, &object);
                    }
                    Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
                    Err(error) => tracing::warn!(%error, "watching the Rollout, will try again"),
                }
            }
        };
        Self {
            observed,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    /// The newest state.
    pub(super) fn observed(&self) -> Observed {
        self.observed.borrow().clone()
    }

    /// Returns when there is a newer state than at the last call.
    pub(super) async fn changed(&mut self) -> Result<()> {
        let changed = self.observed.changed().await;
        changed.context("the watch of the Rollout has ended")
    }
}

fn see(sender: &watch::Sender<Observed>, object: &DynamicObject) {
    // An object that came from JSON goes back to it; an empty one shows as nothing seen.
    let seen = Seen::read(&serde_json::to_value(object).unwrap_or_default());
    sender.send_modify(|observed| {
        let before = observed.changes.last().map_or(0, |change| change.weight);
        if seen.weight != before {
            observed.changes.push(WeightChange {
                at: Instant::now(),
                weight: seen.weight,
            });
        }
        observed.seen = seen;
    });
}
