//! Fields about numbers of pods: a floor, a threshold, and how many may be pending.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::api::{request::Verb, rollout_status::Phase};

fn paused(replicas: i32, weight: i32, field: &str, value: Value) -> World {
    world()
        .nginx()
        .replicas(replicas)
        .steps(json!([{"setWeight": weight}, {"pause": {}}]))
        .with(field, value)
        .deployed()
        .updated()
}

#[test]
fn no_version_with_traffic_has_fewer_pods_than_the_floor() {
    let _covers = testbed::covers(&["spec.strategy.canary.minPodsPerReplicaSet"]);
    for (replicas, weight, floor, canary) in
        [(10, 5, 3, 3), (10, 50, 3, 5), (2, 10, 5, 2), (10, 0, 3, 0)]
    {
        let world = paused(replicas, weight, "minPodsPerReplicaSet", json!(floor));
        assert_eq!(
            (world.size("v2"), world.weight(), world.status.phase),
            (canary, weight, Some(Phase::Paused)),
            "{weight} % of {replicas}, {floor}\n{world}"
        );
    }
}

#[test]
fn the_floor_holds_for_a_stable_version_that_shrinks() {
    let mut world = paused(10, 95, "minPodsPerReplicaSet", json!(3));
    world.canary("dynamicStableScale", json!(true));
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (3, 10), "{world}");
}

#[test]
fn a_step_ends_when_enough_pods_are_available() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.replicaProgressThreshold.type",
        "spec.strategy.canary.replicaProgressThreshold.value",
    ]);
    for (type_, value, missing, ends) in [
        ("Percent", 80, 1, true),
        ("Percent", 80, 2, false),
        ("Pods", 3, 2, true),
        ("Pods", 3, 3, false),
        ("Pods", 9, 1, false),
    ] {
        for by_pods in [false, true] {
            let base = if by_pods { world() } else { world().nginx() };
            let mut world = base
                .replicas(10)
                .steps(json!([{"setWeight": 50}, {"pause": {}}]))
                .with(
                    "replicaProgressThreshold",
                    json!({"type": type_, "value": value}),
                )
                .broken("v2")
                .deployed();
            world.declare("v2");
            world.play_until(|world| world.size("v2") == 5);
            world.heal("v2", 5 - missing, world.now);
            world.play_for(60);
            assert_eq!(
                world.status.current_step_index,
                Some(i32::from(ends)),
                "{type_} {value}, {missing} missing\n{world}"
            );
            if ends && !by_pods {
                assert_eq!(world.weight(), 50, "{world}");
            }
        }
    }
}

#[test]
fn argo_4365_a_pod_that_is_never_there_does_not_hold_up_a_release_with_a_threshold() {
    let _covers = testbed::covers(&["spec.strategy.canary.replicaProgressThreshold"]);
    let mut world = world()
        .nginx()
        .replicas(10)
        .steps(json!([{"setWeight": 50}]))
        .with(
            "replicaProgressThreshold",
            json!({"type": "Percent", "value": 90}),
        )
        .with_spec("progressDeadlineAbort", json!(true))
        .deployed();
    world.declare("v2");
    // Nodes come and go: at every moment one pod is somewhere else.
    world.play_until(|world| world.size("v2") == 10);
    world.play_for(4);
    for _ in 0..40 {
        world.lose_pods("v2", 1, 25);
        world.play_for(25);
    }
    world.lose_pods("v2", 1, 1_000);
    world.play_for(10);
    assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
    assert_eq!(world.behind("demo-stable"), "v2");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

/// Most pods of `v2` that were not yet available at one time, until nothing happens any more.
fn most_pending(world: &mut World) -> i32 {
    let mut most = 0;
    for _ in 0..500 {
        let next = world.reconcile_all();
        let set = world.set_of("v2");
        most = most.max(set.map_or(0, |set| set.view.replicas - set.view.available));
        let Some(next) = next else { return most };
        world.now = next;
        world.settle();
    }
    panic!("no end\n{world}");
}

#[test]
fn argo_430_with_a_router_no_more_pods_are_pending_than_allowed() {
    let _covers = testbed::covers(&["spec.strategy.canary.maxPendingPods"]);
    for (value, most) in [
        (json!(1), 1),
        (json!(3), 3),
        (json!("20%"), 4),
        (json!("1%"), 1),
    ] {
        for step in [
            json!({"setWeight": 50}),
            json!({"setCanaryScale": {"replicas": 12}}),
        ] {
            let mut world = world()
                .nginx()
                .replicas(20)
                .steps(json!([step, {"pause": {"duration": 1}}]))
                .with("maxPendingPods", value.clone())
                .deployed();
            world.declare("v2");
            assert_eq!(most_pending(&mut world), most, "{value} {step}\n{world}");
            assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
            assert_eq!(world.size("v2"), 20);
        }
    }
}

#[test]
fn argo_3284_a_full_promotion_is_bounded_too() {
    let _covers = testbed::covers(&["spec.strategy.canary.maxPendingPods"]);
    let mut world = paused(20, 10, "maxPendingPods", json!("10%"));
    world.ask("1", Verb::PromoteFull);
    assert_eq!(most_pending(&mut world), 2, "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn argo_4538_the_bound_slows_a_step_down_and_never_blocks_it() {
    let _covers = testbed::covers(&["spec.strategy.canary.maxPendingPods"]);
    // Pods of the stable version that are broken take no room from the new one.
    let mut world = world()
        .nginx()
        .replicas(4)
        .steps(json!([{"setWeight": 50}, {"pause": {"duration": 1}}]))
        .with("maxPendingPods", json!(1))
        .deployed();
    world.lose_pods("v1", 3, 1_000_000);
    world.declare("v2");
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
}

#[test]
fn an_abort_is_not_slowed_down() {
    let mut world = paused(10, 50, "maxPendingPods", json!(1));
    world.canary("dynamicStableScale", json!(true));
    world.play();
    assert_eq!(world.size("v1"), 5, "{world}");
    world.ask("1", Verb::Abort);
    world.reconcile_all();
    assert_eq!(world.size("v1"), 10, "{world}");
}
