//! A real control plane in one network namespace.
#![forbid(unsafe_code)]

pub mod kubelet;
