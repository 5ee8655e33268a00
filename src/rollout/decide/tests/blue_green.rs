//! Blue-green releases: the switch, the way back, and what is asked for in between.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::api::{analysis::AnalysisPhase, request::Verb, rollout_status::Phase};

impl World {
    /// With the strategy blueGreen; its Services have the names of those of a canary, for the parts they play are the same.
    pub(super) fn blue_green(mut self, fields: &Value) -> Self {
        self = self.services();
        let mut strategy = json!({"activeService": "demo-stable", "previewService": "demo-canary"});
        json_patch::merge(&mut strategy, fields);
        if strategy.get("previewService").is_none() {
            self.services.remove("demo-canary");
        }
        self.spec["strategy"] = json!({ "blueGreen": strategy });
        self.read_spec();
        self
    }
}

pub(super) fn analyses() -> Value {
    json!({
        "prePromotionAnalysis": {"templates": [{"templateName": "errors"}]},
        "postPromotionAnalysis": {"templates": [{"templateName": "latency"}]},
    })
}

fn deployed(fields: &Value) -> World {
    world().blue_green(fields).deployed()
}

fn done(world: &mut World, play: impl FnOnce(&mut World)) -> Vec<String> {
    let mark = world.actions.len();
    play(world);
    world.done_since(mark)
}

#[test]
fn the_whole_of_a_release() {
    let _covers = testbed::covers(&[
        "spec.strategy.blueGreen",
        "spec.strategy.blueGreen.activeService",
        "spec.strategy.blueGreen.previewService",
        "spec.strategy.blueGreen.prePromotionAnalysis",
        "spec.strategy.blueGreen.postPromotionAnalysis",
    ]);
    let mut world = deployed(&analyses());
    let done = done(&mut world, |world| {
        world.declare("v2");
        world.play();
    });
    assert_eq!(
        done,
        [
            "create v2 with 4",
            "pin canary to v2",
            "measure v2-2-pre",
            "pin stable to v2",
            "measure v2-2-post",
            "scale v1 to 0",
        ],
        "{world}"
    );
    assert_eq!(world.status.phase, Some(Phase::Healthy));
}

#[test]
fn the_old_version_stays_for_the_delay_after_the_switch() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.scaleDownDelaySeconds"]);
    for (delay, least, most) in [(None, 30, 33), (Some(100), 100, 103), (Some(0), 5, 8)] {
        let fields = delay.map_or(json!({}), |delay| json!({"scaleDownDelaySeconds": delay}));
        let mut world = deployed(&fields);
        world.declare("v2");
        world.play_until(|world| world.behind("demo-stable") == "v2");
        let switched = world.now;
        world.play_until(|world| world.size("v1") == 0);
        let stayed = world.now.duration_since(switched).as_secs();
        assert!((least..=most).contains(&stayed), "{delay:?}: {stayed} s");
    }
}

#[test]
fn the_old_version_keeps_its_pods_until_it_is_written_that_another_is_stable() {
    let mut world = deployed(&json!({"scaleDownDelaySeconds": 0, "bake": {"duration": "60s"}}));
    world.declare("v2");
    world.play_until(|world| world.status.bake.started_at.is_some());
    world.play_for(59);
    world.now += jiff::SignedDuration::from_secs(5);
    world.settle();
    world.reconcile();
    assert_eq!(world.status.stable_rs, world.hash("v2"), "{world}");
    assert_eq!(world.size("v1"), 4, "{world}");
    world.play();
    assert_eq!(world.size("v1"), 0, "{world}");
}

#[test]
fn a_version_goes_live_only_when_all_its_pods_are_available() {
    let mut world = deployed(&json!({})).broken("v2");
    world.declare("v2");
    world.play_for(30);
    world.heal("v2", 3, world.now);
    world.play_for(60);
    assert_eq!(world.behind("demo-stable"), "v1", "three of four are up");
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("pods of revision 2 to be available: 3 of 4 are")
    );
}

