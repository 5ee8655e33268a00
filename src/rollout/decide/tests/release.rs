//! Releases with a router, step by step.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::world::{World, world};
use crate::{
    api::{request::Verb, rollout_status::Phase},
    rollout::decision::{Action, Next},
};

fn steps() -> Value {
    json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": 60}}])
}

fn deployed() -> World {
    world().nginx().steps(steps()).deployed()
}

#[test]
fn the_whole_of_a_release() {
    let _covers = testbed::covers(&[
        "spec.replicas",
        "spec.selector",
        "spec.selector.matchLabels",
        "spec.template",
        "spec.strategy",
        "spec.strategy.canary",
        "spec.strategy.canary.stableService",
        "spec.strategy.canary.canaryService",
        "spec.strategy.canary.steps",
        "spec.strategy.canary.steps[].setWeight",
        "spec.strategy.canary.trafficRouting",
    ]);
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"pause": {"duration": 10}}, {"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}}]))
        .deployed();
    let mark = world.actions.len();
    let logged = world.log.len();
    world.declare("v2");
    world.play();
    assert_eq!(
        world.done_since(mark),
        [
            "create v2 with 1",
            "weight 0",
            "pin canary to v2",
            "weight 25",
            "scale v2 to 2",
            "weight 50",
            "measure v2-2-3",
            "scale v2 to 4",
            "weight 100",
            "pin stable to v2",
            "weight 0",
            "scale v1 to 0",
        ],
        "{}",
        world.log[logged..].join("\n")
    );
}

#[test]
fn the_canary_service_waits_for_pods_and_the_weight_for_their_endpoints() {
    let mut world = deployed();
    world.declare("v2");
    world.play_until(|world| world.size("v2") == 1);
    assert_eq!(world.behind("demo-canary"), "v1", "no pod is ready yet");
    world.play_until(|world| world.behind("demo-canary") == "v2");
    assert_eq!(world.weight(), 0, "no endpoint is seen yet");
    world.play_until(|world| world.weight() == 25);
    assert_eq!(world.answering("demo-canary"), 1);
}

/// One that learns of the weight before it learns of the endpoints would find nobody.
#[test]
fn weight_comes_back_to_pods_that_were_gone_when_proxies_know_of_them() {
    let mut world = deployed();
    world.declare("v2");
    world.play_until(|world| world.weight() == 25);
    world.overwrite_weight(0, "tidegate");
    let now = world.now;
    world.services.get_mut("demo-canary").unwrap().emptied = Some(now);
    let decision = world.decide();
    assert_eq!(decision.actions, []);
    let until = now + SignedDuration::from_secs(5);
    assert_eq!(decision.next, Next::At(until));
    world.now = until;
    assert_eq!(world.decide().actions.len(), 1);
}

/// The write that says it may fail, and a person who reads the status would give up another version than the one with traffic.
#[test]
fn nobody_is_sent_to_a_version_before_the_status_says_that_it_is_released() {
    let mut world = deployed();
    world.declare("v2");
    world.play_until(|world| world.weight() == 25);
    world.overwrite_weight(0, "tidegate");
    let actions = |world: &World| -> Vec<&'static str> {
        let decision = world.decide();
        assert_eq!(decision.status.current_pod_hash, world.hash("v2"));
        decision.actions.iter().map(Action::name).collect()
    };
    assert_eq!(actions(&world), ["patch_ingress"]);
    world.status.current_pod_hash = world.hash("v1");
    assert_eq!(actions(&world), [""; 0]);
}

#[test]
fn an_open_pause_ends_with_a_promotion_only() {
    let _covers = testbed::covers(&["spec.strategy.canary.steps[].pause"]);
    let mut world = deployed().updated();
    assert_eq!(world.status.phase, Some(Phase::Paused));
    assert_eq!(world.status.message, "CanaryPauseStep");
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("a person to promote it")
    );
    assert_eq!(
        world.status.next.as_ref().unwrap().action,
        "step 3/4: setWeight: 50"
    );
    world.ask("1", Verb::Promote);
    world.play_until(|world| world.weight() == 50);
    assert_eq!(world.status.current_step_index, Some(3));
}

