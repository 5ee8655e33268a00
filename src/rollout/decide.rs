//! `decide`: from one look at the world to what is to be done. Pure: no client, no clock, no randomness, no async.
//!
//! One file per rule; this one only calls them in order. Not here: how anything is observed or written.

mod abort;
mod analyses;
mod canary;
mod conditions;
mod history;
mod intents;
mod ledger;
mod notes;
mod pass;
mod pod_ratio;
mod progress;
mod replica_set;
mod revisions;
mod scale;
mod services;
mod steps;
mod summary;
mod traffic;
mod validate;

#[cfg(test)]
mod tests;

pub use analyses::template_refs;
pub use notes::note_of_action;
pub use revisions::pod_template_hash;
pub use validate::{FieldError, validate};

use super::{
    decision::{Decision, Next},
    snapshot::Snapshot,
};
use pass::Pass;

/// Decides what follows from `snapshot`.
pub fn decide(snapshot: &Snapshot) -> Decision {
    if snapshot.rollout.deleting {
        // Owner references take pods and Ingresses away; Services are put back by `traffic::restore`.
        return Decision {
            actions: Vec::new(),
            status: snapshot.rollout.status.clone(),
            notes: Vec::new(),
            next: Next::OnChange,
        };
    }
    let spec = match &snapshot.rollout.spec {
        Ok(spec) => spec,
        Err(message) => return conditions::unreadable(snapshot, message),
    };
    let Some(strategy) = spec.strategy.canary.as_ref() else {
        return conditions::unreadable(
            snapshot,
            &validate::describe(&validate(spec).err().unwrap_or_default()),
        );
    };
    let adopted = replica_set::adopt(snapshot);
    if !adopted.is_empty() {
        return Decision {
            actions: adopted,
            status: snapshot.rollout.status.clone(),
            notes: Vec::new(),
            next: Next::OnChange,
        };
    }
    let mut pass = Pass::new(snapshot, spec, strategy);
    canary::decide(&mut pass);
    pass.finish()
}
