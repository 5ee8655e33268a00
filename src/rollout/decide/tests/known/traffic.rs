//! Traffic on pods that are not there, and pods that go while traffic is on them.

use serde_json::{Value, json};

use crate::{
    api::{analysis::AnalysisPhase, request::Verb, rollout_status::Phase},
    rollout::{
        decide::tests::world::{World, world},
        decision::Action,
    },
};

fn steps() -> Value {
    json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}])
}

fn at_half(replicas: i32) -> World {
    let mut world = world()
        .nginx()
        .replicas(replicas)
        .steps(steps())
        .deployed()
        .updated();
    world.ask("half", Verb::Promote);
    world.play();
    assert_eq!(world.weight(), 50, "{world}");
    world
}

/// Looks at every reconcile until nothing happens any more.
fn watch(world: &mut World, look: impl Fn(&World)) {
    for _ in 0..2_000 {
        let wrote = world.reconcile();
        look(world);
        if wrote {
            continue;
        }
        let Some(next) = world.reconcile_all() else {
            return;
        };
        world.now = next;
        world.settle();
    }
    panic!("no end\n{world}");
}

#[test]
fn argo_2235_old_pods_go_after_the_stable_service_has_left_them() {
    for world in [
        world().nginx().steps(json!([{"setWeight": 50}])),
        world().services(),
        world()
            .nginx()
            .steps(json!([{"setWeight": 50}]))
            .with("dynamicStableScale", json!(true)),
    ] {
        let mut world = world
            .with("abortScaleDownDelaySeconds", Value::Null)
            .deployed();
        world.declare("v2");
        watch(&mut world, |world| {
            if world.size("v1") == 0 {
                assert_eq!(world.behind("demo-stable"), "v2", "{world}");
                let pods = world.services["demo-stable"]
                    .ready_endpoints_of(&world.set_of("v2").unwrap().view.name);
                assert_eq!(pods, 4, "its endpoints are there, too\n{world}");
            }
        });
        assert_eq!(world.size("v1"), 0, "{world}");
    }
}

#[test]
fn argo_2050_stable_is_not_scaled_down_while_pods_of_the_canary_are_missing() {
    let mut world = at_half(4);
    world.ask("1", Verb::PromoteFull);
    // Right before the stable Service would move.
    while world.weight() < 100 {
        if !world.reconcile() {
            world.now = world.reconcile_all().unwrap();
            world.settle();
        }
    }
    world.lose_pods("v2", 2, 500);
    world.play_for(400);
    assert_eq!(world.size("v1"), 4, "{world}");
    assert_eq!(world.behind("demo-stable"), "v1", "{world}");
    world.play();
    assert_eq!((world.size("v1"), world.size("v2")), (0, 4), "{world}");
}

#[test]
fn argo_4560_weight_leaves_pods_that_are_gone_at_once() {
    let mut world = at_half(4);
    world.lose_pods("v2", 2, 60);
    world.reconcile();
    assert_eq!(world.weight(), 0, "{world}");
    world.play();
    assert_eq!(world.weight(), 50, "and comes back with them\n{world}");
}

#[test]
fn argo_4564_a_new_canary_gets_no_weight_of_the_one_before() {
    let mut world = at_half(4).broken("v3");
    world.declare("v3");
    let v3 = world.hash("v3");
    watch(&mut world, |world| {
        let behind = world.services["demo-canary"].selector.values();
        assert!(
            world.weight() == 0 || !behind.into_iter().any(|pin| *pin == v3),
            "{world}"
        );
    });
    assert_eq!((world.weight(), world.size("v2")), (0, 0), "{world}");
}

#[test]
fn argo_4612_a_fast_rollback_in_mid_canary_puts_no_more_weight_on_the_canary() {
    let mut world = world()
        .nginx()
        .replicas(10)
        .steps(json!([{"setWeight": 10}, {"pause": {}}, {"setWeight": 70}]))
        .with_spec("rollbackWindow", json!({"revisions": 3}))
        .deployed();
    for version in ["v2", "v3"] {
        world.declare(version);
        world.play();
        world.ask(version, Verb::PromoteFull);
        world.play();
    }
    world.declare("v4");
    world.play();
    assert_eq!((world.weight(), world.size("v4")), (10, 1), "{world}");
    world.declare("v2");
    watch(&mut world, |world| {
        if world.behind("demo-canary") == "v4" {
            assert!(world.weight() <= 10, "{world}");
        }
    });
    assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
}

