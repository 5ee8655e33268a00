//! How an update goes on, and how it ends well: the new version becomes the stable one.
//!
//! Not here: what a strategy asks for until then (`canary`, `blue_green`).

use super::{
    abort, blue_green, canary, duration, ledger,
    pass::{Mode, Pass},
    revisions,
};
use crate::{api::strategy::Declared, rollout::decision::Outcome};

/// Goes as far as possible, and promotes when nothing is left to do.
pub(super) fn advance(pass: &mut Pass<'_>) {
    match pass.mode() {
        Mode::Stable | Mode::Aborted => return,
        Mode::Stepping | Mode::Full => {}
    }
    // Nothing is measured, switched or paused for a version before the status says that it is released.
    if pass.frozen() || !pass.is_recorded() {
        return;
    }
    let (outcome, cause) = match pass.strategy {
        Declared::Canary(_) => (canary::advance(pass), "all steps are done"),
        Declared::BlueGreen(strategy) => (
            blue_green::advance(pass, strategy),
            "it has taken over all traffic",
        ),
    };
    match outcome {
        Outcome::Done => promote(pass, cause),
        Outcome::Wait(wait) => pass.wait(wait.why, wait.until),
        Outcome::Fail(cause) => abort::abort(pass, cause),
    }
}

/// The new version is the stable one from here on. Traffic already is where it belongs: Services and weights follow.
fn promote(pass: &mut Pass<'_>, cause: &str) {
    pass.note(
        false,
        "RolloutCompleted",
        format!(
            "Rollout completed update to revision {} ({}): {cause}",
            pass.status.revision.unwrap_or(0),
            pass.revisions.new_hash
        ),
    );
    duration::promoted(pass);
    let before = std::mem::replace(&mut pass.status.stable_rs, pass.revisions.new_hash.clone());
    ledger::was_stable(pass, before);
    pass.revisions
        .stable_hash
        .clone_from(&pass.revisions.new_hash);
    revisions::finish(pass);
}
