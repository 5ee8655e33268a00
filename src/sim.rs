//! A cluster in memory and in simulated time: objects and the rules of an API server, the controllers that a cluster has, proxies.
//!
//! Deterministic: what happens follows from the seed and from what is asked of it. `tidegate simulate` plays releases in it;
//! the tests run the real controllers on it, with faults (`tests/sim`).
//!
//! Not here: our own controllers, and any clock. Whoever drives a [`world::World`] sets its time.

pub mod actors;
pub mod managed_fields;
pub mod metrics;
pub mod nature;
pub mod proxy;
pub mod request;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod server;
pub mod store;
pub mod traffic;
pub mod world;

#[cfg(test)]
mod tests;
