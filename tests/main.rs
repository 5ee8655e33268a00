//! The one integration binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "these are all tests: a failed step ends them, and json!() is handed over as it is"
)]

mod architecture;
mod chart;
mod cli;
#[cfg(feature = "control-plane")]
mod cluster;
mod conformance;
mod crds;
mod examples;
mod manifests;
mod readme;
mod sim;
mod simulate;
