//! `dynamicStableScale`: the stable version gives its pods away with its traffic, and gets them back before it.

use serde_json::{Value, json};

use super::world::{Gateways, World, world};
use crate::{
    api::{request::Verb, rollout_status::Phase},
    rollout::decision::Action,
};

const FIELD: &str = "spec.strategy.canary.dynamicStableScale";

fn steps() -> Value {
    json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}])
}

fn deployed(replicas: i32) -> World {
    world()
        .nginx()
        .replicas(replicas)
        .steps(steps())
        .with("dynamicStableScale", json!(true))
        .deployed()
}

/// Paused at this weight.
fn paused_at(weight: i32, replicas: i32) -> World {
    let mut world = deployed(replicas).updated();
    for id in ["1", "2"] {
        if world.weight() < weight {
            world.ask(id, Verb::Promote);
            world.play();
        }
    }
    assert_eq!(
        (world.weight(), world.status.phase),
        (weight, Some(Phase::Paused)),
        "{world}"
    );
    world
}

fn sizes(world: &World) -> (i32, i32) {
    (world.size("v1"), world.size("v2"))
}

#[test]
fn the_stable_version_has_what_its_share_of_traffic_needs() {
    let _covers = testbed::covers(&[FIELD]);
    for (weight, sizes_then) in [(25, (6, 2)), (50, (4, 4)), (100, (1, 8))] {
        let world = paused_at(weight, 8);
        assert_eq!(sizes(&world), sizes_then, "{weight} %\n{world}");
    }
}

#[test]
fn argo_4828_stable_pods_go_only_after_proxies_have_followed() {
    let _covers = testbed::covers(&[FIELD]);
    let mut world = world()
        .gateway(1, 1)
        .steps(json!([{"setWeight": 50}, {"pause": {"duration": 1}}, {"setWeight": 100}, {"pause": {}}]))
        .with("dynamicStableScale", json!(true))
        .deployed();
    world.declare("v2");
    world.play_until(|world| world.weight() == 50);
    world.gateways = Gateways::Silent;
    world.play_until(|world| world.weight() == 100);
    let kept = world.size("v1");
    world.play();
    assert_eq!(
        world.size("v1"),
        kept,
        "nobody has confirmed 100 %\n{world}"
    );
    for route in world.routes.values_mut() {
        super::routes::accept(&mut route.object);
    }
    let confirmed = world.now;
    world.play_until(|world| world.size("v1") < kept);
    assert_eq!(world.now.duration_since(confirmed).as_secs(), 5, "{world}");
}

#[test]
fn argo_1820_the_stable_service_of_an_ingress_always_has_an_endpoint() {
    let _covers = testbed::covers(&[FIELD]);
    for replicas in [1, 2, 10] {
        let mut world = paused_at(100, replicas);
        assert_eq!(world.size("v1"), 1, "{world}");
        world.ask("end", Verb::Promote);
        world.play_until(|world| {
            assert!(world.answering("demo-stable") > 0, "{world}");
            false
        });
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        assert_eq!(sizes(&world), (0, replicas));
    }
}

#[test]
fn argo_4973_a_scale_up_after_an_abort_does_not_bring_the_aborted_version_back() {
    let _covers = testbed::covers(&[FIELD]);
    for delay in [0, 30] {
        let mut world = paused_at(50, 4);
        world.canary("abortScaleDownDelaySeconds", json!(delay));
        world.ask("abort", Verb::Abort);
        world.play();
        let (kept, mark) = (world.size("v2"), world.actions.len());
        for replicas in [8, 12, 6] {
            world.set("/replicas", json!(replicas));
            world.play();
            assert_eq!(sizes(&world), (replicas, kept), "{world}");
        }
        let pinned = world.actions[mark..]
            .iter()
            .any(|action| matches!(action, Action::PinService { .. }));
        assert!(!pinned, "no Service flaps\n{world}");
    }
}

/// Load of a stable pod, in parts of what one carries, at most during the rest of the story.
fn worst_load(world: &mut World) -> f64 {
    let mut worst: f64 = 0.0;
    let replicas = f64::from(world.desired());
    let load = |world: &World| {
        let pods = i32::try_from(world.answering("demo-stable")).unwrap();
        f64::from(100 - world.weight()) / 100.0 * replicas / f64::from(pods)
    };
    for _ in 0..300 {
        let next = world.reconcile_all();
        worst = worst.max(load(world));
        let Some(next) = next else { break };
        world.now = next;
        world.settle();
    }
    worst
}

