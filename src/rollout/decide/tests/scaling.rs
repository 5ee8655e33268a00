//! Sizes: by people, by autoscalers, and by pods that come and go.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::api::{request::Verb, rollout_status::Phase};

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

/// `(pods above replicas, pods below)` of a pair that may be a number or a percentage.
fn bounds(surge: &Value, unavailable: &Value, replicas: i32) -> (i32, i32) {
    let percent = |value: &Value| {
        let text = value.as_str()?;
        text.trim_end_matches('%').parse::<i32>().ok()
    };
    let number = |value: &Value| i32::try_from(value.as_i64().unwrap()).unwrap();
    let up = percent(surge).map_or_else(|| number(surge), |of| (replicas * of + 99) / 100);
    let down = percent(unavailable).map_or_else(|| number(unavailable), |of| replicas * of / 100);
    if (up, down) == (0, 0) {
        (0, 1)
    } else {
        (up, down)
    }
}

#[test]
fn by_pods_no_release_leaves_its_bounds() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.maxSurge",
        "spec.strategy.canary.maxUnavailable",
    ]);
    for replicas in [1, 2, 3, 5, 10] {
        for surge in [
            json!(0),
            json!("0%"),
            json!(1),
            json!("25%"),
            json!("50"),
            json!(4),
            json!("100%"),
        ] {
            for unavailable in [json!(0), json!(1), json!("25%"), json!("34"), json!("100%")] {
                if [json!(0), json!("0%")].contains(&surge) && unavailable == json!(0) {
                    // Nothing could move: refused.
                    continue;
                }
                let what = format!("{replicas} replicas, surge {surge}, unavailable {unavailable}");
                let (up, down) = bounds(&surge, &unavailable, replicas);
                let mut world = world()
                    .replicas(replicas)
                    .steps(
                        json!([{"setWeight": 30}, {"pause": {"duration": 5}}, {"setWeight": 75}]),
                    )
                    .with("maxSurge", surge.clone())
                    .with("maxUnavailable", unavailable.clone())
                    .deployed();
                world.declare("v2");
                world.play_until(|world| {
                    let total = world.size("v1") + world.size("v2");
                    assert!(total <= replicas + up, "{what}: {total} pods\n{world}");
                    let available = ["v1", "v2"]
                        .map(|version| world.set_of(version).map_or(0, |set| set.view.available))
                        .iter()
                        .sum::<i32>();
                    assert!(
                        available >= replicas - down,
                        "{what}: {available} available\n{world}"
                    );
                    false
                });
                assert_eq!(world.status.phase, Some(Phase::Healthy), "{what}\n{world}");
                assert_eq!(
                    (world.size("v1"), world.size("v2")),
                    (0, replicas),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn with_a_router_the_new_version_comes_beside_the_old_one_whatever_the_bounds() {
    for (surge, unavailable) in [
        (json!(0), json!(1)),
        (json!(1), json!(0)),
        (json!("100%"), json!("100%")),
    ] {
        let world = world()
            .nginx()
            .steps(json!([{"setWeight": 50}, {"pause": {}}]))
            .with("maxSurge", surge)
            .with("maxUnavailable", unavailable)
            .deployed()
            .updated();
        assert_eq!((world.size("v1"), world.size("v2")), (4, 2), "{world}");
    }
}

#[test]
fn weights_are_shares_of_the_most_there_can_be() {
    let _covers = testbed::covers(&["spec.strategy.canary.trafficRouting.maxTrafficWeight"]);
    for (max, weight, replicas, canary) in [
        (100, 1, 10, 1),
        (100, 11, 10, 2),
        (200, 100, 4, 2),
        (1000, 1, 10, 1),
        (1000, 100, 10, 1),
        (1000, 101, 10, 2),
        (1000, 999, 10, 10),
        (1000, 1000, 3, 3),
        (1_000_000, 1, 10, 1),
    ] {
        for mut world in [world().nginx(), world().gateway(1, 1)] {
            world = world
                .replicas(replicas)
                .steps(json!([{"setWeight": weight}, {"pause": {}}]));
            world.set(
                "/strategy/canary/trafficRouting/maxTrafficWeight",
                json!(max),
            );
            let mut world = world.deployed().updated();
            assert_eq!(world.status.phase, Some(Phase::Paused), "{world}");
            assert_eq!(
                (world.size("v2"), world.weight()),
                (canary, weight),
                "{weight} of {max}"
            );
            let weights = world.status.canary.weights.clone().unwrap();
            assert_eq!(weights.stable.weight, max - weight);
            world.ask("1", Verb::Promote);
            world.play_until(|world| world.version(&world.status.stable_rs) == "v2");
            assert_eq!(
                world.status.canary.weights.clone().unwrap().canary.weight,
                max
            );
            world.play();
            assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        }
    }
}

#[test]
fn the_ledger_tells_when_pods_go() {
    let mut world = world()
        .nginx()
        .with("scaleDownDelaySeconds", json!(20))
        .deployed();
    world.declare("v2");
    let leaves = |world: &World| {
        let hash = world.hash("v1");
        let mut entries = world.status.ledger.iter();
        let entry = entries.find(|entry| entry.pod_template_hash == hash)?;
        Some((entry.scale_down_at?, entry.unrouted_since?))
    };
    world.play_until(|world| leaves(world).is_some());
    let (at, since) = leaves(&world).unwrap();
    assert_eq!(at.duration_since(since).as_secs(), 20);
    world.play_until(|world| world.size("v1") == 0);
    assert_eq!(world.now, at, "{world}");
    world.play();
    assert_eq!(leaves(&world), None, "{world}");
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