#[test]
fn a_timed_pause_ends_at_its_time_whoever_looks() {
    let _covers = testbed::covers(&["spec.strategy.canary.steps[].pause.duration"]);
    let mut world = deployed().updated();
    world.ask("1", Verb::Promote);
    world.play_until(|world| world.status.current_step_index == Some(3));
    let begun = world.now;
    let told = world.status.next.clone().unwrap();
    assert_eq!(told.action, "promote revision 2");
    assert_eq!(told.at.unwrap().duration_since(begun).as_secs(), 60);
    world.play_until(|world| world.status.current_step_index == Some(4));
    assert_eq!(world.now.duration_since(begun).as_secs(), 60);
}

#[test]
fn a_promotion_is_for_one_step() {
    let mut world = world()
        .nginx()
        .steps(json!([{"pause": {}}, {"pause": {}}, {"setWeight": 10}]))
        .deployed()
        .updated();
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(world.status.current_step_index, Some(1), "{world}");
    assert_eq!(world.status.phase, Some(Phase::Paused));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn requests_are_answered_by_what_they_were_meant_for() {
    let paused = deployed().updated();
    let aborted = {
        let mut world = paused.clone();
        world.ask("0", Verb::Abort);
        world.play();
        world
    };
    let here = paused.hash("v2");
    for (what, world, verb, revision, step, accepted, message) in [
        (
            "at the step",
            &paused,
            Verb::Promote,
            Some(&*here),
            Some(1),
            true,
            "going on from the pause at step 1",
        ),
        (
            "meant another step",
            &paused,
            Verb::Promote,
            Some(&*here),
            Some(0),
            false,
            "meant step 0, but the update is at step 1",
        ),
        (
            "meant another revision",
            &paused,
            Verb::PromoteFull,
            Some("x"),
            None,
            false,
            &*format!("meant revision x, but {here} is the current one"),
        ),
        (
            "full",
            &paused,
            Verb::PromoteFull,
            None,
            None,
            true,
            "skipping all remaining steps, pauses and analyses",
        ),
        (
            "abort",
            &paused,
            Verb::Abort,
            None,
            None,
            true,
            "putting everything back to the stable version",
        ),
        (
            "nothing to retry",
            &paused,
            Verb::Retry,
            None,
            None,
            false,
            "the update is not aborted",
        ),
        (
            "promoted after the abort",
            &aborted,
            Verb::PromoteFull,
            None,
            None,
            false,
            "the update is aborted; retry it, or declare another version",
        ),
        (
            "aborted twice",
            &aborted,
            Verb::Abort,
            None,
            None,
            true,
            "aborted already",
        ),
        (
            "retry",
            &aborted,
            Verb::Retry,
            None,
            None,
            true,
            "starting again at the first step",
        ),
        (
            "nothing under way",
            &deployed(),
            Verb::Abort,
            None,
            None,
            false,
            "no update is under way",
        ),
    ] {
        let mut world = world.clone();
        let mut request = super::world::request("9", verb);
        request.revision = revision.map(str::to_owned);
        request.step = step;
        world.request = Some(Ok(request));
        let handled = world.decide().status.last_handled_request.unwrap();
        assert_eq!(
            (handled.accepted, handled.message.as_str()),
            (accepted, message),
            "{what}"
        );
        world.reconcile();
        let again = world.decide().status.last_handled_request.unwrap();
        assert_eq!(again.at, handled.at, "{what}: answered once");
    }
}

#[test]
fn a_double_click_does_not_skip_two_steps() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"pause": {}}, {"pause": {}}, {"pause": {}}]))
        .deployed()
        .updated();
    world.lose_pods("v2", 1, 30);
    world.ask("1", Verb::Promote);
    world.reconcile_all();
    world.ask("2", Verb::Promote);
    world.play();
    assert_eq!(world.status.current_step_index, Some(2), "{world}");
}

#[test]
fn an_unreadable_request_is_told() {
    let mut world = deployed();
    world.request = Some(Err("annotation x is not a request".to_owned()));
    let status = world.decide().status;
    assert_eq!(
        status.waiting_for.as_deref(),
        Some("a readable request: annotation x is not a request")
    );
    assert_eq!(status.phase, Some(Phase::Healthy));
}

