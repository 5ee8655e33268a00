//! Going back: the window in which it needs no proof.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::{
    api::{analysis::AnalysisPhase, request::Verb, rollout_status::Phase},
    rollout::decide::validate,
};

const FIELD: &str = "spec.rollbackWindow.revisions";

fn steps() -> Value {
    json!([{"setWeight": 50}, {"pause": {}}])
}

fn kinds(window: i32) -> Vec<World> {
    let kinds = vec![
        world().nginx().steps(steps()),
        world().steps(steps()),
        world().blue_green(&json!({"autoPromotionEnabled": false})),
    ];
    kinds
        .into_iter()
        .map(|world| {
            world
                .with_spec("rollbackWindow", json!({"revisions": window}))
                .deployed()
        })
        .collect()
}

fn release(world: &mut World, version: &str) {
    world.declare(version);
    world.play();
    world.ask(
        &format!("release {version} {}", world.writes),
        Verb::PromoteFull,
    );
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), version, "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    // Its pods are long gone.
    world.play_for(1_000);
}

/// Whether `version` goes in without asking anybody.
fn skips(world: &World, version: &str) -> bool {
    let mut world = world.clone();
    world.declare(version);
    world.play();
    world.version(&world.status.stable_rs) == version
}

#[test]
fn the_last_revisions_need_no_steps() {
    let _covers = testbed::covers(&[FIELD]);
    for (window, fast) in [
        (1, [false, false, true]),
        (2, [false, true, true]),
        (9, [true; 3]),
    ] {
        for mut world in kinds(window) {
            for version in ["v2", "v3", "v4"] {
                release(&mut world, version);
            }
            for (version, expected) in ["v1", "v2", "v3"].into_iter().zip(fast) {
                assert_eq!(
                    skips(&world, version),
                    expected,
                    "{version}, {window}\n{world}"
                );
            }
        }
    }
}

#[test]
fn argo_s28_the_order_of_revisions_decides_and_not_their_age() {
    let _covers = testbed::covers(&[FIELD]);
    for mut world in kinds(1) {
        release(&mut world, "v2");
        // v1 is now the newest revision, and v2 the one before it.
        world.declare("v1");
        world.play();
        assert_eq!(world.version(&world.status.stable_rs), "v1", "{world}");
        world.play_for(1_000);
        assert!(
            skips(&world, "v2"),
            "back to what was stable before\n{world}"
        );
        release(&mut world, "v3");
        assert!(skips(&world, "v1"), "{world}");
        assert!(!skips(&world, "v2"), "two revisions back\n{world}");
    }
}

#[test]
fn a_version_that_was_never_stable_is_not_gone_back_to() {
    for mut world in kinds(5) {
        world.declare("v2");
        world.play();
        world.ask("1", Verb::Abort);
        world.play();
        release(&mut world, "v3");
        assert!(!skips(&world, "v2"), "it was given up\n{world}");
        assert!(skips(&world, "v1"), "{world}");
    }
}

#[test]
fn without_a_window_every_step_is_taken() {
    let mut world = world().nginx().steps(steps()).deployed();
    release(&mut world, "v2");
    assert!(!skips(&world, "v1"));
}

#[test]
fn it_goes_in_fast_while_another_version_is_under_way() {
    let analysed =
        json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}}]);
    let mut world = world()
        .nginx()
        .steps(analysed)
        .with_spec("rollbackWindow", json!({"revisions": 2}))
        .verdict("-1", None::<AnalysisPhase>)
        .deployed();
    for version in ["v2", "v3"] {
        release(&mut world, version);
    }
    world.declare("v4");
    world.play_until(|world| world.weight() == 50);
    assert!(skips(&world, "v2"), "{world}");
}

#[test]
fn a_crash_before_any_write_does_not_take_the_way_back() {
    for mut world in kinds(1) {
        release(&mut world, "v2");
        let before = world.writes;
        let mut undisturbed = world.clone();
        undisturbed.declare("v1");
        undisturbed.play();
        for number in 1..=undisturbed.writes - before {
            let mut crashed = world.clone();
            crashed.crash_before_write(number);
            assert!(
                skips(&crashed, "v1"),
                "crash before write {number}\n{world}"
            );
        }
    }
}

#[test]
fn a_window_without_revisions_is_refused() {
    for window in [json!({}), json!({"revisions": 0}), json!({"revisions": -1})] {
        let world = world().with_spec("rollbackWindow", window);
        let spec = serde_json::from_value(world.spec).unwrap();
        let errors = validate(&spec).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "spec.rollbackWindow.revisions: must be at least 1: how many revisions back need no steps"
        );
    }
}
