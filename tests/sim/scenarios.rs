//! The releases that are played, and what is asked of each: fault-free, twice, and with a crash at every write.
//!
//! Every test run plays the crashes of six of them: the tests below. `make sim` plays those of all (`catalogue`).

pub(super) mod catalogue;
mod coverage;
pub(super) mod crash;
mod incidents;
pub(super) mod manifests;
#[cfg(feature = "mutants")]
mod mutants;
pub(super) mod stories;

use std::time::Duration;

use super::run;

fn fault_free(scenario: &run::Scenario) -> run::Outcome {
    let outcome = run::play(scenario, 1, true);
    assert!(
        outcome.complaints.is_empty(),
        "{}:\n{}\n\n{}",
        scenario.name,
        outcome.complaints.join("\n"),
        outcome.around(60)
    );
    outcome
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let scenario = stories::canary::canary();
    let hashes = [1, 1, 2].map(|seed| run::play(&scenario, seed, false).hash());
    assert_eq!(
        (hashes[0] == hashes[1], hashes[0] == hashes[2]),
        (true, false)
    );
}

/// The negative control: pods that end at once, behind a Service that is all there is, lose requests.
#[test]
fn lost_requests_are_seen() {
    let mut scenario = stories::canary::pod_ratio();
    scenario.nature.grace = Duration::ZERO;
    let outcome = run::play(&scenario, 1, false);
    let others: Vec<&String> = outcome
        .complaints
        .iter()
        .filter(|line| !line.contains("which does not serve"))
        .collect();
    assert_eq!((outcome.complaints.is_empty(), others), (false, vec![]));
}

#[test]
fn a_canary_survives_a_crash_at_every_write() {
    crash::everywhere(&stories::canary::canary());
}

#[test]
fn a_canary_without_a_router_survives_a_crash_at_every_write() {
    crash::everywhere(&stories::canary::pod_ratio());
}

#[test]
fn a_new_revision_in_mid_flight_survives_a_crash_at_every_write() {
    crash::everywhere(&stories::canary::overtaken());
}

#[test]
fn an_experiment_step_survives_a_crash_at_every_write() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].experiment",
        "Experiment spec.templates[].service",
    ]);
    crash::everywhere(&stories::experiment::good_experiment());
}

#[test]
fn a_switch_survives_a_crash_at_every_write() {
    crash::everywhere(&stories::blue_green::blue_green());
}

#[test]
fn a_switch_back_survives_a_crash_at_every_write() {
    crash::everywhere(&stories::blue_green::blue_green_back());
}
