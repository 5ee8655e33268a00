//! `restartAt`: which pods go when.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::world::{World, world};
use crate::{
    api::rollout_status::Phase,
    rollout::{
        decision::Action,
        snapshot::{PodView, Snapshot},
    },
};

/// Deployed a minute ago.
fn deployed(world: World) -> World {
    let mut world = world.deployed();
    world.now += SignedDuration::from_mins(1);
    world.settle();
    world
}

fn restart_now(world: &mut World) -> Timestamp {
    let now = world.now;
    world.set("/restartAt", json!(now.to_string()));
    now
}

fn evicted(world: &World) -> usize {
    let evictions = |action: &&Action| matches!(action, Action::EvictPod { .. });
    world.actions.iter().filter(evictions).count()
}

fn pods(world: &World, version: &str) -> Vec<String> {
    let set = world.set_of(version).unwrap();
    set.pods.iter().map(|pod| pod.name.clone()).collect()
}

#[test]
fn all_pods_are_replaced_so_many_at_a_time_and_it_is_told() {
    for (unavailable, at_once) in [
        (json!(0), 1),
        (json!(2), 2),
        (json!("25%"), 1),
        (json!(4), 3),
    ] {
        let steps = json!([{"setWeight": 50}, {"pause": {}}]);
        let world = world().nginx().steps(steps);
        let mut world = deployed(world.with("maxUnavailable", unavailable));
        let before = pods(&world, "v1");
        let at = restart_now(&mut world);
        world.reconcile();
        assert_eq!(evicted(&world), at_once);
        assert_eq!(world.status.message, "rollout is restarting");
        assert_eq!(world.status.phase, Some(Phase::Progressing));
        world.reconcile();
        assert_eq!(evicted(&world), at_once, "the next ones wait for these");
        world.play();
        let after = pods(&world, "v1");
        assert!(before.iter().all(|pod| !after.contains(pod)), "{after:?}");
        assert_eq!(
            (world.status.phase, world.size("v1")),
            (Some(Phase::Healthy), 4)
        );
        assert_eq!(world.status.restarted_at, Some(at));
        world.play();
        assert_eq!(evicted(&world), 4, "once");
    }
}

#[test]
fn it_waits_for_its_time() {
    let _covers = testbed::covers(&["spec.restartAt"]);
    let mut world = deployed(world().nginx());
    let at = world.now + SignedDuration::from_hours(1);
    world.set("/restartAt", json!(at.to_string()));
    world.play_until(|world| evicted(world) > 0);
    assert_eq!(world.now, at);
}

#[test]
fn both_versions_of_an_update_are_restarted_one_after_the_other() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut world = deployed(world().nginx().steps(steps)).updated();
    world.now += SignedDuration::from_mins(1);
    world.settle();
    let before = [pods(&world, "v1"), pods(&world, "v2")].concat();
    restart_now(&mut world);
    world.play();
    let after = [pods(&world, "v1"), pods(&world, "v2")].concat();
    assert!(before.iter().all(|pod| !after.contains(pod)));
    assert_eq!(
        (world.weight(), world.status.phase),
        (50, Some(Phase::Paused))
    );
}

#[test]
fn argo_1583_a_pod_that_serves_alone_gets_another_one_first() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut world = deployed(world().replicas(1).nginx().steps(steps));
    let before = pods(&world, "v1");
    let at = restart_now(&mut world);
    let mark = world.actions.len();
    world.play_until(|world| {
        assert!(world.answering("demo-stable") > 0, "{world}");
        evicted(world) > 0
    });
    let evict = format!("evict {}", before[0]);
    assert_eq!(
        world.done_since(mark)[..2],
        ["scale v1 to 2", evict.as_str()],
        "the new one serves before the old one goes"
    );
    world.play();
    assert_eq!(world.size("v1"), 1);
    assert!(!pods(&world, "v1").contains(&before[0]), "{world}");
    assert_eq!(world.status.restarted_at, Some(at));
    assert_eq!(world.status.restart_surge, None);
}

#[test]
fn a_refused_eviction_is_told_and_tried_again_after_thirty_seconds() {
    let mut world = deployed(world().nginx());
    world.no_evictions = true;
    restart_now(&mut world);
    let first = world.now;
    world.reconcile_all();
    assert_eq!(evicted(&world), 1);
    let waiting = world.status.waiting_for.clone().unwrap();
    assert!(
        waiting.starts_with("the eviction of a pod to be allowed: evict demo-"),
        "{waiting}"
    );
    world.play_until(|world| evicted(world) > 1);
    assert_eq!(world.now.duration_since(first).as_secs(), 30);
    world.no_evictions = false;
    world.play();
    assert!(world.status.restarted_at.is_some());
}

#[test]
fn argo_4221_nothing_is_scaled_down_on_top_of_an_eviction() {
    let mut world = deployed(world());
    restart_now(&mut world);
    world.set("/replicas", json!(2));
    let decision = world.decide();
    let shrinks = |action: &Action| {
        matches!(
            action,
            Action::PatchReplicaSet {
                replicas: Some(_),
                ..
            }
        )
    };
    assert!(
        decision
            .actions
            .iter()
            .any(|action| matches!(action, Action::EvictPod { .. }))
    );
    assert!(!decision.actions.iter().any(shrinks), "{decision:?}");
    world.play();
    assert_eq!(
        (world.size("v1"), world.status.phase),
        (2, Some(Phase::Healthy))
    );
    assert!(world.status.restarted_at.is_some());
}

#[test]
fn no_more_pods_count_as_available_than_are_listed() {
    let world = deployed(world());
    let mut snapshot: Snapshot = world.snapshot();
    let uid = snapshot.replica_sets[0].uid.clone();
    let pod = |name: &str, ready, terminating| PodView {
        name: name.to_owned(),
        uid: name.to_owned(),
        replica_set_uid: uid.clone(),
        created: world.now,
        ready,
        terminating,
    };
    assert_eq!(snapshot.replica_sets[0].available, 4);
    snapshot.attach_pods(vec![
        pod("a", true, false),
        pod("b", false, false),
        pod("c", true, true),
    ]);
    assert_eq!(snapshot.replica_sets[0].available, 1);
}

#[test]
fn pods_that_serve_nobody_go_first_and_do_not_hold_up_their_restart() {
    let mut world = deployed(world());
    world.lose_pods("v1", 3, 1_000_000);
    restart_now(&mut world);
    world.play_for(120);
    assert!(world.status.restarted_at.is_some(), "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy));
}

#[test]
fn what_is_no_time_is_refused() {
    let mut world = world().with_spec("restartAt", json!("tomorrow"));
    world.play();
    let (_, _, message) = world.condition("InvalidSpec").unwrap();
    assert_eq!(
        message,
        "spec.restartAt: tomorrow is not a time; write it as 2026-01-31T12:00:00Z"
    );
}
