//! The life of the process around the controllers: clock, client, leader election, health, metrics, logs, shutdown,
//! and the small memories the shells keep between two reconciles.
//!
//! Nothing here knows what a Rollout is or decides anything about one: that is `rollout`.

pub mod backoff;
pub mod client;
pub mod clock;
pub mod doubts;
pub mod events;
pub mod health;
pub mod instruments;
pub mod lease;
pub mod shutdown;
pub mod telemetry;
pub mod write_log;
