//! L: what has to happen does, once nothing stands in the way.

mod aborted;
mod accepted;
mod autoscaled;
mod deadline;
mod pauses;
mod put_back;
mod reasons;
mod rest;
mod retried;
mod superseded;

use super::{Monitor, per_release::each};

pub(super) fn all() -> Vec<Box<dyn Monitor>> {
    vec![
        each::<aborted::Aborted>(),
        each::<reasons::Reasons>(),
        each::<rest::Rest>(),
        each::<deadline::Deadline>(),
        each::<accepted::Accepted>(),
        each::<retried::Retried>(),
        each::<superseded::Superseded>(),
        Box::new(put_back::PutBack::default()),
        each::<pauses::Pauses>(),
        each::<autoscaled::Autoscaled>(),
    ]
}
