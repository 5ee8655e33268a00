//! The progress deadline.

use jiff::SignedDuration;
use serde_json::json;

use super::world::{World, world};
use crate::api::rollout_status::Phase;

fn broken() -> World {
    world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .with_spec("progressDeadlineSeconds", json!(60))
        .broken("v2")
}

#[test]
fn pods_that_never_come_time_out_at_the_deadline() {
    let _covers = testbed::covers(&["spec.progressDeadlineSeconds"]);
    let mut world = broken().deployed();
    let begun = world.now;
    world.declare("v2");
    world.play_until(|world| world.status.phase == Some(Phase::Degraded));
    assert_eq!(world.now.duration_since(begun).as_secs(), 60);
    let set = &world.set_of("v2").unwrap().view.name;
    assert_eq!(
        world.status.message,
        format!("ProgressDeadlineExceeded: ReplicaSet {set} has timed out progressing")
    );
    assert_eq!(
        world.condition("Progressing").unwrap().1,
        "ProgressDeadlineExceeded"
    );
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("pods of revision 2 to be available: 0 of 2 are")
    );
    assert!(!world.status.abort);
}

#[test]
fn the_deadline_aborts_if_asked_to() {
    let _covers = testbed::covers(&["spec.progressDeadlineAbort"]);
    let mut world = broken()
        .with_spec("progressDeadlineAbort", json!(true))
        .deployed();
    world.declare("v2");
    world.play();
    assert_eq!(
        world.status.abort_cause.as_deref(),
        Some("no progress for 60 seconds: 0 of 2 pods are available")
    );
    assert_eq!(world.size("v2"), 0);
}

/// Pods come for 10 seconds and go for 10, for so many seconds. `Some` when the update timed out.
fn flap(world: &mut World, seconds: i64) -> Option<i64> {
    let begun = world.now;
    while world.now.duration_since(begun) < SignedDuration::from_secs(seconds) {
        world.lose_pods("v2", 1, 10);
        world.play_for(20);
        if world.status.phase == Some(Phase::Degraded) {
            return Some(world.now.duration_since(begun).as_secs());
        }
    }
    None
}

#[test]
fn pods_that_come_and_go_do_not_reset_the_deadline() {
    let mut world = broken();
    world = world.verdict("none", None);
    let mut world = world.deployed();
    world = {
        world.declare("v3");
        world
    };
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Paused));
    // One of two pods goes and comes: half of the time is waited for.
    let mut timed_out = None;
    let begun = world.now;
    for _ in 0..20 {
        world.lose_pods("v3", 1, 10);
        world.play_for(9);
        if world.status.phase == Some(Phase::Degraded) {
            timed_out = Some(world.now.duration_since(begun).as_secs());
            break;
        }
        world.play_for(3);
    }
    let timed_out = timed_out.expect("it times out");
    assert!((60..110).contains(&timed_out), "{timed_out}\n{world}");
    assert_eq!(flap(&mut world, 0), None);
}

#[test]
fn a_pause_does_not_count() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .with_spec("progressDeadlineSeconds", json!(60))
        .deployed()
        .updated();
    world.play_for(100_000);
    assert_eq!(world.status.phase, Some(Phase::Paused));
    let mut held = broken().deployed();
    held.set("/paused", json!(true));
    held.declare("v2");
    held.play_for(100_000);
    assert_eq!(held.status.message, "manually paused");
}

#[test]
fn the_clock_starts_anew_with_revision_step_and_size() {
    for what in ["revision", "size", "pods"] {
        let mut world = broken().deployed();
        world.declare("v2");
        world.play_for(50);
        match what {
            "revision" => world.declare("v3"),
            "size" => world.set("/replicas", json!(6)),
            _ => {
                let ready = world.now;
                world
                    .sets
                    .iter_mut()
                    .find(|set| set.version == "v2")
                    .unwrap()
                    .view
                    .replicas += 0;
                world.heal("v2", 1, ready);
            }
        }
        world.play_for(40);
        assert_ne!(world.status.phase, Some(Phase::Degraded), "{what}\n{world}");
    }
}

#[test]
fn a_first_deploy_times_out_and_recovers() {
    let mut world = world()
        .with_spec("progressDeadlineSeconds", json!(60))
        .broken("v1");
    world.play_for(61);
    assert_eq!(world.status.phase, Some(Phase::Degraded));
    let now = world.now;
    world.heal("v1", 4, now);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy));
}

#[test]
fn a_missing_reference_does_not_time_out() {
    let mut world = broken().deployed();
    world.services.remove("demo-canary");
    world.watched = false;
    world.declare("v2");
    world.play_for(1_000);
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("Service demo-canary to exist")
    );
    assert_eq!(world.status.phase, Some(Phase::Progressing));
}
