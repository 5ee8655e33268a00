//! T: no request is lost because of us.

mod bring_back;
mod capacity;
mod drain;
mod fields;
mod freeze;
mod lost;
mod monotone;
mod names;
mod order;
mod ready;
mod repoint;
mod restart;
mod rounding;
mod scaling;
mod stable_floor;
mod stable_pointer;
mod step_cap;
mod sum;
mod superseded;
mod switch;

use super::{Monitor, per_release::each};

pub(super) fn all() -> Vec<Box<dyn Monitor>> {
    vec![
        each::<ready::Ready>(),
        each::<capacity::Capacity>(),
        each::<stable_floor::StableFloor>(),
        each::<order::Order>(),
        each::<drain::Drain>(),
        each::<sum::Sum>(),
        each::<names::Names>(),
        each::<repoint::Repoint>(),
        each::<superseded::Superseded>(),
        each::<step_cap::StepCap>(),
        each::<monotone::Monotone>(),
        each::<bring_back::BringBack>(),
        each::<stable_pointer::StablePointer>(),
        each::<switch::Switch>(),
        each::<freeze::Freeze>(),
        each::<scaling::Scaling>(),
        Box::new(fields::Fields),
        Box::new(restart::Restart::default()),
        each::<rounding::Rounding>(),
        Box::new(lost::Lost),
    ]
}
