//! `decide` as tables, played releases, and properties, on a small model of a cluster (`world`) whose every step is
//! held against the invariants (`rules`).

mod abort;
mod analysis;
mod autoscaler;
mod bake;
mod blue_green;
mod canary_scale;
mod declared;
mod duration;
mod experiments;
mod first_deploy;
mod header_routes;
mod known;
mod placement;
mod progress;
mod properties;
mod release;
mod restart;
mod rollback;
mod routes;
mod rules;
mod scaling;
mod shown;
mod sizes;
mod stable_scale;
mod told;
mod validation;
mod workload;
mod world;
