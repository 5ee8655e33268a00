//! The API as objects in the cluster: names, types, parsing and rendering of the five kinds.
//!
//! Not here: what the controller decides (`rollout`, `analysis`) and any I/O.

pub mod analysis;
pub mod anti_affinity;
pub mod bake;
pub mod blue_green;
pub mod canary;
pub mod conditions;
pub mod crds;
pub mod duration;
pub mod ephemeral_metadata;
pub mod experiment;
pub mod gateway_api;
pub mod merge_patch;
pub mod names;
pub mod object;
pub mod pod_template;
pub mod request;
pub mod rollout;
pub mod rollout_status;
pub mod steps;
pub mod strategy;
pub mod template_hash;
pub mod traffic_routing;
pub mod update_duration;
pub mod workload;
