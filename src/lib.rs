//! Tidegate: progressive delivery for Kubernetes.
//!
//! - [`api`]: the objects in the cluster.
//! - `rollout`, `analysis`: what decides about them, each a pure core in a thin shell.
//! - [`runtime`]: what any controller needs to run at all.
//! - [`cli`]: the command line.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod api;
pub mod cli;
pub mod runtime;
