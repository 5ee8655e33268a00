//! The canary strategy: its steps are taken one after the other, and after the last one all traffic is on the new version.
//!
//! Not here: the steps (`steps`), weights (`traffic`) and sizes (`scale`).

mod pins;

pub(super) use pins::pin;

use super::{bake, pass::Pass, steps};
use crate::{
    mutants::{Mutant, mutated},
    rollout::decision::Outcome,
};

/// Takes the steps that are done. `Done` when the new version has all of the traffic, and had it for as long as it must.
pub(super) fn advance(pass: &mut Pass<'_>) -> Outcome {
    let all_traffic = match steps::advance(pass) {
        Outcome::Done if mutated(Mutant::A2WaitIsDone) => Outcome::Done,
        Outcome::Done => steps::reached(pass, pass.max_weight()),
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
    };
    match all_traffic {
        Outcome::Done => bake::gate(pass),
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
    }
}