#[test]
fn without_auto_promotion_a_person_switches() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.autoPromotionEnabled"]);
    let mut world = deployed(&json!({"autoPromotionEnabled": false}));
    world.declare("v2");
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Paused));
    assert_eq!(world.status.message, "BlueGreenPause");
    assert_eq!(
        world.status.next.as_ref().unwrap().action,
        "switch Service demo-stable to revision 2"
    );
    assert_eq!(
        (&*world.behind("demo-stable"), &*world.behind("demo-canary")),
        ("v1", "v2")
    );
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy));
    assert_eq!(world.behind("demo-stable"), "v2");
}

#[test]
fn a_cleared_pause_is_a_promotion() {
    let mut world = deployed(&json!({"autoPromotionEnabled": false}));
    world.declare("v2");
    world.play();
    world.by_person = true;
    world.status.pause_conditions.clear();
    world.play();
    assert_eq!(world.behind("demo-stable"), "v2");
}

#[test]
fn auto_promotion_seconds_count_from_the_end_of_the_analysis() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.autoPromotionSeconds"]);
    for enabled in [true, false] {
        let mut fields = analyses();
        fields["autoPromotionSeconds"] = json!(40);
        fields["autoPromotionEnabled"] = json!(enabled);
        let mut world = deployed(&fields);
        world.declare("v2");
        world.play_until(|world| !world.status.pause_conditions.is_empty());
        let paused = world.now;
        assert_eq!(
            world.status.next.as_ref().unwrap().at,
            Some(paused + jiff::SignedDuration::from_secs(40))
        );
        world.play_until(|world| world.behind("demo-stable") == "v2");
        assert_eq!(world.now.duration_since(paused).as_secs(), 40);
    }
}

#[test]
fn a_preview_is_small_until_the_switch_is_decided() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.previewReplicaCount"]);
    let mut world = deployed(&json!({"previewReplicaCount": 1, "autoPromotionEnabled": false}));
    world.declare("v2");
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (4, 1));
    world.ask("1", Verb::Promote);
    world.play_until(|world| world.size("v2") == 4);
    assert_eq!(world.behind("demo-stable"), "v1", "its pods are starting");
    assert!(world.status.blue_green.scale_up_preview_check_point);
    world.play();
    assert_eq!(world.behind("demo-stable"), "v2");
}

#[test]
fn bad_news_before_the_switch_end_the_release_and_the_preview_stays_for_the_delay() {
    let mut world = deployed(&analyses()).verdict("-pre", Some(AnalysisPhase::Failed));
    world.declare("v2");
    world.play_until(|world| world.status.abort);
    let aborted = world.now;
    assert_eq!(world.behind("demo-canary"), "v2", "it can be looked at");
    world.play_until(|world| world.behind("demo-canary") == "v1");
    assert_eq!(world.now.duration_since(aborted).as_secs(), 30);
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (4, 0));
    assert_eq!(world.status.phase, Some(Phase::Degraded));
}

#[test]
fn bad_news_after_the_switch_switch_back_at_once() {
    let mut world = deployed(&analyses()).verdict("-post", Some(AnalysisPhase::Failed));
    world.declare("v2");
    world.play_until(|world| world.behind("demo-stable") == "v2");
    let done = done(&mut world, |world| {
        world.play_until(|world| world.behind("demo-stable") == "v1");
    });
    assert_eq!(done, ["measure v2-2-post", "pin stable to v1"], "{world}");
    assert!(world.status.abort, "in the pass that knows of it");
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (4, 0));
}

#[test]
fn one_pod_of_the_old_version_is_enough_for_the_way_back() {
    let mut world = deployed(&analyses()).verdict("-post", None);
    world.declare("v2");
    world.play_until(|world| world.behind("demo-stable") == "v2");
    world.lose_pods("v1", 3, 1_000);
    world.ask("1", Verb::Abort);
    world.play_for(1);
    assert_eq!(world.behind("demo-stable"), "v1");
}

