//! How many pods the stable and the new version have.
//!
//! Not here: when the last pods of a version may go (`scale`, by the ledger).

use jiff::Timestamp;

use super::is_decided;
use crate::{
    api::{blue_green::BlueGreenStrategy, rollout_status::LiveSize},
    rollout::{
        decide::{
            pass::{DEFAULT_DELAY, Mode, Pass, after},
            scale,
        },
        snapshot::ReplicaSetView,
    },
};

/// Sizes all ReplicaSets.
pub(in crate::rollout::decide) fn size(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) {
    if let Some(stable) = pass.revisions.stable() {
        let want = live(pass);
        scale::scale(pass, stable, want);
    }
    if pass.mode() != Mode::Stable
        && let Some(new) = pass.revisions.new
    {
        let want = if pass.mode() == Mode::Aborted {
            aborted_size(pass, new, strategy)
        } else {
            wanted_new(pass, strategy)
        };
        scale::scale(pass, new, want);
    }
    scale::size_leftovers(pass);
}

/// Pods of the new version now wanted: those of the preview until the switch is decided.
pub(in crate::rollout::decide) fn wanted_new(pass: &Pass<'_>, strategy: &BlueGreenStrategy) -> i32 {
    let replicas = pass.replicas();
    match pass.mode() {
        Mode::Stable | Mode::Full => replicas,
        Mode::Aborted => 0,
        // Nothing new begins.
        Mode::Stepping
            if pass.frozen() && pass.revisions.new.is_none_or(|new| new.replicas == 0) =>
        {
            0
        }
        Mode::Stepping if is_decided(pass) || replicas == 0 => replicas,
        Mode::Stepping => strategy
            .preview_replica_count
            .map_or(replicas, |count| count.max(0)),
    }
}

/// Pods of the stable version. A size that was declared together with a new version is for the new version: what serves
/// keeps its own until the switch. A size declared later is followed up at once, for it is about the load; down with the switch.
fn live(pass: &Pass<'_>) -> i32 {
    let replicas = pass.replicas();
    match (pass.mode(), pass.status.blue_green.live_size) {
        (Mode::Stable | Mode::Aborted, _) | (Mode::Stepping | Mode::Full, None) => replicas,
        (Mode::Stepping | Mode::Full, Some(_)) if replicas == 0 => 0,
        (
            Mode::Stepping | Mode::Full,
            Some(LiveSize {
                replicas: size,
                declared,
            }),
        ) => {
            if declared == replicas {
                size
            } else {
                size.max(replicas)
            }
        }
    }
}

/// Until when an aborted version keeps its pods; for ever with `abortScaleDownDelaySeconds: 0`.
pub(super) fn kept_until(pass: &mut Pass<'_>, strategy: &BlueGreenStrategy) -> Timestamp {
    let delay = strategy
        .abort_scale_down_delay_seconds
        .unwrap_or(DEFAULT_DELAY);
    let aborted = pass.status.aborted_at;
    match aborted {
        Some(aborted) if delay > 0 => {
            let until = after(aborted, delay);
            if pass.now() < until {
                pass.look_again(until);
            }
            until
        }
        Some(_) | None => Timestamp::MAX,
    }
}

fn aborted_size(pass: &mut Pass<'_>, new: &ReplicaSetView, strategy: &BlueGreenStrategy) -> i32 {
    if pass.now() < kept_until(pass, strategy) {
        new.replicas
    } else {
        scale::to_zero_after(pass, new, 0)
    }
}
