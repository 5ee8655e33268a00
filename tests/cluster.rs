//! Tests on a real control plane: run by `make test` inside the testbed, compiled with the feature `control-plane`.

mod chart;
mod cli;
mod crds;
mod demo_app;
mod examples;
mod kubectl;
mod negative_control;
