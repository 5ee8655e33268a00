//! `setCanaryScale`: pods of the new version apart from its weight.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::{
    api::{request::Verb, rollout::RolloutSpec, rollout_status::Phase},
    rollout::decide::validate,
};

fn rollout(replicas: i32, steps: Value) -> World {
    world().nginx().replicas(replicas).steps(steps).deployed()
}

/// Whether the last thing that happened is a pause for a person.
fn paused_at(steps: Value, replicas: i32) -> World {
    let world = rollout(replicas, steps).updated();
    assert_eq!(world.status.phase, Some(Phase::Paused), "{world}");
    world
}

fn pods_and_weight(world: &World) -> (i32, i32) {
    (world.size("v2"), world.weight())
}

#[test]
fn the_last_scale_is_the_number_of_pods_whatever_the_weight() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].setCanaryScale",
        "spec.strategy.canary.steps[].setCanaryScale.replicas",
        "spec.strategy.canary.steps[].setCanaryScale.matchTrafficWeight",
    ]);
    for (steps, expected) in [
        (json!([{"setCanaryScale": {"replicas": 3}}]), (3, 0)),
        (
            json!([{"setCanaryScale": {"replicas": 3}}, {"setWeight": 5}]),
            (3, 5),
        ),
        (
            json!([{"setCanaryScale": {"replicas": 14}}, {"setWeight": 5}]),
            (14, 5),
        ),
        (
            json!([{"setWeight": 80}, {"setCanaryScale": {"replicas": 2}}]),
            (2, 80),
        ),
        (
            json!([{"setCanaryScale": {"weight": 25}}, {"setWeight": 60}]),
            (3, 60),
        ),
        (
            json!([{"setCanaryScale": {"weight": 100}}, {"setWeight": 1}, {"setWeight": 2}]),
            (10, 2),
        ),
        (
            json!([{"setCanaryScale": {"weight": 25}}, {"setCanaryScale": {"replicas": 4}}]),
            (4, 0),
        ),
        (
            json!([{"setCanaryScale": {"weight": 90}}, {"setWeight": 20}, {"setCanaryScale": {"matchTrafficWeight": true}}]),
            (2, 20),
        ),
        (
            json!([{"setCanaryScale": {"replicas": 5}}, {"setWeight": 20}, {"setWeight": 0}, {"setCanaryScale": {"replicas": 0}}]),
            (0, 0),
        ),
    ] {
        let mut all = steps.clone();
        all.as_array_mut().unwrap().push(json!({"pause": {}}));
        let mut world = paused_at(all, 10);
        assert_eq!(pods_and_weight(&world), expected, "{steps}\n{world}");
        assert_eq!(world.size("v1"), 10, "{steps}");
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{steps}\n{world}");
        assert_eq!((world.size("v1"), world.size("v2")), (0, 10), "{steps}");
    }
}

#[test]
fn a_scale_by_weight_is_a_share_of_the_most_there_can_be() {
    let _covers = testbed::covers(&["spec.strategy.canary.steps[].setCanaryScale.weight"]);
    let world = world()
        .nginx()
        .replicas(10)
        .with(
            "trafficRouting",
            json!({"nginx": {"stableIngress": "demo"}, "maxTrafficWeight": 1000}),
        )
        .steps(json!([{"setCanaryScale": {"weight": 250}}, {"setWeight": 15}, {"pause": {}}]))
        .deployed()
        .updated();
    assert_eq!(pods_and_weight(&world), (3, 15), "{world}");
}

#[test]
fn a_step_ends_when_its_pods_are_there_and_weight_comes_after_them() {
    let mut world = rollout(
        10,
        json!([{"setCanaryScale": {"replicas": 3}}, {"setWeight": 5}, {"pause": {}}]),
    );
    world.declare("v2");
    world.play_until(|world| world.status.current_step_index == Some(1));
    assert_eq!(world.set_of("v2").unwrap().view.available, 3, "{world}");
    assert_eq!(world.weight(), 0);
    let told = world
        .notes
        .iter()
        .find(|note| note.reason == "RolloutStepCompleted")
        .unwrap();
    assert_eq!(
        told.message,
        "Rollout step 1/3 completed (setCanaryScale{replicas: 3})"
    );
}

