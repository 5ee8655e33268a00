//! C: whatever happens, it converges, and nobody else is trodden on.

mod bounded;
mod generation;
mod lease;
mod left_behind;
mod only_ours;
mod own_writes;
mod owners;
mod panics;
mod preconditions;
mod quiet;
mod step_index;
mod truthful;

use super::{Monitor, per_release::each};
pub(in crate::sim) use panics::watch as watch_panics;

pub(super) fn all() -> Vec<Box<dyn Monitor>> {
    vec![
        Box::new(quiet::Quiet::default()),
        Box::new(generation::Generation),
        each::<step_index::StepIndex>(),
        Box::new(lease::Lease::default()),
        Box::new(preconditions::Preconditions::default()),
        Box::new(owners::Owners::default()),
        Box::new(only_ours::OnlyOurs),
        Box::new(own_writes::OwnWrites::default()),
        Box::new(left_behind::LeftBehind),
        each::<truthful::Truthful>(),
        Box::new(bounded::Bounded::default()),
        Box::new(panics::Panics),
    ]
}
