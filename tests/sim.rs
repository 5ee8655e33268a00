//! The real controllers on a simulated cluster, in simulated time: an in-memory API server, the actors of a cluster, proxies.
//!
//! Everything here is a model, and it is loud: what it does not model it refuses, and a run that asked for it fails.

mod actors;
mod conformance;
mod discovery;
mod entropy;
mod faults;
mod managed_fields;
mod process;
mod proxy;
mod request;
mod resources;
mod rules;
mod run;
mod scenarios;
mod schema;
mod selector;
mod server;
mod store;
mod summary;
mod transport;
mod watch;
mod world;