#[test]
fn clients_may_patch_the_status_instead() {
    let paused = || deployed().updated();
    let mut promoted = paused();
    promoted.by_person = true;
    promoted.status.pause_conditions.clear();
    promoted.play_until(|world| world.weight() == 50);
    assert_eq!(
        promoted.status.current_step_index,
        Some(3),
        "pauseConditions: null"
    );

    let mut full = paused();
    full.by_person = true;
    full.status.promote_full = true;
    full.play();
    assert_eq!(
        full.version(&full.status.stable_rs),
        "v2",
        "promoteFull: true"
    );

    let mut aborted = paused();
    aborted.status.abort = true;
    aborted.play();
    assert_eq!(
        aborted.status.message,
        "RolloutAborted: Rollout aborted update to revision 2: requested in status.abort"
    );

    aborted.status.abort = false;
    aborted.play();
    assert_eq!(
        (aborted.status.attempt, aborted.status.current_step_index),
        (1, Some(1)),
        "abort: false"
    );
    assert!(aborted.reasons().contains(&"RolloutRetry"));
}

#[test]
fn paused_by_a_person_nothing_moves_and_nothing_is_taken_away() {
    let _covers = testbed::covers(&["spec.paused"]);
    let mut world = deployed().updated();
    world.set("/paused", json!(true));
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!((world.weight(), world.size("v2")), (25, 1));
    assert_eq!(
        (world.status.phase, world.status.message.as_str()),
        (Some(Phase::Paused), "manually paused")
    );
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("spec.paused to become false")
    );
    world.set("/paused", json!(false));
    world.play_until(|world| world.weight() == 50);
}

#[test]
fn the_stable_service_moves_at_full_availability_and_the_weight_goes_after_its_endpoints() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 100}, {"pause": {"duration": 1}}]))
        .deployed();
    world.declare("v2");
    world.play_until(|world| world.weight() == 100);
    world.lose_pods("v2", 1, 30);
    world.play_for(20);
    assert_eq!(world.behind("demo-stable"), "v1", "{world}");
    world.play_until(|world| world.behind("demo-stable") == "v2");
    assert!(world.weight() > 0, "its endpoints are not seen yet");
    world.play_until(|world| world.weight() == 0);
    assert_eq!(world.answering("demo-stable"), 4);
}

#[test]
fn the_old_version_stays_until_it_is_unrouted_and_the_delay_is_over() {
    let _covers = testbed::covers(&["spec.strategy.canary.scaleDownDelaySeconds"]);
    for (delay, expected) in [(None, 30), (Some(120), 120), (Some(0), 5)] {
        let mut world = world().nginx();
        if let Some(delay) = delay {
            world.canary("scaleDownDelaySeconds", json!(delay));
        }
        let mut world = world.deployed();
        world.declare("v2");
        world.play_until(|world| world.behind("demo-stable") == "v2");
        world.play_until(|world| world.weight() == 0);
        let unrouted = world.now;
        let next = world.status.next.clone().unwrap();
        assert!(
            next.action.starts_with("scale down ReplicaSet demo-"),
            "{next:?}"
        );
        world.play_until(|world| world.size("v1") == 0);
        assert_eq!(
            world.now.duration_since(unrouted).as_secs(),
            expected,
            "{delay:?}"
        );
    }
}

#[test]
fn only_so_many_old_versions_are_kept_by_the_delay() {
    let _covers = testbed::covers(&["spec.strategy.canary.scaleDownDelayRevisionLimit"]);
    let mut world = world()
        .nginx()
        .with("scaleDownDelaySeconds", json!(1000))
        .with("scaleDownDelayRevisionLimit", json!(1))
        .deployed();
    for version in ["v2", "v3"] {
        world.declare(version);
        world.play_until(|world| world.behind("demo-stable") == version && world.weight() == 0);
    }
    world.play_for(20);
    assert_eq!(
        (world.size("v1"), world.size("v2"), world.size("v3")),
        (0, 4, 4),
        "{world}"
    );
}