#[test]
fn with_abort_delay_0_the_preview_is_kept() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.abortScaleDownDelaySeconds"]);
    let mut fields = analyses();
    fields["abortScaleDownDelaySeconds"] = json!(0);
    let mut world = deployed(&fields).verdict("-pre", Some(AnalysisPhase::Error));
    world.declare("v2");
    world.play();
    assert_eq!(world.size("v2"), 4);
    assert_eq!(world.behind("demo-canary"), "v2");
}

#[test]
fn an_inconclusive_analysis_asks_a_person() {
    for (run, then) in [("-pre", "v1"), ("-post", "v2")] {
        let mut world = deployed(&analyses()).verdict(run, Some(AnalysisPhase::Inconclusive));
        world.declare("v2");
        world.play();
        assert_eq!(world.status.message, "InconclusiveAnalysisRun", "{run}");
        assert_eq!(world.behind("demo-stable"), then, "{run}");
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{run}\n{world}");
        assert_eq!(world.behind("demo-stable"), "v2");
    }
}

#[test]
fn a_promotion_when_nothing_waits_for_it_skips_nothing() {
    let mut world = deployed(&analyses()).verdict("-pre", None);
    world.declare("v2");
    world.play();
    world.ask("1", Verb::Promote);
    world.play();
    let handled = world.status.last_handled_request.clone().unwrap();
    assert!(!handled.accepted, "{}", handled.message);
    assert_eq!(world.behind("demo-stable"), "v1");
}

#[test]
fn a_full_promotion_skips_pause_and_analyses_but_not_the_pods() {
    let mut fields = analyses();
    fields["autoPromotionEnabled"] = json!(false);
    let mut world = deployed(&fields).verdict("-pre", None);
    world.declare("v2");
    world.ask("1", Verb::PromoteFull);
    world.play_until(|world| world.size("v2") == 4);
    assert_eq!(world.behind("demo-stable"), "v1");
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy));
    assert!(world.runs.iter().all(|run| !run.name.contains("post")));
}

#[test]
fn going_back_while_the_old_pods_are_there_is_immediate() {
    let mut fields = analyses();
    fields["autoPromotionEnabled"] = json!(false);
    let mut world = deployed(&fields);
    world.declare("v2");
    world.play();
    world.ask("1", Verb::Promote);
    world.play_until(|world| world.status.phase == Some(Phase::Healthy));
    let done = done(&mut world, |world| {
        world.declare("v1");
        world.play_for(2);
    });
    assert_eq!(
        done,
        [
            "scale v1, revision 3",
            "pin canary to v1",
            "pin stable to v1"
        ],
        "{world}"
    );
    assert_eq!(world.status.phase, Some(Phase::Healthy));
}

#[test]
fn a_version_that_was_given_up_is_never_gone_back_to_without_proof() {
    let mut world = deployed(&analyses()).verdict("-post", Some(AnalysisPhase::Failed));
    world.declare("v2");
    world.play_until(|world| world.status.abort);
    world.declare("v3");
    world.play_for(1);
    world.declare("v2");
    world.play_for(1);
    assert!(!world.status.promote_full);
    assert_eq!(world.behind("demo-stable"), "v1");
}

#[test]
fn another_version_after_the_switch_goes_back_to_the_proven_one_first() {
    let mut world = deployed(&analyses()).verdict("-post", None);
    world.declare("v2");
    world.play_until(|world| world.behind("demo-stable") == "v2");
    world.declare("v3");
    world.play_for(1);
    assert_eq!(world.behind("demo-stable"), "v1");
    world.play();
    assert_eq!(world.behind("demo-stable"), "v3");
}

#[test]
fn a_size_declared_with_a_version_is_for_that_version() {
    for replicas in [2, 7] {
        let mut world = deployed(&json!({"autoPromotionEnabled": false}));
        world.declare("v2");
        world.set("/replicas", json!(replicas));
        world.play();
        assert_eq!((world.size("v1"), world.size("v2")), (4, replicas));
        world.ask("1", Verb::Promote);
        world.play_until(|world| world.behind("demo-stable") == "v2");
        assert_eq!((world.size("v1"), world.size("v2")), (4, replicas));
    }
}

