//! Tidegate: progressive delivery for Kubernetes.
//!
//! - [`api`]: the objects in the cluster.
//! - `rollout`, `analysis`: what decides about them, each a pure core in a thin shell.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod api;
pub mod cli;
pub mod runtime;
