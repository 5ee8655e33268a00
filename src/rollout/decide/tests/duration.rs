//! How long updates took and how they ended.

use serde_json::json;

use super::world::{World, world};
use crate::api::{
    request::Verb,
    update_duration::{CompletionStatus, UpdateDuration},
};

fn deployed() -> World {
    let world = world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}, {"pause": {"duration": 30}}]))
        .with_spec("rollbackWindow", json!({"revisions": 2}));
    world.deployed()
}

fn told(world: &World) -> UpdateDuration {
    world.status.duration.clone().unwrap()
}

fn took(world: &World) -> i64 {
    let told = told(world);
    let (from, to) = (told.rollout_started_at.unwrap(), told.finished_at.unwrap());
    to.duration_since(from).as_secs()
}

#[test]
fn an_update_is_timed_with_its_pauses_for_a_person() {
    let _covers = testbed::covers(&[
        "status.duration.rolloutStartedAt",
        "status.duration.manualPauseStartedAt",
        "status.duration.totalManualPauseDurationSeconds",
        "status.duration.finishedAt",
        "status.duration.completionStatus",
    ]);
    let mut world = deployed();
    assert_eq!(
        told(&world).completion_status,
        Some(CompletionStatus::Promoted)
    );
    world.declare("v2");
    let begun = world.now;
    world.play();
    assert_eq!(told(&world).rollout_started_at, Some(begun));
    let paused = told(&world).manual_pause_started_at.unwrap();
    world.play_for(100);
    let waited = world.now.duration_since(paused).as_secs();
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(told(&world).total_manual_pause_duration_seconds, waited);
    assert_eq!(told(&world).manual_pause_started_at, None);
    assert_eq!(
        told(&world).completion_status,
        Some(CompletionStatus::Promoted)
    );
    assert!((130..150).contains(&took(&world)), "{}", took(&world));
}

#[test]
fn a_person_who_pauses_is_waited_for() {
    let mut world = deployed();
    world.declare("v2");
    world.set("/paused", json!(true));
    world.play_for(40);
    assert!(told(&world).manual_pause_started_at.is_some());
    world.set("/paused", json!(false));
    world.reconcile_all();
    assert_eq!(told(&world).total_manual_pause_duration_seconds, 40);
}

#[test]
fn every_end_is_told() {
    let _covers = testbed::covers(&["status.duration.completionStatus"]);
    let mut world = deployed();
    let ends_with = |world: &World, how: CompletionStatus| {
        assert_eq!(told(world).completion_status, Some(how), "{world}");
    };
    world.declare("v2");
    world.play();
    world.ask("1", Verb::Abort);
    world.play();
    ends_with(&world, CompletionStatus::Aborted);
    world.ask("2", Verb::Retry);
    world.play();
    assert_eq!(told(&world).completion_status, None);
    let before = told(&world).previous.unwrap();
    assert_eq!(before.completion_status, CompletionStatus::Aborted);
    world.declare("v3");
    world.play();
    let before = told(&world).previous.unwrap();
    assert_eq!(before.completion_status, CompletionStatus::Superseded);
    world.ask("3", Verb::PromoteFull);
    world.play();
    ends_with(&world, CompletionStatus::FastPromoted);
    world.declare("v1");
    world.play();
    ends_with(&world, CompletionStatus::FastRolledBack);
    world.set("/rollbackWindow", json!(null));
    world.declare("v3");
    world.play();
    world.ask("4", Verb::Promote);
    world.play();
    ends_with(&world, CompletionStatus::RolledBack);
}

#[test]
fn a_release_that_is_taken_back_is_told() {
    let mut world = deployed();
    world.declare("v2");
    world.play();
    world.declare("v1");
    world.play();
    let told = told(&world);
    assert_eq!(
        told.completion_status,
        Some(CompletionStatus::FastRolledBack)
    );
    let before = told.previous.unwrap();
    assert_eq!(before.completion_status, CompletionStatus::Superseded);
}