#[test]
fn a_size_declared_during_an_update_is_about_the_load() {
    for (replicas, live) in [(9, 9), (2, 4)] {
        let mut world = deployed(&json!({"autoPromotionEnabled": false}));
        world.declare("v2");
        world.play();
        world.set("/replicas", json!(replicas));
        world.play();
        assert_eq!((world.size("v1"), world.size("v2")), (live, replicas));
        assert_eq!(world.status.message, "BlueGreenPause", "it is still there");
        world.ask("1", Verb::Abort);
        world.play();
        assert_eq!((world.size("v1"), world.size("v2")), (replicas, 0));
    }
}

#[test]
fn autoscalers_see_the_version_that_serves() {
    let mut world = deployed(&json!({"autoPromotionEnabled": false}));
    let selector = |world: &World, version: &str| {
        format!(
            "app=demo,tidegate.dev/pod-template-hash={}",
            world.hash(version)
        )
    };
    world.declare("v2");
    world.set("/replicas", json!(6));
    world.play();
    assert_eq!(world.status.hpa_replicas, 4);
    assert_eq!(world.status.selector, selector(&world, "v1"));
    world.ask("1", Verb::Promote);
    world.play();
    assert_eq!(world.status.hpa_replicas, 6);
    assert_eq!(world.status.selector, selector(&world, "v2"));
}

#[test]
fn pods_that_vanish_after_the_switch_bring_the_old_version_back() {
    let mut world = deployed(&analyses()).verdict("-post", None);
    world.declare("v2");
    world.play_until(|world| world.behind("demo-stable") == "v2");
    world.lose_pods("v2", 4, 20);
    world.play_for(1);
    assert_eq!(world.behind("demo-stable"), "v1");
    world.play_for(30);
    assert_eq!(world.behind("demo-stable"), "v2", "they are back");
}

#[test]
fn at_most_as_many_old_versions_stay_as_the_limit_says() {
    let _covers = testbed::covers(&["spec.strategy.blueGreen.scaleDownDelayRevisionLimit"]);
    let mut world = deployed(&json!({
        "scaleDownDelaySeconds": 1000, "scaleDownDelayRevisionLimit": 1,
    }));
    for version in ["v2", "v3"] {
        world.declare(version);
        world.play_until(|world| world.behind("demo-stable") == version);
        world.play_for(20);
    }
    assert_eq!(
        ["v1", "v2", "v3"].map(|version| world.size(version)),
        [0, 4, 4]
    );
}

#[test]
fn a_change_of_strategy_keeps_what_serves() {
    for routed in [true, false] {
        let steps = json!([{"setWeight": 50}, {"pause": {}}]);
        let canary = world().services().steps(steps);
        let canary = if routed { canary.nginx() } else { canary };
        let mut world = canary.deployed().updated();
        world.watched = true;
        world.spec["strategy"] = json!({"blueGreen": {
            "activeService": "demo-stable", "previewService": "demo-canary", "autoPromotionEnabled": false,
        }});
        world.read_spec();
        world.generation += 1;
        world.play();
        assert_eq!(world.status.message, "BlueGreenPause", "{world}");
        assert_eq!((world.size("v1"), world.size("v2")), (4, 4));
        assert_eq!(world.behind("demo-stable"), "v1");
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    }
}

#[test]
fn the_words_that_clients_match_on() {
    let mut fields = analyses();
    fields["autoPromotionSeconds"] = json!(10);
    let mut world = deployed(&fields);
    world.declare("v2");
    let mut messages: Vec<String> = Vec::new();
    for _ in 0..100 {
        if !world.reconcile() {
            let Some(next) = world.reconcile_all() else {
                break;
            };
            world.now = next;
            world.settle();
        }
        if messages.last() != Some(&world.status.message) {
            messages.push(world.status.message.clone());
        }
    }
    assert_eq!(
        messages,
        [
            "more replicas need to be updated",
            "updated replicas are still becoming available",
            "active service cutover pending",
            "waiting for analysis to complete",
            "BlueGreenPause",
            "active service cutover pending",
            "waiting for post-promotion verification to complete",
            "",
        ]
    );
}