#[test]
fn a_new_revision_in_mid_flight_takes_the_weight_before_the_service() {
    let mut world = deployed().updated();
    let mark = world.actions.len();
    world.declare("v3");
    world.play_until(|world| world.weight() == 25);
    assert_eq!(
        world.done_since(mark),
        [
            "create v3 with 1",
            "weight 0",
            "pin canary to v3",
            "weight 25"
        ],
        "{world}"
    );
    assert_eq!(world.status.revision, Some(3));
}

#[test]
fn a_superseded_version_goes_also_if_its_successor_never_comes_up() {
    let mut world = deployed().broken("v3").updated();
    world.declare("v3");
    world.play_for(60);
    assert_eq!(
        (world.behind("demo-canary").as_str(), world.size("v2")),
        ("v1", 0),
        "{world}"
    );
}

#[test]
fn a_new_revision_while_the_last_release_ends_is_accepted() {
    let mut world = world().nginx().steps(json!([])).deployed();
    world.declare("v2");
    world.play_until(|world| world.version(&world.status.stable_rs) == "v2");
    world.lose_pods("v2", 2, 1_000_000);
    world.declare("v3");
    world.play();
    assert_eq!(world.version(&world.status.stable_rs), "v3", "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn a_step_without_weight_takes_the_pods_after_the_service() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"setWeight": 0}, {"pause": {}}]))
        .deployed();
    let mark = world.actions.len();
    world.declare("v2");
    world.play();
    assert_eq!(
        world.done_since(mark)[4..],
        ["weight 0", "pin canary to v1", "scale v2 to 0"],
        "{world}"
    );
}

#[test]
fn other_steps_start_the_update_again_without_its_evidence() {
    let analysis = |name: &str| json!({"analysis": {"templates": [{"templateName": name}]}});
    let mut world = world()
        .nginx()
        .steps(json!([analysis("errors"), {"pause": {}}]))
        .deployed()
        .updated();
    world.canary("steps", json!([analysis("latency"), {"pause": {}}]));
    world.generation += 1;
    world.play();
    let runs: Vec<_> = world
        .runs
        .iter()
        .map(|run| world.short_run(&run.name))
        .collect();
    assert_eq!(runs, ["v2-2-0", "v2-2-0.1"]);
}

#[test]
fn old_replica_sets_are_kept_up_to_the_limit() {
    let _covers = testbed::covers(&["spec.revisionHistoryLimit"]);
    let mut world = world()
        .with_spec("revisionHistoryLimit", json!(1))
        .deployed();
    for version in ["v2", "v3", "v4"] {
        world.declare(version);
        world.play();
    }
    let mut left: Vec<_> = world.sets.iter().map(|set| set.version.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["v3", "v4"]);
}

#[test]
fn an_old_version_that_is_declared_again_gets_a_new_revision() {
    let mut world = world().deployed().updated();
    world.declare("v1");
    world.play();
    let view = &world.set_of("v1").unwrap().view;
    assert_eq!((view.revision, view.replicas), (3, 4));
}

#[test]
fn a_deleted_stable_replica_set_comes_back() {
    let mut world = world().nginx().deployed();
    world.watched = false;
    world.sets.clear();
    world.services.remove("demo-canary");
    assert_eq!(world.would(), ["create v1 with 4"]);
}

#[test]
fn nothing_is_done_about_a_rollout_that_is_being_deleted() {
    let mut world = deployed().updated();
    world.deleting = true;
    world.declare("v3");
    let decision = world.decide();
    assert_eq!(
        (decision.actions.len(), decision.status),
        (0, world.status.clone())
    );
}

#[test]
fn a_router_that_is_taken_out_of_the_spec_leaves_nothing_behind() {
    let mut world = deployed().updated();
    world.watched = false;
    world.spec["strategy"]["canary"]
        .as_object_mut()
        .unwrap()
        .remove("trafficRouting");
    world.read_spec();
    world.generation += 1;
    assert!(
        world
            .would()
            .contains(&"delete Ingress demo-demo-canary".to_owned())
    );
    world.ask("1", Verb::PromoteFull);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    assert_eq!(
        (world.size("v1"), world.status.canary.weights.clone()),
        (0, None),
        "{world}"
    );
}
