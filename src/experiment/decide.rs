//! `decide`: from one look at an Experiment to what is to be done. Pure: no client, no clock, no randomness, no async.
//!
//! One file per rule; this one only calls them in order. Not here: how anything is observed or written.

mod analyses;
mod arguments;
mod conditions;
mod pass;
mod replica_sets;
mod services;
mod templates;
mod validate;
mod verdict;

#[cfg(test)]
mod tests;

pub use analyses::template_refs;
pub use conditions::note_of_action;
pub use pass::{replica_set_name, service_name};
pub use validate::validate;

use super::{decision::ExperimentDecision, snapshot::ExperimentSnapshot};
use crate::rollout::decision::Next;
use pass::Pass;

/// Decides what follows from `snapshot`.
pub fn decide(snapshot: &ExperimentSnapshot) -> ExperimentDecision {
    if snapshot.experiment.deleting {
        // Owner references take everything away.
        return ExperimentDecision {
            actions: Vec::new(),
            status: snapshot.experiment.status.clone(),
            notes: Vec::new(),
            next: Next::OnChange,
        };
    }
    let spec = match &snapshot.experiment.spec {
        Ok(spec) => spec,
        Err(message) => return conditions::unreadable(snapshot, message),
    };
    let mut pass = Pass::new(snapshot, spec);
    validate::check(&mut pass);
    analyses::heed(&mut pass);
    templates::measure(&mut pass);
    verdict::settle(&mut pass);
    services::settle(&mut pass);
    replica_sets::settle(&mut pass);
    analyses::run_all(&mut pass);
    pass.finish()
}
