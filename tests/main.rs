//! The one integration binary.

#[cfg(feature = "control-plane")]
mod cluster;
mod crds;
