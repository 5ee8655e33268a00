//! Tidegate: progressive delivery for Kubernetes.
//!
//! - [`api`]: the objects in the cluster.
//! - [`rollout`], [`analysis`], [`experiment`]: what decides about them, each a pure core in a thin shell.
//! - [`traffic`]: the routers, and putting back what they changed.
//! - [`caches`]: what is watched. [`runtime`]: the process. [`controller`]: all of it put together.
//! - [`cli`]: the commands. [`mutants`]: bugs put back, in builds for tests only.
//!
//! The pure core (`rollout::decide`, `analysis::{decide, judge, render}`, `experiment::decide`, `traffic` but for its shells, `api`) takes data
//! and returns data; `tests/architecture.rs` holds it to that.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod api;
pub mod caches;
pub mod cli;
pub mod controller;
pub mod experiment;
pub mod mutants;
pub mod rollout;
pub mod runtime;
pub mod sim;
pub mod simulate;
pub mod traffic;