#[test]
fn argo_3878_an_abort_does_not_overload_a_stable_version_that_still_grows() {
    let _covers = testbed::covers(&[FIELD]);
    for weight in [50, 100] {
        let mut world = paused_at(weight, 10);
        world.ask("abort", Verb::Abort);
        let worst = worst_load(&mut world);
        assert!(worst <= 1.0, "{worst}\n{world}");
        assert_eq!((world.weight(), sizes(&world)), (0, (10, 0)), "{world}");
    }
}

#[test]
fn stable_gets_what_it_can_carry_at_once_and_the_rest_as_it_grows() {
    let mut world = paused_at(50, 10);
    world.lose_pods("v1", 2, 1);
    world.ask("abort", Verb::Abort);
    world.reconcile();
    assert_eq!(world.weight(), 50, "it cannot carry more than it has");
    let mut world = paused_at(50, 10);
    world.ask("abort", Verb::Abort);
    world.reconcile_all();
    assert_eq!(
        (world.weight(), world.size("v1")),
        (50, 10),
        "it grows at once"
    );
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("pods of the stable version to take more of the traffic")
    );
}

#[test]
fn argo_4898_an_abort_ends_where_there_is_room_for_one_pod_more_than_replicas_only() {
    let _covers = testbed::covers(&[FIELD]);
    for weight in [50, 100] {
        let mut world = paused_at(weight, 8).room(9);
        world.ask("abort", Verb::Abort);
        world.play();
        assert_eq!((world.weight(), sizes(&world)), (0, (8, 0)), "{world}");
        assert_eq!(world.answering("demo-stable"), 8);
    }
}

#[test]
fn argo_4900_a_stable_version_that_does_not_come_back_gets_all_traffic_in_the_end() {
    let _covers = testbed::covers(&[FIELD]);
    let mut world = paused_at(100, 4).broken("v1");
    world.set("/progressDeadlineSeconds", json!(60));
    world.ask("abort", Verb::Abort);
    let aborted = world.now;
    world.play_until(|world| world.weight() == 0);
    assert_eq!(world.now.duration_since(aborted).as_secs(), 60, "{world}");
    assert_eq!(world.status.phase, Some(Phase::Degraded));
}

#[test]
fn argo_4919_traffic_goes_on_to_return_when_an_autoscaler_acts_during_an_abort() {
    let _covers = testbed::covers(&[FIELD]);
    for replicas in [2, 5, 20] {
        let mut world = paused_at(100, 10);
        world.ask("abort", Verb::Abort);
        world.reconcile_all();
        world.set("/replicas", json!(replicas));
        world.play();
        assert_eq!(
            (world.weight(), sizes(&world)),
            (0, (replicas, 0)),
            "{world}"
        );
    }
}

#[test]
fn going_back_to_the_stable_template_waits_for_its_pods() {
    let mut world = paused_at(100, 10);
    world.declare("v1");
    let worst = worst_load(&mut world);
    assert!(worst <= 1.0, "{worst}\n{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    assert_eq!((world.weight(), sizes(&world)), (0, (10, 0)));
}

#[test]
fn pods_that_vanish_from_both_versions_share_what_they_can_carry() {
    let mut world = paused_at(50, 10);
    world.lose_pods("v2", 3, 60);
    world.reconcile();
    assert_eq!(world.weight(), 28, "2 of 7 pods\n{world}");
    world.play_for(30);
    assert!(world.weight() <= 20, "what two pods carry\n{world}");
    assert!(world.size("v1") >= 8, "stable has grown\n{world}");
    world.play_for(60);
    assert_eq!((world.weight(), sizes(&world)), (50, (5, 5)), "{world}");
}

#[test]
fn another_version_takes_over_without_overload() {
    let mut world = paused_at(100, 10);
    world.declare("v3");
    world.play_until(|world| world.behind("demo-canary") == "v3");
    assert_eq!(world.size("v1"), 10, "all of it came back first\n{world}");
    world.play();
    assert_eq!((world.size("v1"), world.size("v3")), (8, 3), "{world}");
}
