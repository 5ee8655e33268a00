//! The canary strategy: the order in which its rules are asked.
//!
//! Not here: any of the rules.

use super::{
    abort, analyses, history, intents, ledger,
    pass::{Mode, Pass},
    progress, replica_set, revisions, scale, services, steps, traffic, validate,
};
use crate::rollout::decision::Outcome;

pub(super) fn decide(pass: &mut Pass<'_>) {
    validate::check(pass);
    revisions::begin(pass);
    intents::answer(pass);
    analyses::heed(pass);
    progress::measure(pass);
    abort::settle(pass);
    tell_stop(pass);
    advance(pass);
    ledger::update(pass);
    replica_set::ensure_new(pass);
    services::pin(pass);
    traffic::shift(pass);
    scale::size(pass);
    analyses::run_all(pass);
    history::prune(pass);
}

/// What stops everything is told before what else is waited for.
fn tell_stop(pass: &mut Pass<'_>) {
    if let Some(why) = pass.hold.clone() {
        pass.wait(why, None);
    } else if pass.spec.paused && pass.mode() != Mode::Aborted {
        pass.wait("spec.paused to become false", None);
    }
}

/// Takes the steps that are done, and promotes after the last one.
fn advance(pass: &mut Pass<'_>) {
    match pass.mode() {
        Mode::Stable | Mode::Aborted => return,
        Mode::Stepping | Mode::Full => {}
    }
    if pass.frozen() {
        return;
    }
    let outcome = match steps::advance(pass) {
        Outcome::Done => steps::reached(pass, pass.max_weight()),
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
    };
    match outcome {
        Outcome::Done => promote(pass),
        Outcome::Wait(wait) => pass.wait(wait.why, wait.until),
        Outcome::Fail(cause) => abort::abort(pass, cause),
    }
}

/// The new version is the stable one from here on. Traffic already is where it belongs: Services and weights follow.
fn promote(pass: &mut Pass<'_>) {
    pass.note(
        false,
        "RolloutCompleted",
        format!(
            "Rollout completed update to revision {} ({}): all steps are done",
            pass.status.revision.unwrap_or(0),
            pass.revisions.new_hash
        ),
    );
    pass.status.stable_rs.clone_from(&pass.revisions.new_hash);
    pass.revisions
        .stable_hash
        .clone_from(&pass.revisions.new_hash);
    pass.status.current_step_index = Some(revisions::steps_len(pass));
    pass.status.promote_full = false;
    pass.status.pause_conditions.clear();
    pass.status.controller_pause = false;
}
