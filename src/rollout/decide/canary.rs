//! The canary strategy: its steps are taken one after the other, and after the last one all traffic is on the new version.
//!
//! Not here: the steps (`steps`), weights (`traffic`) and sizes (`scale`).

mod pins;

pub(super) use pins::pin;

use super::{pass::Pass, steps};
use crate::rollout::decision::Outcome;

/// Takes the steps that are done. `Done` when the new version has all of the traffic.
pub(super) fn advance(pass: &mut Pass<'_>) -> Outcome {
    match steps::advance(pass) {
        Outcome::Done => steps::reached(pass, pass.max_weight()),
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
    }
}
