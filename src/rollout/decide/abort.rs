//! Giving up on a new version: what is recorded. Traffic, Services and pods follow from the mode.
//!
//! Not here: who decides to abort (`intents`, `analyses`, `progress`, `steps`).

use super::{
    pass::{Mode, Pass},
    revisions,
};

/// Records the abort. An abort is latched until a retry or another pod template.
pub(super) fn abort(pass: &mut Pass<'_>, cause: String) {
    match pass.mode() {
        Mode::Stable | Mode::Aborted => return,
        Mode::Stepping | Mode::Full => {}
    }
    pass.status.abort = true;
    pass.status.abort_cause = Some(cause);
    settle(pass);
}

/// Completes an abort, also one that a client wrote into the status: no step, no pause, no promotion is left.
pub(super) fn settle(pass: &mut Pass<'_>) {
    if pass.mode() != Mode::Aborted {
        // There is nothing to abort: the declared version is the stable one.
        pass.status.abort = false;
        return;
    }
    // Neither a client nor a promotion that came earlier may turn a later retry into a promotion.
    pass.status.promote_full = false;
    if pass.status.aborted_at.is_some() {
        return;
    }
    pass.status.aborted_at = Some(pass.now());
    let cause = pass
        .status
        .abort_cause
        .get_or_insert_with(|| "requested in status.abort".to_owned())
        .clone();
    revisions::restart(pass);
    pass.status.blue_green.live_size = None;
    pass.note(
        true,
        "RolloutAborted",
        format!(
            "Rollout aborted update to revision {}: {cause}",
            pass.status.revision.unwrap_or(0)
        ),
    );
}
