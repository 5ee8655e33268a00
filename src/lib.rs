//! Tidegate: progressive delivery for Kubernetes.
#![forbid(unsafe_code)]

pub mod runtime;
