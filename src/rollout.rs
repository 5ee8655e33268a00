//! The life of a Rollout: observe → decide → act.
//!
//! `decide` is pure and is the product; `observe`, `act` and `controller` are its shell.

pub mod act;
pub mod controller;
pub mod decide;
pub mod decision;
pub mod memories;
pub mod observe;
mod own_writes;
mod recognise;
pub mod snapshot;
pub(crate) mod status;
mod tell;
pub mod workload_restore;
