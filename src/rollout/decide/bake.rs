//! The bake: the new version has all traffic, and the old one stays whole until the new one has proven itself for a while.
//!
//! Only then it becomes the stable version; until then an abort takes one write. Not here: the analyses themselves
//! (`analyses`), and the way back (`abort`, `traffic`, `blue_green`).

use jiff::Timestamp;

use super::{
    analyses::{self, Role},
    pass::{Mode, Pass},
    pauses,
};
use crate::{api::duration, rollout::decision::Outcome};

/// What clients are told while it goes on.
pub(super) const UNFINISHED: &str = "waiting for the bake to end";

/// Whether a bake is under way.
pub(super) fn is_on(pass: &Pass<'_>) -> bool {
    pass.mode() == Mode::Stepping && pass.status.bake.started_at.is_some()
}

/// The whole of its time is over.
pub(super) fn is_over(pass: &Pass<'_>) -> bool {
    end(pass).is_some_and(|end| pass.now() >= end)
}

fn end(pass: &Pass<'_>) -> Option<Timestamp> {
    let length = pass.strategy.bake()?.duration.as_ref()?;
    // `validate` has refused anything that is no duration.
    let length = duration::seconds_or_duration(length).ok()?;
    let start = pass.status.bake.started_at?;
    Some(start.saturating_add(length).unwrap_or(Timestamp::MAX))
}

/// Goes on from the first moment with all traffic to the end of the bake. `Done` where none is declared, and for a person
/// who has promoted.
pub(super) fn gate(pass: &mut Pass<'_>) -> Outcome {
    let Some(bake) = pass.strategy.bake() else {
        return Outcome::Done;
    };
    if pass.mode() != Mode::Stepping || pass.status.bake.promoted {
        return Outcome::Done;
    }
    if pauses::promoted(pass) && analyses::is_inconclusive(pass, Role::Bake) {
        return Outcome::Done;
    }
    if pass.status.bake.started_at.is_none() {
        pass.status.bake.started_at = Some(pass.now());
        let revision = pass.status.revision.unwrap_or(0);
        pass.note(
            false,
            "RolloutBaking",
            format!("Revision {revision} has all traffic; the version before it stays until the end of the bake"),
        );
    }
    // What a person has promoted before was another pause.
    pass.status.controller_pause = !pass.status.pause_conditions.is_empty();
    if let Some(analysis) = &bake.analysis {
        if !analyses::started(pass, Role::Bake) {
            return analyses::start(pass, analysis, Role::Bake);
        }
        if analyses::has_ended(pass, Role::Bake) {
            match analyses::outcome(pass, Role::Bake) {
                Outcome::Done => {}
                other @ (Outcome::Wait(_) | Outcome::Fail(_)) => return other,
            }
        } else if is_over(pass) {
            analyses::terminate(pass, Role::Bake);
            return analyses::outcome(pass, Role::Bake);
        }
    }
    match end(pass) {
        Some(end) if pass.now() < end => Outcome::wait_until("the bake to end", end),
        Some(_) | None => Outcome::Done,
    }
}

/// A person ends it.
pub(super) fn promote(pass: &mut Pass<'_>) -> String {
    pass.status.pause_conditions.clear();
    pass.status.controller_pause = false;
    pass.status.bake.promoted = true;
    format!(
        "ending the bake of revision {}",
        pass.status.revision.unwrap_or(0)
    )
}
