//! Tests on a real control plane: run by `make test` inside the testbed, compiled with the feature `control-plane`.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod analysis;
mod canary;
mod chart;
mod cli;
mod crds;
mod demo_app;
mod examples;
mod gateway_api;
mod harness;
mod kubectl;
mod manifests;
mod negative_control;
mod requests;