#[test]
fn argo_4639_weight_waits_for_pods_of_a_version_that_was_scaled_to_nothing() {
    let steps = json!([{"setCanaryScale": {"replicas": 0}}, {"pause": {"duration": 5}}, {"setCanaryScale": {"replicas": 2}}, {"setWeight": 50}, {"pause": {}}]);
    let mut world = world().nginx().steps(steps).deployed();
    world.declare("v2");
    watch(&mut world, |world| {
        assert!(
            world.weight() == 0 || world.answering("demo-canary") > 0,
            "{world}"
        );
    });
    assert_eq!(world.weight(), 50, "{world}");
}

#[test]
fn argo_s218_8_a_partial_loss_of_the_canary_lowers_its_weight() {
    let mut world = at_half(8);
    world.lose_pods("v2", 1, 600);
    world.reconcile();
    assert_eq!(world.weight(), 37, "three of four pods\n{world}");
    let index = world.status.current_step_index;
    world.ask("1", Verb::Promote);
    world.play_for(300);
    assert_eq!(
        world.status.current_step_index, index,
        "no step ends without them\n{world}"
    );
}

/// Pins of the canary Service from now on.
fn pins(world: &World, mark: usize) -> usize {
    let canary = |action: &&Action| matches!(action, Action::PinService { target, .. } if target.name == "demo-canary");
    world.actions[mark..].iter().filter(canary).count()
}

#[test]
fn argo_2118_after_an_abort_the_canary_service_leads_to_pods() {
    let mut world = at_half(4);
    let mark = world.actions.len();
    world.ask("1", Verb::Abort);
    watch(&mut world, |world| {
        assert!(world.answering("demo-canary") > 0, "{world}");
    });
    assert_eq!(world.behind("demo-canary"), "v1");
    assert_eq!(pins(&world, mark), 1, "{world}");
}

#[test]
fn argo_2781_after_an_abort_the_canary_service_does_not_flap() {
    let mut world = at_half(4);
    world.ask("1", Verb::Abort);
    world.play();
    let mark = world.actions.len();
    for _ in 0..20 {
        world.lose_pods("v1", 2, 7);
        world.play_for(13);
    }
    assert_eq!(pins(&world, mark), 0, "{world}");
}

#[test]
fn argo_4371_a_stable_service_that_selects_no_pod_any_more_is_told_and_the_release_goes_on() {
    let mut world = world()
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {"duration": 60}}]))
        .deployed();
    world.watched = false;
    // Its selector has a label that only pods of v2 have.
    world.only_selects("demo-stable", "v2");
    world.declare("v2");
    world.play_until(|world| world.weight() == 50);
    let told = world.status.waiting_for.clone().unwrap_or_default();
    assert!(
        told.contains("Service demo-stable to select pods of the stable version"),
        "{told}\n{world}"
    );
    world.play();
    assert_eq!(world.behind("demo-stable"), "v2", "{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn argo_4604_a_switch_is_over_when_its_last_analysis_is() {
    let after = json!({"postPromotionAnalysis": {"templates": [{"templateName": "latency"}]}});
    let mut world = world().blue_green(&after).verdict("-post", None).deployed();
    world.declare("v2");
    world.play_for(5_000);
    assert_eq!(world.behind("demo-stable"), "v2", "{world}");
    assert_eq!(
        world.version(&world.status.stable_rs),
        "v1",
        "nothing is proven\n{world}"
    );
    assert_eq!(world.size("v1"), 4);
    let mut world = world.verdict("-post", Some(AnalysisPhase::Failed));
    world.play();
    assert_eq!(world.behind("demo-stable"), "v1", "{world}");
}
