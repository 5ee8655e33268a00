//! The bake: all traffic is on the new version, and the way back is one write.

use serde_json::{Value, json};

use super::world::{World, request, world};
use crate::api::{
    analysis::AnalysisPhase,
    request::{Request, Verb},
    rollout_status::{PauseReason, Phase},
};

const DURATION: i64 = 600;

fn bake(analysis: bool) -> Value {
    let mut bake = json!({"duration": DURATION});
    if analysis {
        bake["analysis"] = json!({"templates": [{"templateName": "latency"}]});
    }
    bake
}

fn canary(analysis: bool) -> World {
    world()
        .nginx()
        .steps(json!([{"setWeight": 50}]))
        .with("bake", bake(analysis))
}

fn blue_green(analysis: bool) -> World {
    world().blue_green(&json!({"bake": bake(analysis)}))
}

/// Both strategies, in the bake of `v2`.
fn baking(analysis: bool, verdict: Option<AnalysisPhase>) -> [World; 2] {
    [canary(analysis), blue_green(analysis)].map(|world| {
        let mut world = world.verdict("-bake", verdict).deployed();
        world.declare("v2");
        world.play_until(|world| world.status.bake.started_at.is_some());
        world
    })
}

/// The version that gets requests.
fn serving(world: &World) -> String {
    if world.weight() == 100 {
        world.behind("demo-canary")
    } else {
        assert_eq!(world.weight(), 0, "{world}");
        world.behind("demo-stable")
    }
}

#[test]
fn the_old_version_stays_whole_and_stable_until_the_end() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.bake.duration",
        "spec.strategy.blueGreen.bake.duration",
    ]);
    for mut world in baking(false, None) {
        let begun = world.status.bake.started_at.unwrap();
        world.play_until(|world| {
            let baking = world.version(&world.status.stable_rs) == "v1";
            if baking {
                assert_eq!(serving(world), "v2", "{world}");
                assert_eq!((world.size("v1"), world.size("v2")), (4, 4), "{world}");
                assert_eq!(world.status.phase, Some(Phase::Progressing), "{world}");
                assert_eq!(world.status.message, "waiting for the bake to end");
                assert_eq!(world.status.waiting_for.as_deref(), Some("the bake to end"));
                let next = world.status.next.clone().unwrap();
                assert_eq!(next.action, "promote revision 2");
                assert_eq!(next.at.unwrap().duration_since(begun).as_secs(), DURATION);
            }
            !baking
        });
        assert_eq!(world.now.duration_since(begun).as_secs(), DURATION);
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        assert_eq!(world.status.bake.started_at, None);
    }
}

#[test]
fn argo_1978_an_analysis_with_all_traffic_goes_straight_back() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.bake.analysis",
        "spec.strategy.blueGreen.bake.analysis",
    ]);
    for phase in [AnalysisPhase::Failed, AnalysisPhase::Error] {
        for mut world in baking(true, Some(phase)) {
            world.play_until(|world| world.status.abort);
            assert_eq!(serving(&world), "v1", "traffic goes first\n{world}");
            assert_eq!(world.size("v1"), 4, "it was warm\n{world}");
            world.play();
            assert_eq!(world.status.phase, Some(Phase::Degraded));
            assert_eq!((world.size("v1"), world.size("v2")), (4, 0), "{world}");
        }
    }
}

#[test]
fn background_analysis_goes_on_during_the_bake() {
    let background = json!({"templates": [{"templateName": "errors"}]});
    let mut world = canary(false)
        .with("analysis", background)
        .verdict("demo", None)
        .deployed();
    world.declare("v2");
    world.play_until(|world| world.status.bake.started_at.is_some());
    world.play_for(100);
    let mut world = world.verdict("demo", Some(AnalysisPhase::Failed));
    world.play();
    assert!(world.status.abort, "{world}");
    assert_eq!(serving(&world), "v1");
}

#[test]
fn an_endless_analysis_is_ended_with_the_bake_and_then_judged() {
    for mut world in baking(true, None) {
        let begun = world.status.bake.started_at.unwrap();
        world.play();
        assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
        let run = world.runs.iter().find(|run| run.name.ends_with("-bake"));
        let ended = run.unwrap().completed.unwrap();
        assert_eq!(ended.duration_since(begun).as_secs(), DURATION);
    }
}

