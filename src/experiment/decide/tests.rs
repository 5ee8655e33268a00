//! Experiments from start to end in a world without latency.

mod analyses;
mod life;
mod services;
mod validation;
mod world;