#[test]
fn a_smaller_scale_takes_pods_away_at_once_and_leaves_the_weight() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"setCanaryScale": {"replicas": 1}}, {"pause": {}}]);
    let mut world = paused_at(steps, 4);
    assert_eq!(pods_and_weight(&world), (2, 50));
    world.play_for(60);
    world.ask("1", Verb::Promote);
    world.reconcile();
    let step = world.status.current_step_index;
    assert_eq!(
        (pods_and_weight(&world), step),
        ((1, 50), Some(2)),
        "{world}"
    );
    world.play();
    assert_eq!(world.status.current_step_index, Some(3), "{world}");
    assert_eq!(pods_and_weight(&world), (1, 50), "{world}");
}

#[test]
fn of_the_pods_that_the_scale_asks_for_the_available_part_carries_the_weight() {
    for (lost, left) in [(1, 30), (2, 20), (3, 10), (4, 0)] {
        let steps = json!([{"setCanaryScale": {"replicas": 4}}, {"setWeight": 40}, {"pause": {}}]);
        let mut world = paused_at(steps, 5);
        world.lose_pods("v2", lost, 30);
        world.reconcile();
        assert_eq!(world.weight(), left, "{lost} of 4 are gone");
        world.play_for(40);
        assert_eq!(world.weight(), 40, "all are back\n{world}");
    }
}

#[test]
fn pods_that_a_larger_scale_still_waits_for_are_not_missed() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setCanaryScale": {"replicas": 4}}, {"pause": {}}]);
    let mut world = paused_at(steps, 5);
    world.ask("1", Verb::Promote);
    for _ in 0..200 {
        let next = world.reconcile_all();
        assert_eq!(world.weight(), 20, "{world}");
        let Some(next) = next else { break };
        world.now = next;
        world.settle();
    }
    assert_eq!(pods_and_weight(&world), (4, 20), "{world}");
}

#[test]
fn an_autoscaler_changes_stable_and_what_is_a_share_and_never_sees_the_canary() {
    for (scale, before, after) in [
        (json!({"replicas": 3}), 3, 3),
        (json!({"weight": 50}), 5, 6),
        (json!({"matchTrafficWeight": true}), 1, 2),
    ] {
        let steps = json!([{"setCanaryScale": scale}, {"setWeight": 10}, {"pause": {}}]);
        let mut world = rollout(10, steps);
        world.declare("v2");
        world.play_until(|world| {
            assert_eq!(world.status.hpa_replicas, 10, "{scale}\n{world}");
            false
        });
        assert_eq!(pods_and_weight(&world), (before, 10), "{scale}\n{world}");
        world.set("/replicas", json!(11));
        world.play();
        assert_eq!(pods_and_weight(&world), (after, 10), "{scale}\n{world}");
        assert_eq!((world.size("v1"), world.status.hpa_replicas), (11, 11));
        assert_eq!(world.status.current_step_index, Some(2), "{scale}");
    }
}

#[test]
fn a_rollout_scaled_to_nothing_has_no_canary_either() {
    let steps = json!([{"setCanaryScale": {"replicas": 3}}, {"setWeight": 10}, {"pause": {}}]);
    let mut world = paused_at(steps, 4);
    world.watched = false;
    world.set("/replicas", json!(0));
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (0, 0), "{world}");
    world.set("/replicas", json!(4));
    world.play();
    assert_eq!(pods_and_weight(&world), (3, 10), "{world}");
}

#[test]
fn an_abort_takes_the_pods_whatever_the_scale() {
    let steps = json!([{"setCanaryScale": {"replicas": 6}}, {"setWeight": 10}, {"pause": {}}]);
    let mut world = paused_at(steps, 4);
    world.ask("1", Verb::Abort);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Degraded));
    assert_eq!(pods_and_weight(&world), (0, 0), "{world}");
}

#[test]
fn a_full_promotion_takes_the_whole_size_whatever_the_scale() {
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 50}, {"pause": {}}]);
    let mut world = paused_at(steps, 4);
    world.ask("1", Verb::PromoteFull);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    assert_eq!((world.size("v1"), world.size("v2")), (0, 4), "{world}");
}

