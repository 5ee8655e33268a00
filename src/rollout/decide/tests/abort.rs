//! Giving up on a version.

use jiff::SignedDuration;
use serde_json::json;

use super::world::{World, world};
use crate::api::{request::Verb, rollout_status::Phase};

fn at_half() -> World {
    world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed()
        .updated()
}

#[test]
fn the_weight_goes_at_once_the_service_after_the_drain_and_the_pods_last() {
    let _covers = testbed::covers(&["spec.strategy.canary.abortScaleDownDelaySeconds"]);
    for (delay, pods_go) in [(None, Some(30)), (Some(90), Some(90)), (Some(0), None)] {
        let mut world = at_half();
        if let Some(delay) = delay {
            world.canary("abortScaleDownDelaySeconds", json!(delay));
        }
        world.ask("1", Verb::Abort);
        let aborted = world.now;
        world.reconcile();
        assert_eq!(
            (world.weight(), world.behind("demo-canary").as_str()),
            (0, "v2")
        );
        world.play_until(|world| world.behind("demo-canary") == "v1");
        assert_eq!(world.now.duration_since(aborted).as_secs(), 5, "the drain");
        world.play_until(|world| world.answering("demo-canary") == 4);
        let unrouted = world.now;
        world.play();
        match pods_go {
            None => assert_eq!(world.size("v2"), 2, "0 keeps them"),
            Some(seconds) => {
                assert_eq!(world.size("v2"), 0);
                assert_eq!(
                    world.now.duration_since(unrouted).as_secs(),
                    seconds,
                    "{delay:?}"
                );
            }
        }
        assert_eq!(world.status.phase, Some(Phase::Degraded));
    }
}

/// Or the process is another one, on a machine whose clock is ahead.
#[test]
fn a_clock_that_is_put_forward_takes_nothing_of_the_drain_away() {
    let mut world = at_half();
    world.ask("1", Verb::Abort);
    world.reconcile();
    world.now += SignedDuration::from_secs(60);
    world.watched_since = Some(world.now);
    let put_forward = world.now;
    world.reconcile_all();
    assert_eq!(world.behind("demo-canary"), "v2");
    world.play_until(|world| world.behind("demo-canary") == "v1");
    assert_eq!(world.now.duration_since(put_forward).as_secs(), 5);
}

#[test]
fn the_weight_stays_while_stable_has_nobody_to_answer() {
    let mut world = at_half();
    world.lose_pods("v1", 4, 20);
    world.ask("1", Verb::Abort);
    world.reconcile_all();
    assert_eq!(world.weight(), 50);
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("the stable Service to have a ready pod")
    );
    world.play_until(|world| world.weight() == 0);
    assert!(world.answering("demo-stable") > 0);
}

#[test]
fn pods_of_an_aborted_version_do_not_wait_for_stable_to_be_whole() {
    let mut world = at_half();
    world.lose_pods("v1", 3, 1_000_000);
    world.ask("1", Verb::Abort);
    world.play_for(120);
    assert_eq!(world.size("v2"), 0, "{world}");
}

#[test]
fn an_abort_right_after_the_declaration_starts_nothing() {
    let mut world = world().nginx().steps(json!([{"setWeight": 50}])).deployed();
    let mark = world.actions.len();
    world.declare("v2");
    world.ask("1", Verb::Abort);
    world.play();
    assert!(
        !world
            .done_since(mark)
            .iter()
            .any(|action| action.starts_with("create v2")),
        "{world}"
    );
    assert_eq!(world.status.phase, Some(Phase::Degraded));
    world.ask("2", Verb::Retry);
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), "v2");
}

#[test]
fn a_retry_does_not_inherit_a_promotion() {
    let mut world = at_half();
    world.ask("1", Verb::Abort);
    world.play();
    world.status.promote_full = true;
    world.reconcile_all();
    world.ask("2", Verb::Retry);
    world.play();
    assert_eq!(
        (world.status.phase, world.weight()),
        (Some(Phase::Paused), 50),
        "{world}"
    );
}

#[test]
fn by_pods_an_aborted_version_leaves_as_fast_as_stable_takes_over() {
    let mut world = world()
        .replicas(10)
        .steps(json!([{"setWeight": 90}, {"pause": {}}]))
        .with("maxUnavailable", json!(2))
        .deployed()
        .updated();
    assert_eq!((world.size("v1"), world.size("v2")), (1, 9));
    world.ask("1", Verb::Abort);
    let mut least = i32::MAX;
    for _ in 0..200 {
        let Some(next) = world.reconcile_all() else {
            break;
        };
        least = least.min(world.sets.iter().map(|set| set.view.available).sum());
        world.now = next;
        world.settle();
    }
    assert!(least >= 8, "never below replicas - maxUnavailable: {least}");
    assert_eq!((world.size("v1"), world.size("v2")), (10, 0), "{world}");
}