#[test]
fn an_early_success_does_not_shorten_it() {
    for mut world in baking(true, Some(AnalysisPhase::Successful)) {
        let begun = world.status.bake.started_at.unwrap();
        world.play_until(|world| world.version(&world.status.stable_rs) == "v2");
        assert_eq!(world.now.duration_since(begun).as_secs(), DURATION);
    }
}

#[test]
fn no_verdict_asks_a_person() {
    for mut world in baking(true, Some(AnalysisPhase::Inconclusive)) {
        world.play();
        let pause = &world.status.pause_conditions[0];
        assert_eq!(
            pause.reason,
            PauseReason::InconclusiveAnalysisRun,
            "{world}"
        );
        assert_eq!(serving(&world), "v2");
        assert_eq!(world.size("v1"), 4);
        world.ask("1", Verb::Promote);
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    }
}

#[test]
fn somebody_who_ends_the_analysis_does_not_end_the_proof() {
    for mut world in baking(true, None) {
        world.play_for(20);
        let run = world
            .runs
            .iter_mut()
            .find(|run| run.name.ends_with("-bake"));
        run.unwrap().terminate = true;
        world.play_for(20);
        assert!(
            world.runs.iter().any(|run| run.name.ends_with("-bake.1")),
            "{world}"
        );
        assert_eq!(world.version(&world.status.stable_rs), "v1");
    }
}

#[test]
fn a_promotion_of_a_person_ends_it() {
    for verb in [Verb::Promote, Verb::PromoteFull] {
        for mut world in baking(true, None) {
            world.play_for(50);
            world.ask("1", verb);
            let asked = world.now;
            world.play_until(|world| world.version(&world.status.stable_rs) == "v2");
            assert_eq!(world.now, asked, "{world}");
            assert!(world.status.last_handled_request.clone().unwrap().accepted);
            world.play();
            assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
        }
    }
}

#[test]
fn a_second_click_at_the_last_pause_does_not_end_it() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .with("bake", bake(false))
        .deployed()
        .updated();
    world.ask("1", Verb::Promote);
    world.play_until(|world| world.status.bake.started_at.is_some());
    let at_the_pause = Request {
        step: Some(1),
        ..request("2", Verb::Promote)
    };
    world.request = Some(Ok(at_the_pause));
    world.reconcile_all();
    let answer = world.status.last_handled_request.clone().unwrap();
    assert!(!answer.accepted, "{answer:?}");
    assert_eq!(world.version(&world.status.stable_rs), "v1", "{world}");
}

#[test]
fn an_abort_of_a_person_goes_straight_back() {
    for mut world in baking(false, None) {
        world.ask("1", Verb::Abort);
        world.reconcile();
        assert_eq!(serving(&world), "v1", "{world}");
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Degraded), "{world}");
        // A retry bakes again.
        world.ask("2", Verb::Retry);
        world.play_until(|world| world.status.bake.started_at.is_some());
        assert_eq!(serving(&world), "v2", "{world}");
    }
}

#[test]
fn another_version_during_the_bake_starts_from_the_old_one() {
    for mut world in baking(false, None) {
        world.declare("v3");
        world.play_until(|world| world.status.bake.started_at.is_some());
        assert_eq!(world.version(&world.status.stable_rs), "v1", "{world}");
        assert_eq!(serving(&world), "v3");
        world.play();
        assert_eq!(world.version(&world.status.stable_rs), "v3", "{world}");
        assert_eq!(world.size("v2"), 0);
    }
}

#[test]
fn the_old_template_during_the_bake_goes_straight_back() {
    for mut world in baking(false, None) {
        world.declare("v1");
        world.play_for(2);
        assert_eq!(serving(&world), "v1", "{world}");
        world.play();
        assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    }
}

#[test]
fn sizes_are_followed_during_the_bake() {
    for mut world in baking(false, None) {
        world.set("/replicas", json!(6));
        world.play_for(60);
        assert_eq!((world.size("v1"), world.size("v2")), (6, 6), "{world}");
        assert_eq!(serving(&world), "v2");
        assert!(world.status.bake.started_at.is_some());
    }
}

#[test]
fn a_first_deploy_does_not_bake() {
    for world in [canary(true), blue_green(true)] {
        assert!(world.deployed().runs.is_empty());
    }
}
