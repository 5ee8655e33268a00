//! The one integration binary.

mod cli;
#[cfg(feature = "control-plane")]
mod cluster;
mod crds;
