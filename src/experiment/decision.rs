//! What was decided about an Experiment, as data. Actions, notes and times are those of `rollout::decision`.

use crate::{
    api::experiment::ExperimentStatus,
    rollout::decision::{Action, Next, Note},
};

/// The outcome of one look at an Experiment.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ExperimentDecision {
    /// To be carried out in this order; the first failure stops the rest.
    pub actions: Vec<Action>,
    /// The whole new status.
    pub status: ExperimentStatus,
    /// What to tell people: edges, not states.
    pub notes: Vec<Note>,
    /// When to look again if nothing changes before.
    pub next: Next,
}
