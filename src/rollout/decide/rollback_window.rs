//! `rollbackWindow`: going back to one of the last stable versions skips steps, pauses and analyses.
//!
//! Versions are counted by revision, the order in which they were declared; only one that was stable once counts as proven.
//! Not here: the stable version itself, which needs no window, and blue-green's way back to pods that are still there.

use super::pass::{Mode, Pass};

/// Decides once, when the new revision begins.
pub(super) fn begin(pass: &mut Pass<'_>) {
    let before = &pass.snapshot.rollout.status.current_pod_hash;
    if *before == pass.revisions.new_hash || pass.mode() != Mode::Stepping {
        return;
    }
    let Some(window) = window(pass) else { return };
    let Some(back) = revisions_back(pass) else {
        return;
    };
    if back <= window && was_stable(pass) {
        pass.status.promote_full = true;
        pass.note(
            false,
            "SkipSteps",
            format!(
                "going back {back} revisions, within the window of {window}: steps, pauses and analyses are skipped"
            ),
        );
    }
}

fn window(pass: &Pass<'_>) -> Option<usize> {
    let revisions = pass.spec.rollback_window.as_ref()?.revisions?;
    usize::try_from(revisions).ok()
}

/// How many revisions the declared version is behind the stable one.
fn revisions_back(pass: &Pass<'_>) -> Option<usize> {
    let (new, stable) = (pass.revisions.new?, pass.revisions.stable()?);
    let between = pass
        .revisions
        .old
        .iter()
        .filter(|set| set.revision > new.revision && set.revision < stable.revision);
    (new.revision < stable.revision).then(|| between.count() + 1)
}

fn was_stable(pass: &Pass<'_>) -> bool {
    let mut entries = pass.status.ledger.iter();
    entries.any(|entry| entry.was_stable && entry.pod_template_hash == pass.revisions.new_hash)
}

/// The old revision number of a version that comes back is kept until what it decides is in the status: a crash in
/// between must not take the way back.
pub(super) fn keeps_number(pass: &Pass<'_>) -> bool {
    pass.spec.rollback_window.is_some()
        && pass.snapshot.rollout.status.current_pod_hash != pass.revisions.new_hash
}
