//! Releases that never ended.

use serde_json::{Value, json};

use crate::{
    api::{request::Verb, rollout_status::Phase},
    rollout::{
        decide::tests::world::{World, world},
        decision::Action,
    },
};

fn half() -> Value {
    json!([{"setWeight": 50}, {"pause": {"duration": 5}}])
}

/// Pods of `v2` come up and crash, again and again. Seconds until the release was given up.
fn crash_loop(mut world: World) -> i64 {
    world.declare("v2");
    let begun = world.now;
    for _ in 0..200 {
        world.play_for(4);
        world.lose_pods("v2", 10, 9);
        world.play_for(6);
        if world.status.abort {
            return world.now.duration_since(begun).as_secs();
        }
    }
    panic!("no end\n{world}");
}

#[test]
fn argo_3765_pods_that_crash_in_a_loop_do_not_reset_the_deadline() {
    let world = world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .with_spec("progressDeadlineSeconds", json!(120))
        .with_spec("progressDeadlineAbort", json!(true))
        .deployed();
    let seconds = crash_loop(world);
    assert!((120..400).contains(&seconds), "{seconds}");
}

#[test]
fn argo_4128_pods_that_crash_in_a_loop_are_given_up_without_a_router_too() {
    let world = world()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .with_spec("progressDeadlineSeconds", json!(120))
        .with_spec("progressDeadlineAbort", json!(true))
        .deployed();
    let seconds = crash_loop(world);
    assert!((120..400).contains(&seconds), "{seconds}");
}

#[test]
fn argo_4073_every_write_is_bound_to_what_it_was_decided_on() {
    for world in [
        world().nginx().steps(half()),
        world().blue_green(&json!({})),
    ] {
        let mut world = world.deployed();
        world.declare("v2");
        let mut bound = 0;
        for _ in 0..100 {
            let (snapshot, decision) = (world.snapshot(), world.decide());
            assert_eq!(decision, world.decide(), "the same look, the same decision");
            for action in &decision.actions {
                let found = if let Action::PatchReplicaSet { target, .. } = action {
                    let mut sets = snapshot.replica_sets.iter();
                    let set = sets.find(|set| set.name == target.name).unwrap();
                    Some((target, &set.resource_version))
                } else if let Action::PinService { target, .. } = action {
                    Some((target, &snapshot.services[&target.name].resource_version))
                } else if let Action::PatchIngress { target, .. } = action {
                    Some((target, &snapshot.ingresses[&target.name].resource_version))
                } else {
                    None
                };
                let Some((target, known)) = found else {
                    continue;
                };
                assert_eq!(target.resource_version, *known, "{action:?}");
                bound += 1;
            }
            if !world.reconcile() {
                let Some(next) = world.reconcile_all() else {
                    break;
                };
                world.now = next;
                world.settle();
            }
        }
        assert!(bound >= 3, "{world}");
    }
}

#[test]
fn argo_1372_of_three_versions_at_once_the_last_one_stays() {
    for world in [
        world().nginx().steps(half()),
        world().steps(half()),
        world().blue_green(&json!({"autoPromotionSeconds": 5})),
    ] {
        let mut world = world.deployed();
        for version in ["v2", "v3", "v4"] {
            world.declare(version);
            for _ in 0..3 {
                world.reconcile();
            }
            assert_eq!(world.version(&world.status.stable_rs), "v1", "{world}");
        }
        world.play();
        assert_eq!(world.version(&world.status.stable_rs), "v4", "{world}");
        let others: i32 = ["v1", "v2", "v3"]
            .iter()
            .map(|version| world.size(version))
            .sum();
        assert_eq!((others, world.size("v4")), (0, 4), "{world}");
    }
}

#[test]
fn argo_1774_a_bad_stable_version_does_not_keep_a_good_canary_out() {
    for world in [
        world().nginx().steps(half()),
        world().steps(half()),
        world().blue_green(&json!({})),
        world()
            .nginx()
            .steps(half())
            .with("dynamicStableScale", json!(true)),
    ] {
        let mut world = world.deployed();
        world.lose_pods("v1", 4, 1_000_000);
        world.declare("v2");
        world.play();
        assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    }
}

#[test]
fn argo_3082_a_spec_that_was_invalid_during_an_abort_does_not_stop_the_next_release() {
    let mut world = world()
        .nginx()
        .steps(half())
        .with_spec("progressDeadlineSeconds", json!(60))
        .with_spec("progressDeadlineAbort", json!(true))
        .broken("v2")
        .deployed();
    world.declare("v2");
    world.play_for(30);
    world.canary("steps", json!([{"setWeight": 200}]));
    world.generation += 1;
    world.play();
    assert_eq!(world.condition("InvalidSpec").unwrap().0, "True", "{world}");
    world.canary("steps", half());
    world.declare("v3");
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), "v3", "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn argo_3686_no_replicas_and_a_promotion_are_no_trouble() {
    for world in [
        world()
            .nginx()
            .steps(json!([{"setWeight": 50}, {"pause": {}}])),
        world().steps(json!([{"setWeight": 50}, {"pause": {}}])),
        world().blue_green(&json!({"autoPromotionEnabled": false})),
    ] {
        for verb in [Verb::Promote, Verb::PromoteFull] {
            let mut world = world.clone().replicas(0).deployed().updated();
            world.ask("1", verb);
            world.play();
            assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
            assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        }
    }
}

#[test]
fn argo_4412_a_full_promotion_of_what_a_person_has_paused_is_kept_and_told() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .deployed()
        .updated();
    world.set("/paused", json!(true));
    world.ask("1", Verb::PromoteFull);
    world.play();
    assert!(
        world.status.promote_full && world.status.pause_conditions.is_empty(),
        "{world}"
    );
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("spec.paused to become false")
    );
    world.set("/paused", json!(false));
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
}

#[test]
fn scaling_in_a_bake_does_not_end_it() {
    let mut world = world()
        .blue_green(&json!({"bake": {"duration": 300}}))
        .deployed();
    world.declare("v2");
    world.play_until(|world| world.status.bake.started_at.is_some());
    let begun = world.now;
    for replicas in [6, 3] {
        world.set("/replicas", json!(replicas));
        world.play_for(30);
        assert_eq!(world.version(&world.status.stable_rs), "v1", "{world}");
    }
    world.play_until(|world| world.version(&world.status.stable_rs) == "v2");
    assert_eq!(world.now.duration_since(begun).as_secs(), 300, "{world}");
}
