//! Tests on a real control plane: run by `make test` inside the testbed, compiled with the feature `control-plane`.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod analysis;
mod bad_input;
mod blue_green;
mod canary;
mod chart;
mod cli;
mod cluster_mode;
mod conformance;
mod crds;
mod deletion;
mod demo_app;
mod examples;
mod experiments;
mod faults;
mod gateway_api;
mod harness;
mod header_routes;
mod kubectl;
mod leader;

mod missing;
mod negative_control;
mod observability;
mod pods;
mod recovery;
mod references;
mod requests;
mod scaling;
mod takeover;
mod traffic;
mod workload;
