//! Defects that Argo Rollouts has or had, by the number of the thread that tells of them.

#![expect(
    clippy::large_stack_arrays,
    reason = "a handful of worlds, each played to its end"
)]

mod rolling_update;
mod sizes;
mod stuck;
mod traffic;
