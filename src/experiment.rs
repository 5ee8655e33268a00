//! Experiments: short-lived versions side by side, with Services and analyses, to a verdict.
//!
//! The same shape as `rollout`: observe → decide → act. Writing is `rollout::act`'s. Not here: the step of a Rollout that
//! makes one (`rollout::decide::experiments`).

pub mod controller;
pub mod decide;
pub mod decision;
pub mod observe;
pub mod snapshot;
