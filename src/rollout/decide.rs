//! `decide`: from one look at the world to what is to be done. Pure: no client, no clock, no randomness, no async.
//!
//! One file per rule; this one only calls them in order. Not here: how anything is observed or written.

mod abort;
mod analyses;
mod anti_affinity;
mod autoscaling;
mod bake;
mod blue_green;
mod canary;
mod conditions;
mod duration;
mod ephemeral_metadata;
mod experiments;
mod header_routes;
mod history;
mod intents;
mod ledger;
mod notes;
mod pass;
mod pauses;
mod pending;
mod pod_ratio;
mod progress;
mod promotion;
mod replica_set;
mod restart;
mod revisions;
mod rollback_window;
mod scale;
mod services;
mod stable_scale;
mod steps;
mod summary;
mod takeover;
mod threshold;
mod traffic;
mod validate;
mod workload;
mod workload_scale;

#[cfg(test)]
mod tests;

pub use analyses::template_refs;
pub use notes::note_of_action;
pub use restart::wants_pods;
pub use revisions::pod_template_hash;
pub use steps::describe as describe_step;
pub use takeover::same_template;
pub use validate::{FieldError, validate};

use super::{
    decision::{Decision, Next},
    snapshot::Snapshot,
};
use crate::api::strategy::Declared;
use pass::{Mode, Pass};

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
    let resolved = workload::resolve(snapshot, spec);
    let spec = resolved.as_ref().unwrap_or(spec);
    let Some(strategy) = spec.strategy.declared() else {
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
    if let Some(recognise) = takeover::recognise(snapshot, spec) {
        return Decision {
            actions: vec![recognise],
            status: snapshot.rollout.status.clone(),
            notes: Vec::new(),
            next: Next::OnChange,
        };
    }
    let mut pass = Pass::new(snapshot, spec, strategy);
    ask_in_order(&mut pass);
    pass.finish()
}

fn ask_in_order(pass: &mut Pass<'_>) {
    validate::check(pass);
    revisions::begin(pass);
    match pass.strategy {
        Declared::Canary(_) => traffic::heed(pass),
        Declared::BlueGreen(_) => blue_green::begin(pass),
    }
    rollback_window::begin(pass);
    intents::answer(pass);
    analyses::heed(pass);
    experiments::heed(pass);
    progress::measure(pass);
    abort::settle(pass);
    tell_stop(pass);
    promotion::advance(pass);
    ledger::update(pass);
    restart::advance(pass);
    replica_set::ensure_new(pass);
    match pass.strategy {
        Declared::Canary(_) => canary::pin(pass),
        Declared::BlueGreen(strategy) => blue_green::pin(pass, strategy),
    }
    traffic::shift(pass);
    match pass.strategy {
        Declared::Canary(_) => scale::size(pass),
        Declared::BlueGreen(strategy) => blue_green::size(pass, strategy),
    }
    analyses::run_all(pass);
    workload_scale::size(pass);
    experiments::settle(pass);
    history::prune(pass);
    ephemeral_metadata::keep(pass);
}

/// What stops everything is told before what else is waited for.
fn tell_stop(pass: &mut Pass<'_>) {
    if let Some(why) = pass.hold.clone() {
        pass.wait(why, None);
    } else if pass.spec.paused && pass.mode() != Mode::Aborted {
        pass.wait("spec.paused to become false", None);
    }
}
