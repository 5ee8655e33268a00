//! The first deploy: no steps, and Services only at full availability.

use serde_json::json;

use super::world::{World, world};
use crate::{
    api::rollout_status::Phase,
    rollout::snapshot::{Refusal, RefusalKind},
};

fn steps() -> serde_json::Value {
    json!([{"setWeight": 25}, {"pause": {}}])
}

#[test]
fn all_pods_come_at_once_and_no_step_is_taken() {
    for (what, world) in [
        ("router", world().nginx().steps(steps())),
        ("pods", world().steps(steps())),
    ] {
        let world = world.deployed();
        assert_eq!(world.size("v1"), 4, "{what}");
        assert_eq!(world.status.current_step_index, Some(2), "{what}");
        assert!(!world.reasons().contains(&"RolloutPaused"), "{what}");
    }
}

#[test]
fn services_are_pinned_only_at_full_availability() {
    let mut world = world().nginx().steps(steps());
    world.play_until(|world| world.size("v1") == 4);
    assert_eq!(
        (world.behind("demo-stable"), world.behind("demo-canary")),
        ("all".to_owned(), "all".to_owned())
    );
    let told = "pods of the stable version to be available before Service demo-stable selects them: 0 of 4 are";
    assert_eq!(world.status.waiting_for.as_deref(), Some(told));
    let mut short = world.clone();
    short.play_until(|world| world.seconds() == 3);
    assert_eq!(
        short.done_since(1),
        ["pin stable to v1", "pin canary to v1"]
    );
}

#[test]
fn one_pod_too_few_leaves_the_services_to_the_user() {
    let mut world = world().nginx();
    world.play_until(|world| world.size("v1") == 4);
    world.now = "2027-01-15T08:00:03Z".parse().unwrap();
    world.settle();
    world.lose_pods("v1", 1, 60);
    assert_eq!(world.would(), Vec::<String>::new());
}

#[test]
fn the_routers_objects_come_with_the_first_update() {
    let world = world().nginx().steps(steps()).deployed();
    assert_eq!(world.ingresses.keys().collect::<Vec<_>>(), ["demo"]);
}

#[test]
fn a_first_deploy_that_never_served_is_corrected_without_steps() {
    for (what, world) in [
        ("router", world().nginx().steps(steps())),
        ("pods", world().steps(steps())),
    ] {
        let mut world = world.broken("v1");
        world.play_for(20);
        world.declare("v2");
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{what}\n{world}");
        assert_eq!(
            (world.size("v1"), world.size("v2")),
            (0, 4),
            "{what}\n{world}"
        );
        assert!(
            !world.reasons().contains(&"RolloutPaused"),
            "{what}\n{world}"
        );
    }
}

#[test]
fn a_stable_version_that_broke_later_still_takes_steps() {
    let mut world = world().nginx().steps(steps()).deployed();
    world.lose_pods("v1", 4, 1_000_000);
    world.declare("v2");
    world.play_for(60);
    assert_eq!(world.status.phase, Some(Phase::Paused), "{world}");
    assert_eq!(world.version(&world.status.stable_rs), "v1");
}

#[test]
fn no_pods_leave_the_users_services_alone() {
    let world = world().nginx().replicas(0).deployed();
    assert_eq!(world.behind("demo-stable"), "all");
}

#[test]
fn a_taken_name_is_waited_for_and_never_adopted() {
    let mut world = world();
    let name = format!("demo-{}", world.hash("v1"));
    world.foreign.push(name.clone());
    world.play();
    assert!(world.sets.is_empty());
    assert_eq!(
        world.status.waiting_for,
        Some(format!(
            "the name {name} to be free: another ReplicaSet has it"
        ))
    );
    world.foreign.clear();
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy));
}

#[test]
fn a_refused_template_is_not_asked_for_again() {
    let mut world = world();
    world.refusal = Some(Refusal {
        kind: RefusalKind::Invalid,
        message: "spec.template.spec.containers[0].image: Required value".to_owned(),
    });
    world.play();
    assert!(world.sets.is_empty());
    let told = "spec.template: spec.template.spec.containers[0].image: Required value";
    assert_eq!(world.condition("InvalidSpec").unwrap().2, told);
    assert_eq!(world.status.message, format!("InvalidSpec: {told}"));
    world.declare("v2");
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn quota_is_told_and_asked_for_again() {
    let mut world = world();
    world.refusal = Some(Refusal {
        kind: RefusalKind::Forbidden,
        message: "exceeded quota: pods".to_owned(),
    });
    let decision = world.decide();
    assert_eq!(world.all_shown(&decision), ["create v1 with 4"]);
    assert!(
        decision
            .status
            .waiting_for
            .unwrap()
            .ends_with("exceeded quota: pods")
    );
    let failure = decision
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == "ReplicaFailure");
    assert_eq!(failure.unwrap().message, "exceeded quota: pods");
}

#[test]
fn a_lost_status_takes_over_what_serves() {
    let serving = |world: World| {
        let mut world = world;
        world.status = crate::api::rollout_status::RolloutStatus::default();
        let decision = world.decide();
        world.version(&decision.status.stable_rs)
    };
    let paused = || world().nginx().steps(steps()).deployed().updated();
    assert_eq!(serving(paused()), "v1", "what the stable Service selects");
    let pods = world().steps(steps()).deployed().updated();
    assert_eq!(serving(pods), "v1", "what has most available pods");
}
