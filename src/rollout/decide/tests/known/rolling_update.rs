//! A Rollout without steps is a rolling update as a Deployment does it, with the same guarantees, and goes back by itself.

use serde_json::{Value, json};

use crate::{
    api::{analysis::AnalysisPhase, rollout_status::Phase},
    rollout::decide::tests::world::{World, world},
};

/// Plays on, and holds every moment against the bounds of a Deployment.
fn within(world: &mut World, most: i32, least: i32) {
    world.play_until(|world| {
        let pods: i32 = world.sets.iter().map(|set| set.view.replicas).sum();
        let available: i32 = world.sets.iter().map(|set| set.view.available).sum();
        assert!(pods <= most, "{pods} pods, at most {most}\n{world}");
        assert!(
            available >= least,
            "{available} available, at least {least}\n{world}"
        );
        false
    });
}

fn without_steps(surge: Value, unavailable: Value) -> World {
    world()
        .replicas(10)
        .with("maxSurge", surge)
        .with("maxUnavailable", unavailable)
}

#[test]
fn a_rolling_update_stays_within_the_bounds_of_a_deployment() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.maxSurge",
        "spec.strategy.canary.maxUnavailable",
    ]);
    for (surge, unavailable, most, least) in [
        (json!("25%"), json!("25%"), 13, 8),
        (json!(1), json!(0), 11, 10),
        (json!(0), json!(1), 10, 9),
        (json!("100%"), json!(0), 20, 10),
        (json!(0), json!("100%"), 10, 0),
    ] {
        let mut world = without_steps(surge, unavailable).deployed();
        world.declare("v2");
        within(&mut world, most, least);
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        assert_eq!((world.size("v1"), world.size("v2")), (0, 10), "{world}");
    }
}

#[test]
fn a_version_that_does_not_come_up_is_rolled_back_within_the_bounds() {
    let mut world = without_steps(json!(2), json!(1))
        .with_spec("progressDeadlineSeconds", json!(60))
        .with_spec("progressDeadlineAbort", json!(true))
        .broken("v2")
        .deployed();
    world.declare("v2");
    within(&mut world, 12, 9);
    assert_eq!(world.status.phase, Some(Phase::Degraded), "{world}");
    assert_eq!((world.size("v1"), world.size("v2")), (10, 0), "{world}");
}

#[test]
fn a_version_that_an_analysis_finds_bad_is_rolled_back_within_the_bounds() {
    let background = json!({"templates": [{"templateName": "errors"}]});
    let mut world = without_steps(json!(1), json!(0))
        .with("analysis", background)
        .verdict("demo", Some(AnalysisPhase::Failed))
        .deployed();
    world.declare("v2");
    within(&mut world, 11, 10);
    assert_eq!(world.status.phase, Some(Phase::Degraded), "{world}");
    assert_eq!((world.size("v1"), world.size("v2")), (10, 0), "{world}");
}

#[test]
fn another_version_in_mid_update_stays_within_the_bounds() {
    let mut world = without_steps(json!(2), json!(1)).deployed();
    world.declare("v2");
    world.play_until(|world| world.size("v2") >= 4);
    world.declare("v3");
    within(&mut world, 12, 9);
    let old: i32 = ["v1", "v2"].iter().map(|version| world.size(version)).sum();
    assert_eq!((old, world.size("v3")), (0, 10), "{world}");
}

#[test]
fn with_a_router_all_traffic_moves_when_all_pods_are_there() {
    let mut world = world().nginx().deployed();
    world.declare("v2");
    world.play_until(|world| {
        assert!([0, 100].contains(&world.weight()), "{world}");
        assert!(
            world.weight() == 0 || world.answering("demo-canary") == 4,
            "{world}"
        );
        false
    });
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}
