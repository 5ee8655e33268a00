//! Sizes that were wrong, or that never came to rest.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    api::{request::Verb, rollout_status::Phase},
    rollout::{
        decide::tests::world::{World, world},
        decision::Action,
    },
};

fn half() -> Value {
    json!([{"setWeight": 50}, {"pause": {}}])
}

fn blue_green() -> World {
    world().blue_green(&json!({"autoPromotionEnabled": false}))
}

#[test]
fn argo_4302_a_size_declared_with_a_new_version_leaves_what_serves_alone() {
    for replicas in [2, 9] {
        let mut world = blue_green().deployed();
        world.set("/replicas", json!(replicas));
        world.declare("v2");
        world.play();
        assert_eq!(
            (world.size("v1"), world.size("v2")),
            (4, replicas),
            "{world}"
        );
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!(
            (world.size("v1"), world.size("v2")),
            (0, replicas),
            "{world}"
        );
    }
}

#[test]
fn argo_4552_a_smaller_size_during_a_preview_does_not_shrink_what_serves() {
    let mut world = blue_green().deployed().updated();
    world.set("/replicas", json!(1));
    world.play();
    assert_eq!(world.size("v1"), 4, "{world}");
    world.set("/replicas", json!(8));
    world.play();
    assert_eq!(
        (world.size("v1"), world.size("v2")),
        (8, 8),
        "more load is for both\n{world}"
    );
}

#[test]
fn argo_4200_a_version_and_a_size_that_change_together_do_not_get_stuck() {
    for replicas in [1, 2, 9, 0] {
        for world in [
            world().nginx().steps(json!([{"setWeight": 50}])),
            world()
                .nginx()
                .steps(json!([{"setWeight": 50}]))
                .with("dynamicStableScale", json!(true)),
            world().steps(json!([{"setWeight": 50}])),
            world().blue_green(&json!({})),
        ] {
            let mut world = world.deployed();
            world.watched = false;
            world.set("/replicas", json!(replicas));
            world.declare("v2");
            world.play();
            assert_eq!(
                world.status.phase,
                Some(Phase::Healthy),
                "{replicas}\n{world}"
            );
            assert_eq!(
                (world.size("v1"), world.size("v2")),
                (0, replicas),
                "{world}"
            );
        }
    }
}

#[test]
fn argo_3256_a_size_and_another_version_in_mid_update_do_not_get_stuck() {
    for world in [
        world().nginx().steps(half()),
        world().steps(half()),
        blue_green(),
    ] {
        let mut world = world.deployed().updated();
        world.watched = false;
        world.set("/replicas", json!(7));
        world.declare("v3");
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Paused), "{world}");
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!((world.size("v2"), world.size("v3")), (0, 7), "{world}");
    }
}

#[test]
fn argo_3565_a_size_that_somebody_else_also_sets_never_drops_stable_to_nothing() {
    for world in [
        world().nginx().steps(half()),
        world().services().steps(half()),
        blue_green(),
    ] {
        let mut world = world.replicas(3).deployed();
        world.watched = false;
        world.set("/replicas", json!(2));
        world.declare("v2");
        for replicas in [3, 2, 3] {
            for _ in 0..4 {
                world.reconcile();
                assert!(world.size("v1") >= 1, "{world}");
                assert!(world.answering("demo-stable") >= 1, "{world}");
            }
            world.set("/replicas", json!(replicas));
        }
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Paused), "{world}");
        assert!(world.size("v1") >= 1, "{world}");
    }
}

#[test]
fn argo_4619_a_canary_that_is_larger_than_its_new_size_does_not_hold_the_step_up() {
    for dynamic in [false, true] {
        let mut world = world()
            .nginx()
            .replicas(8)
            .steps(json!([{"setWeight": 50}, {"pause": {"duration": 30}}, {"setWeight": 75}]))
            .with("dynamicStableScale", json!(dynamic))
            .deployed();
        world.declare("v2");
        world.play_until(|world| world.weight() == 50);
        world.set("/replicas", json!(2));
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        assert_eq!((world.size("v1"), world.size("v2")), (0, 2), "{world}");
    }
}

#[test]
fn argo_4035_going_back_stays_within_the_surge() {
    for weight in [30, 70, 100] {
        let mut world = world()
            .replicas(10)
            .steps(json!([{"setWeight": weight}, {"pause": {}}]))
            .with("maxSurge", json!(2))
            .with("maxUnavailable", json!(0))
            .deployed()
            .updated();
        world.declare("v1");
        world.play_until(|world| {
            let pods: i32 = world.sets.iter().map(|set| set.view.replicas).sum();
            let available: i32 = world.sets.iter().map(|set| set.view.available).sum();
            assert!(pods <= 12 && available >= 10, "{pods} {available}\n{world}");
            false
        });
        assert_eq!((world.size("v1"), world.size("v2")), (10, 0), "{world}");
    }
}

/// Sizes that were written from `mark` on.
fn resized(world: &World, mark: usize) -> usize {
    let size = |action: &&Action| {
        matches!(
            action,
            Action::PatchReplicaSet {
                replicas: Some(_),
                ..
            }
        )
    };
    world.actions[mark..].iter().filter(size).count()
}

#[test]
fn argo_3883_sizes_come_to_rest() {
    for replicas in [1, 2, 3, 7] {
        for weight in [1, 33, 50, 99] {
            for surge in [json!(0), json!(1), json!("100%")] {
                let mut world = world()
                    .replicas(replicas)
                    .steps(json!([{"setWeight": weight}, {"pause": {}}]))
                    .with("maxSurge", surge)
                    .deployed()
                    .updated();
                let mark = world.actions.len();
                world.play_for(1_000);
                assert_eq!(resized(&world, mark), 0, "{world}");
            }
        }
    }
}

#[test]
fn argo_3784_a_size_that_goes_up_and_down_writes_each_size_once() {
    let mut world = world()
        .nginx()
        .replicas(4)
        .steps(half())
        .deployed()
        .updated();
    for replicas in [8, 4, 8, 4] {
        let mark = world.actions.len();
        world.set("/replicas", json!(replicas));
        world.play();
        assert_eq!(resized(&world, mark), 2, "one for each version\n{world}");
    }
}

/// Names of the pods of a version.
fn pods(world: &World, version: &str) -> BTreeSet<String> {
    let set = world.set_of(version).unwrap();
    set.pods.iter().map(|pod| pod.name.clone()).collect()
}

#[test]
fn argo_1807_a_retry_uses_the_pods_that_still_run() {
    let mut world = world()
        .nginx()
        .replicas(8)
        .steps(json!([{"setWeight": 25}, {"pause": {"duration": 5}}, {"setWeight": 75}, {"pause": {}}]))
        .deployed()
        .updated();
    let before = pods(&world, "v2");
    assert_eq!(before.len(), 6);
    world.ask("1", Verb::Abort);
    world.play_for(10);
    world.ask("2", Verb::Retry);
    world.play();
    assert_eq!(world.weight(), 75, "{world}");
    assert_eq!(
        pods(&world, "v2"),
        before,
        "none was removed or added\n{world}"
    );
}

#[test]
fn argo_2669_an_abort_starts_no_pod_of_the_stable_version() {
    for world in [world().nginx().steps(half()), blue_green()] {
        let mut world = world.deployed();
        let before = pods(&world, "v1");
        world.declare("v2");
        world.play();
        world.ask("1", Verb::Abort);
        world.play();
        assert_eq!(
            pods(&world, "v1"),
            before,
            "their configuration is the one they began with\n{world}"
        );
    }
}
