//! The real controllers on a simulated cluster, in simulated time: an in-memory API server, the actors of a cluster, proxies.
//!
//! Everything here is a model, and it is loud: what it does not model it refuses, and a run that asked for it fails.
#![allow(
    clippy::pedantic,
    clippy::unchecked_time_subtraction,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a model: its times only grow, its numbers are small, and it tells how far a long run is"
)]

mod actors;
mod command;
mod conformance;
mod discovery;
mod entropy;
mod faults;
mod monitors;
mod parallel;
mod plays;
mod process;
mod random;
mod request;
mod rights;
mod run;
mod scale;
mod scenarios;
mod shrink;
mod summary;
mod transport;
mod trouble;
mod watch;
mod world;
