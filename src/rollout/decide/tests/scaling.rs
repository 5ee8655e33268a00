//! Sizes: by people, by autoscalers, and by pods that come and go.

use serde_json::json;

use super::world::{World, world};
use crate::api::rollout_status::Phase;

fn paused_at(weight: i32, replicas: i32) -> World {
    world()
        .nginx()
        .replicas(replicas)
        .steps(json!([{"setWeight": weight}, {"pause": {}}]))
        .deployed()
        .updated()
}

#[test]
fn a_new_size_is_followed_at_once_and_the_weight_stays() {
    for (weight, from, to, canary) in [
        (25, 4, 8, 2),
        (25, 8, 4, 1),
        (50, 4, 5, 3),
        (10, 4, 20, 2),
        (100, 4, 8, 8),
    ] {
        let mut world = paused_at(weight, from);
        world.set("/replicas", json!(to));
        for _ in 0..200 {
            let next = world.reconcile_all();
            assert_eq!(world.weight(), weight, "{from} to {to}\n{world}");
            let Some(next) = next else { break };
            world.now = next;
            world.settle();
        }
        assert_eq!(
            (world.size("v1"), world.size("v2")),
            (to, canary),
            "{from} to {to}"
        );
        assert_eq!(world.status.phase, Some(Phase::Paused));
    }
}

#[test]
fn the_weight_follows_vanished_pods_down_and_returns_when_all_are_back() {
    for (lost, left) in [(1, 37), (2, 25), (3, 12), (4, 0)] {
        let mut world = paused_at(50, 8);
        assert_eq!((world.weight(), world.size("v2")), (50, 4));
        world.lose_pods("v2", lost, 30);
        world.reconcile();
        assert_eq!(world.weight(), left, "{lost} of 4 are gone");
        world.play_for(20);
        assert_eq!(world.weight(), left, "it stays there");
        world.play_for(20);
        assert_eq!(world.weight(), 50, "all are back");
    }
}

#[test]
fn weight_on_vanished_pods_stays_where_nobody_else_answers() {
    let mut world = paused_at(50, 4);
    world.lose_pods("v1", 4, 1_000_000);
    world.lose_pods("v2", 1, 1_000_000);
    world.reconcile_all();
    assert_eq!(world.weight(), 50);
}

#[test]
fn scaling_goes_on_while_a_reference_is_missing_and_nothing_shrinks() {
    let mut world = paused_at(50, 4);
    world.watched = false;
    world.services.remove("demo-canary");
    world.set("/replicas", json!(6));
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (6, 3), "{world}");
    world.set("/replicas", json!(2));
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (2, 3), "{world}");
    assert_eq!(world.weight(), 50);
}

#[test]
fn no_replicas_are_legal_everywhere() {
    let mut world = paused_at(50, 4);
    world.watched = false;
    world.set("/replicas", json!(0));
    world.play();
    assert_eq!(
        (world.size("v1"), world.size("v2"), world.weight()),
        (0, 0, 0),
        "{world}"
    );
    assert_eq!(world.status.phase, Some(Phase::Paused));
    world.set("/replicas", json!(4));
    world.play();
    assert_eq!(
        (world.size("v1"), world.size("v2"), world.weight()),
        (4, 2, 50),
        "{world}"
    );
}

#[test]
fn by_pods_the_share_of_pods_is_the_share_of_traffic() {
    for (replicas, surge, weight, stable, canary) in [
        (10, json!("25%"), 20, 8, 2),
        (4, json!(0), 50, 2, 2),
        (3, json!(1), 33, 2, 1),
        (1, json!(1), 50, 1, 1),
        (5, json!(1), 10, 5, 1),
    ] {
        let world = world()
            .replicas(replicas)
            .steps(json!([{"setWeight": weight}, {"pause": {}}]))
            .with("maxSurge", surge)
            .deployed()
            .updated();
        assert_eq!(
            (world.size("v1"), world.size("v2")),
            (stable, canary),
            "{weight} % of {replicas}\n{world}"
        );
        assert_eq!(world.status.phase, Some(Phase::Paused));
    }
}

#[test]
fn by_pods_a_broken_stable_version_does_not_keep_its_successor_out() {
    let mut world = world()
        .steps(json!([{"setWeight": 50}, {"pause": {"duration": 1}}]))
        .deployed();
    world.lose_pods("v1", 4, 1_000_000);
    world.declare("v2");
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn by_pods_the_last_pod_goes_after_its_service() {
    let mut world = world().services().deployed();
    world.declare("v2");
    world.play_until(|world| world.behind("demo-stable") == "v2");
    assert_eq!(world.size("v1"), 1, "{world}");
    world.play();
    assert_eq!(world.size("v1"), 0, "{world}");
}
