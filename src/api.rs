//! The API types.

pub mod analysis;
pub mod duration;
