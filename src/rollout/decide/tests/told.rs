//! What people and tools are told.

use serde_json::json;

use super::world::{World, world};
use crate::api::{request::Verb, rollout_status::Phase};

fn deployed() -> World {
    world()
        .nginx()
        .steps(json!([{"setWeight": 25}, {"pause": {}}]))
        .deployed()
}

fn condition(world: &World, type_: &str) -> String {
    world.condition(type_).map_or_else(
        || "absent".to_owned(),
        |(status, reason, _)| format!("{status} {reason}"),
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conditions_of_every_phase() {
    let progressing = {
        let mut world = deployed();
        world.declare("v2");
        world.play_until(|world| world.size("v2") == 1);
        world
    };
    let paused = deployed().updated();
    let aborted = {
        let mut world = paused.clone();
        world.ask("1", Verb::Abort);
        world.play();
        world
    };
    let invalid = {
        let mut world = paused.clone();
        world.canary("pingPong", json!({"pingService": "a", "pongService": "b"}));
        world.play();
        world
    };
    let types = [
        "Ready",
        "Reconciling",
        "Stalled",
        "Progressing",
        "Paused",
        "Completed",
        "Healthy",
        "InvalidSpec",
    ];
    for (what, world, expected) in [
        (
            "healthy",
            &deployed(),
            [
                "True RolloutHealthy",
                "absent",
                "absent",
                "True NewReplicaSetAvailable",
                "absent",
                "True RolloutCompleted",
                "True RolloutHealthy",
                "absent",
            ],
        ),
        (
            "progressing",
            &progressing,
            [
                "Unknown Progressing",
                "True Progressing",
                "absent",
                "True ReplicaSetUpdated",
                "absent",
                "False RolloutNotCompleted",
                "False RolloutNotHealthy",
                "absent",
            ],
        ),
        (
            "paused",
            &paused,
            [
                "False AwaitingApproval",
                "True AwaitingApproval",
                "absent",
                "Unknown RolloutPaused",
                "True RolloutPaused",
                "False RolloutNotCompleted",
                "False RolloutNotHealthy",
                "absent",
            ],
        ),
        (
            "aborted",
            &aborted,
            [
                "False RolledBack",
                "absent",
                "True RolledBack",
                "False RolloutAborted",
                "False RolloutResumed",
                "False RolloutNotCompleted",
                "False RolloutNotHealthy",
                "absent",
            ],
        ),
        (
            "invalid",
            &invalid,
            [
                "False InvalidSpec",
                "absent",
                "True InvalidSpec",
                "False InvalidSpec",
                "False RolloutResumed",
                "False RolloutNotCompleted",
                "False RolloutNotHealthy",
                "True InvalidSpec",
            ],
        ),
    ] {
        let seen = types.map(|type_| condition(world, type_));
        assert_eq!(seen, expected, "{what}");
    }
}

#[test]
fn messages_are_those_that_clients_match_on() {
    let mut world = deployed();
    assert_eq!(
        (world.status.phase, world.status.message.as_str()),
        (Some(Phase::Healthy), "")
    );
    world.declare("v2");
    world.reconcile();
    assert_eq!(world.status.message, "more replicas need to be updated");
    world.reconcile();
    assert_eq!(
        world.status.message,
        "updated replicas are still becoming available"
    );
    world.play_until(|world| world.seconds() == 7);
    assert_eq!(world.status.message, "waiting for all steps to complete");
    world.play();
    assert_eq!(world.status.message, "CanaryPauseStep");
}

#[test]
fn events_come_once_and_in_order() {
    let mut world = deployed();
    world.notes.clear();
    world.declare("v2");
    world.play();
    world.play_for(1_000);
    let at_pause = [
        "RolloutNotCompleted",
        "RolloutUpdated",
        "TrafficWeightUpdated",
        "RolloutStepCompleted",
        "RolloutPaused",
    ];
    let mut seen = world.reasons();
    seen.sort_unstable();
    let mut expected = at_pause;
    expected.sort_unstable();
    assert_eq!(seen, expected, "{world}");
    world.notes.clear();
    world.ask("1", Verb::Promote);
    world.play();
    let reasons = world.reasons();
    for reason in [
        "RequestAccepted",
        "RolloutResumed",
        "RolloutCompleted",
        "RolloutHealthy",
    ] {
        assert_eq!(
            reasons.iter().filter(|seen| **seen == reason).count(),
            1,
            "{reason}"
        );
    }
}

#[test]
fn events_say_what_clients_look_for() {
    let mut world = deployed();
    world.declare("v2");
    world.play();
    world.ask("1", Verb::Promote);
    world.play();
    let hash = world.hash("v2");
    let texts: Vec<&str> = world
        .notes
        .iter()
        .map(|note| note.message.as_str())
        .collect();
    for text in [
        "Rollout updated to revision 2",
        "Rollout step 1/2 completed (setWeight: 25)",
        "Rollout is paused (CanaryPauseStep)",
        "Traffic weight updated from 0 to 25",
        "Rollout is resumed",
        &format!("Rollout completed update to revision 2 ({hash}): all steps are done"),
        &format!("Rollout not completed, started update to revision 2 ({hash})"),
        "Rollout is healthy at revision 2",
    ] {
        assert!(texts.contains(&text), "{text} in {texts:#?}");
    }
}

/// Its pods may still be there, and the weight is another version's.
#[test]
fn a_pin_that_was_taken_out_comes_back_to_the_version_that_had_it_when_another_is_declared() {
    let mut world = deployed().updated();
    let before = world.behind("demo-canary");
    world.declare("v3");
    world.take_pin_out("demo-canary", "argocd-controller");
    world.reconcile();
    assert_eq!(world.behind("demo-canary"), before);
    world.play_until(|world| world.behind("demo-canary") == "v3");
    assert_eq!(world.weight(), 0);
}

#[test]
fn a_pin_that_was_taken_out_comes_back_at_once_and_says_who_did_it() {
    for service in ["demo-stable", "demo-canary"] {
        let mut world = deployed().updated();
        let before = world.behind(service);
        world.take_pin_out(service, "argocd-controller");
        world.reconcile();
        assert_eq!(world.behind(service), before, "{service}");
        assert_eq!(world.weight(), 25, "{service}");
        let told = format!(
            "argocd-controller changed the selector of Service {service}, which this Rollout manages while it has traffic; it was put back"
        );
        assert_eq!(world.condition("TrafficOverwritten").unwrap().2, told);
        world.play_for(700);
        assert_eq!(
            condition(&world, "TrafficOverwritten"),
            "False Quiet",
            "forgotten after a while"
        );
    }
}

#[test]
fn a_service_that_was_pointed_elsewhere_comes_back() {
    let mut world = deployed();
    world.watched = false;
    let key = &super::world::names().pod_template_hash;
    let service = world.services.get_mut("demo-stable").unwrap();
    service.selector.insert(key.clone(), "nonsense".to_owned());
    service.selector_written_by = Some("kubectl-edit".to_owned());
    world.reconcile();
    assert_eq!(world.behind("demo-stable"), "v1");
}

#[test]
fn an_overwritten_weight_is_written_again_with_backoff_and_then_a_person_is_asked() {
    let mut world = deployed().updated();
    let mut gaps = Vec::new();
    let mut last = world.now;
    for round in 0..5 {
        world.overwrite_weight(5, "flux");
        world.play_until(|world| world.weight() == 25);
        gaps.push(world.now.duration_since(last).as_secs());
        last = world.now;
        let asked = world
            .status
            .pause_conditions
            .iter()
            .any(|pause| pause.reason.name() == "TrafficOverwritten");
        assert_eq!(asked, round == 4, "round {round}\n{world}");
    }
    assert_eq!(gaps, [0, 2, 4, 8, 16]);
    assert!(
        world
            .condition("TrafficOverwritten")
            .unwrap()
            .2
            .starts_with("flux changed the canary weight")
    );
}

#[test]
fn too_much_weight_is_taken_back_fast() {
    let mut world = deployed().updated();
    for _ in 0..3 {
        world.overwrite_weight(90, "flux");
        let begun = world.now;
        world.play_until(|world| world.weight() == 25);
        assert!(world.now.duration_since(begun).as_secs() <= 1);
    }
}

#[test]
fn what_is_missing_is_named_and_everything_but_the_way_back_stops() {
    for (what, missing) in [
        ("demo-canary", "Service demo-canary"),
        ("demo-stable", "Service demo-stable"),
        ("demo", "Ingress demo"),
    ] {
        let mut world = deployed().updated();
        world.watched = false;
        world.services.remove(what);
        world.ingresses.remove(what);
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!(world.weight(), 25, "{what}: nothing moves");
        assert_eq!(
            world.status.waiting_for,
            Some(format!("{missing} to exist"))
        );
        assert_eq!(
            world.condition("ReferenceMissing").unwrap().2,
            format!("{missing} does not exist; create it or correct the spec")
        );
        world.ask("2", Verb::Abort);
        world.play();
        let kept = if what == "demo-stable" { 25 } else { 0 };
        assert_eq!(
            world.weight(),
            kept,
            "{what}: an abort goes on, as far as somebody answers\n{world}"
        );
    }
}

#[test]
fn an_ingress_that_no_longer_fits_is_told_and_does_not_stop_the_abort() {
    let mut world = deployed().updated();
    world.ingresses.get_mut("demo").unwrap().object["spec"]["rules"] = json!([]);
    world.play();
    let told = "spec.strategy.canary.trafficRouting: Ingress demo has no rule with a path to Service demo-stable; trafficRouting.nginx needs one";
    assert_eq!(world.condition("InvalidSpec").unwrap().2, told);
    world.ask("1", Verb::Abort);
    world.play();
    assert_eq!(world.weight(), 0, "{world}");
}

#[test]
fn counts_and_selector_are_for_autoscalers() {
    let world = deployed().updated();
    let status = &world.status;
    let counts = (
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
        status.available_replicas,
        status.hpa_replicas,
    );
    assert_eq!(
        (counts, status.selector.as_str()),
        ((5, 1, 5, 5, 4), "app=demo")
    );
}

#[test]
fn the_status_of_the_whole_release_survives_its_json() {
    let mut world = deployed();
    world.declare("v2");
    for _ in 0..60 {
        world.reconcile();
        let json = serde_json::to_value(&world.status).unwrap();
        let back: crate::api::rollout_status::RolloutStatus = serde_json::from_value(json).unwrap();
        assert_eq!(back, world.status);
        let Some(next) = world.reconcile_all() else {
            return;
        };
        world.now = next;
        world.settle();
    }
}