#[test]
fn while_it_is_held_no_scale_begins() {
    for (from, to) in [(1, 3), (3, 1)] {
        let steps = json!([
            {"setCanaryScale": {"replicas": from}}, {"setWeight": 10}, {"pause": {"duration": 9}},
            {"setCanaryScale": {"replicas": to}}, {"pause": {}},
        ]);
        let mut world = rollout(4, steps);
        world.declare("v2");
        world.play_until(|world| world.status.current_step_index == Some(2));
        world.set("/paused", json!(true));
        world.status.current_step_index = Some(3);
        world.play();
        assert_eq!(world.size("v2"), from, "{from} to {to}\n{world}");
        world.set("/paused", json!(false));
        world.play();
        assert_eq!(world.size("v2"), to, "{from} to {to}\n{world}");
    }
}

fn errors(steps: Value) -> Vec<String> {
    let world = world().nginx().steps(steps);
    let spec: RolloutSpec = serde_json::from_value(world.spec).unwrap();
    let errors = validate(&spec).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_scale_has_one_member() {
    let _covers =
        testbed::covers(&["spec.strategy.canary.steps[].setCanaryScale.matchTrafficWeight"]);
    for (scale, error) in [
        (
            json!({}),
            "steps[0].setCanaryScale: set exactly one of weight, replicas and matchTrafficWeight; none is set",
        ),
        (
            json!({"weight": 1, "replicas": 1}),
            "steps[0].setCanaryScale: set exactly one of weight, replicas and matchTrafficWeight; it has weight, replicas",
        ),
        (
            json!({"matchTrafficWeight": false, "replicas": 1}),
            "steps[0].setCanaryScale: set exactly one of weight, replicas and matchTrafficWeight; it has replicas, matchTrafficWeight",
        ),
        (
            json!({"matchTrafficWeight": false}),
            "steps[0].setCanaryScale.matchTrafficWeight: must be true; to set another number of pods, set weight or replicas instead",
        ),
        (
            json!({"replicas": -1}),
            "steps[0].setCanaryScale.replicas: must not be negative",
        ),
        (
            json!({"weight": -1}),
            "steps[0].setCanaryScale.weight: must not be negative",
        ),
    ] {
        let expected = format!("spec.strategy.canary.{error}");
        assert_eq!(errors(json!([{"setCanaryScale": scale}])), [expected]);
    }
}

#[test]
fn a_scale_needs_a_router() {
    let world = world()
        .services()
        .steps(json!([{"setCanaryScale": {"replicas": 1}}]));
    let spec: RolloutSpec = serde_json::from_value(world.spec).unwrap();
    let errors = validate(&spec).unwrap_err();
    assert_eq!(
        errors[0].path,
        "spec.strategy.canary.steps[0].setCanaryScale"
    );
    assert!(
        errors[0]
            .message
            .starts_with("works only with trafficRouting")
    );
}

#[test]
fn no_weight_goes_to_a_version_that_is_left_without_pods() {
    let of = |emptied: usize, weighted: usize| {
        vec![format!(
            "spec.strategy.canary.steps[{emptied}].setCanaryScale: leaves the new version without pods while \
             steps[{weighted}].setWeight gives it traffic; set the weight to 0 before, or scale up before the weight"
        )]
    };
    for (steps, expected) in [
        (
            json!([{"setWeight": 20}, {"setCanaryScale": {"replicas": 0}}]),
            of(1, 0),
        ),
        (
            json!([{"setCanaryScale": {"weight": 0}}, {"pause": {}}, {"setWeight": 20}]),
            of(0, 2),
        ),
        (
            json!([{"setWeight": 20}, {"setWeight": 0}, {"setCanaryScale": {"replicas": 0}}]),
            vec![],
        ),
        (
            json!([{"setCanaryScale": {"replicas": 0}}, {"setCanaryScale": {"matchTrafficWeight": true}}, {"setWeight": 20}]),
            vec![],
        ),
        (
            json!([{"setCanaryScale": {"replicas": 0}}, {"pause": {}}]),
            vec![],
        ),
    ] {
        assert_eq!(errors(steps.clone()), expected, "{steps}");
    }
}
