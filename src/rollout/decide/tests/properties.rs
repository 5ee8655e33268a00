//! Releases that are disturbed at every moment, and at random: whatever happens, they end where they should.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    blue_green::analyses,
    header_routes,
    world::{World, world},
};
use crate::api::{analysis::AnalysisPhase, request::Verb, rollout_status::Phase};

fn steps() -> Value {
    json!([
        {"setWeight": 25},
        {"pause": {"duration": 10}},
        {"setWeight": 50},
        {"analysis": {"templates": [{"templateName": "errors"}]}},
        {"setWeight": 100},
        {"pause": {"duration": "5s"}},
    ])
}

/// Pods apart from the weight: more, fewer, none, and as many as it needs.
fn own_scale() -> Value {
    json!([
        {"setCanaryScale": {"replicas": 3}},
        {"setWeight": 25},
        {"pause": {"duration": 5}},
        {"analysis": {"templates": [{"templateName": "errors"}]}},
        {"setCanaryScale": {"weight": 25}},
        {"setWeight": 60},
        {"setCanaryScale": {"matchTrafficWeight": true}},
        {"setWeight": 0},
        {"setCanaryScale": {"replicas": 0}},
        {"setCanaryScale": {"replicas": 6}},
    ])
}

/// Old pods are kept for a while, and the new ones measured.
fn baked() -> Value {
    json!({"duration": 20, "analysis": {"templates": [{"templateName": "latency"}]}})
}

/// The ways in which a release may be declared.
fn kinds() -> Vec<(&'static str, World)> {
    let background = json!({"templates": [{"templateName": "latency"}], "startingStep": 1});
    let endless = |world: World| {
        world
            .with("analysis", background.clone())
            .verdict("latency", None)
    };
    let router = || world().nginx().steps(steps());
    vec![
        ("router", router()),
        ("router, one pod", router().replicas(1)),
        ("router, no pods", router().replicas(0)),
        ("router, ten pods", router().replicas(10)),
        ("router, background", endless(router())),
        ("router, no steps", world().nginx()),
        ("router, first step open", world().nginx().steps(json!([{"pause": {"duration": 3}}, {"setWeight": 10}]))),
        ("router, weights down", world().nginx().steps(json!([{"setWeight": 60}, {"pause": {"duration": 3}}, {"setWeight": 20}, {"pause": {"duration": 9}}]))),
        ("router, no delay", router().with("scaleDownDelaySeconds", json!(0)).with("abortScaleDownDelaySeconds", json!(1))),
        ("route", world().gateway(1, 1).steps(steps())),
        ("router, dynamic", router().with("dynamicStableScale", json!(true))),
        ("router, dynamic, ten pods", router().replicas(10).with("dynamicStableScale", json!(true)).with("abortScaleDownDelaySeconds", json!(2))),
        ("router, dynamic, one pod", router().replicas(1).with("dynamicStableScale", json!(true))),
        ("router, bounds", router().replicas(7).with("minPodsPerReplicaSet", json!(3)).with("maxPendingPods", json!(2)).with("replicaProgressThreshold", json!({"type": "Percent", "value": 80}))),
        ("route, dynamic, bounds", world().gateway(1, 1).steps(steps()).replicas(6).with("dynamicStableScale", json!(true)).with("minPodsPerReplicaSet", json!(2)).with("maxPendingPods", json!("20%"))),
        ("router, own scale", world().nginx().steps(own_scale())),
        ("router, header routes", world().nginx().managed(&["beta", "staff"]).steps(header_routes::steps())),
        ("route, header routes", world().gateway(1, 0).managed(&["beta", "staff"]).steps(header_routes::steps())),
        ("router, declared header", world().nginx().annotated("canary-by-header", "x").steps(own_scale())),
        ("blue-green", world().blue_green(&json!({}))),
        ("blue-green, analyses", world().blue_green(&analyses())),
        ("router, bake", router().with("bake", baked())),
        ("blue-green, bake", world().blue_green(&json!({"bake": baked()}))),
        ("blue-green, pause", world().blue_green(&json!({"autoPromotionSeconds": 7, "scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 3}))),
        ("blue-green, small preview", world().blue_green(&json!({"previewReplicaCount": 1, "autoPromotionSeconds": 5}))),
        ("blue-green, no preview", world().blue_green(&json!({"previewService": null}))),
        ("blue-green, no pods", world().blue_green(&analyses()).replicas(0)),
        ("pods", world().steps(steps())),
        ("pods, ten", world().steps(steps()).replicas(10)),
        ("pods, one", world().steps(steps()).replicas(1)),
        ("pods, no surge", world().steps(steps()).with("maxSurge", json!(0))),
        ("pods, all surge", world().steps(steps()).with("maxUnavailable", json!(0))),
        ("pods, no steps", world()),
        ("pods, services", world().services().steps(steps())),
        ("pods, none", world().steps(steps()).replicas(0)),
    ]
}

/// Those that differ in what a disturbance meets.
fn chosen() -> Vec<(&'static str, World)> {
    let chosen = [
        "router",
        "router, one pod",
        "router, no pods",
        "router, background",
        "router, own scale",
        "router, header routes",
        "route, header routes",
        "router, declared header",
        "router, dynamic",
        "router, bake",
        "blue-green, analyses",
        "blue-green, small preview",
        "pods",
        "pods, no surge",
        "pods, services",
    ];
    let mut kinds = kinds();
    kinds.retain(|(kind, _)| chosen.contains(kind));
    kinds
}

/// The world before every reconcile of a release of `v2`, from its declaration to its end.
fn moments(mut world: World) -> Vec<World> {
    world.declare("v2");
    let mut moments = vec![world.clone()];
    for _ in 0..500 {
        let wrote = world.reconcile();
        if wrote {
            moments.push(world.clone());
        } else {
            let Some(next) = world.reconcile_all() else {
                return moments;
            };
            world.now = next;
            world.settle();
            moments.push(world.clone());
        }
    }
    panic!("no end:\n{world}");
}

fn at_rest(world: &World, version: &str, what: &str) {
    let told = || format!("{what}\n{world}");
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{}", told());
    assert_eq!(
        world.version(&world.status.stable_rs),
        version,
        "{}",
        told()
    );
    assert_eq!(world.size(version), world.desired(), "{}", told());
    assert_eq!(world.weight(), 0, "{}", told());
    for set in world.sets.iter().filter(|set| set.version != version) {
        assert_eq!(set.view.replicas, 0, "{} {}", set.version, told());
    }
    if world.desired() > 0 {
        for service in world.services.keys() {
            assert_eq!(world.behind(service), version, "{}", told());
        }
    }
}

fn given_up(world: &World, what: &str) {
    let told = || format!("{what}\n{world}");
    let status = &world.status;
    assert_eq!(status.phase, Some(Phase::Degraded), "{}", told());
    assert!(status.message.starts_with("RolloutAborted"), "{}", told());
    assert_eq!(world.version(&status.stable_rs), "v1", "{}", told());
    assert_eq!(
        (world.size("v1"), world.size("v2")),
        (world.desired(), 0),
        "{}",
        told()
    );
    assert_eq!(world.weight(), 0, "{}", told());
    if world.desired() > 0 {
        for service in world.services.keys() {
            assert_eq!(world.behind(service), "v1", "{}", told());
        }
    }
}

/// Does `disturb` at every moment of every kind of release, plays on, and looks at the end.
fn at_every_moment(disturb: impl Fn(&mut World), end: impl Fn(&World, &str, &World)) {
    for (kind, world) in chosen() {
        for (index, moment) in moments(world.deployed()).into_iter().enumerate() {
            let what = format!("{kind}, moment {index} at {}", moment.seconds());
            let mut disturbed = moment.clone();
            disturbed.log.push("     disturbed".to_owned());
            disturb(&mut disturbed);
            disturbed.play();
            end(&disturbed, &what, &moment);
        }
    }
}

fn promoted_already(moment: &World) -> bool {
    moment.version(&moment.status.stable_rs) == "v2"
}

#[test]
fn every_kind_of_release_ends_with_the_new_version() {
    for (kind, world) in kinds() {
        let world = world.deployed().updated();
        at_rest(&world, "v2", kind);
    }
}

#[test]
fn a_crash_before_any_write_changes_nothing_of_the_end() {
    for (kind, world) in chosen() {
        let mut deployed = world.deployed();
        deployed.writes = 0;
        let undisturbed = deployed.clone().updated();
        for number in 1..=undisturbed.writes {
            let mut world = deployed.clone();
            world.crash_before_write(number);
            let world = world.updated();
            assert_eq!(
                world.outcome(),
                undisturbed.outcome(),
                "{kind}, crash before write {number}\n{world}"
            );
        }
    }
}

#[test]
fn an_abort_at_any_moment_puts_everything_back() {
    at_every_moment(
        |world| world.ask("1", Verb::Abort),
        |world, what, moment| {
            let promoted =
                promoted_already(moment) || world.version(&world.status.stable_rs) == "v2";
            if promoted {
                at_rest(world, "v2", what);
            } else {
                given_up(world, what);
            }
        },
    );
}

#[test]
fn the_stable_template_at_any_moment_puts_everything_back() {
    at_every_moment(
        |world| world.declare("v1"),
        |world, what, _| at_rest(world, "v1", what),
    );
}

#[test]
fn another_version_at_any_moment_is_released() {
    at_every_moment(
        |world| world.declare("v3"),
        |world, what, _| at_rest(world, "v3", what),
    );
}

#[test]
fn full_promotion_at_any_moment_ends_the_release() {
    at_every_moment(
        |world| world.ask("1", Verb::PromoteFull),
        |world, what, _| at_rest(world, "v2", what),
    );
}

#[test]
fn a_promotion_at_any_moment_skips_at_most_a_step() {
    at_every_moment(
        |world| world.ask("1", Verb::Promote),
        |world, what, _| at_rest(world, "v2", what),
    );
}

#[test]
fn a_retry_after_an_abort_at_any_moment_starts_again_and_ends() {
    at_every_moment(
        |world| {
            world.ask("1", Verb::Abort);
            world.reconcile_all();
            world.ask("2", Verb::Retry);
        },
        |world, what, _| at_rest(world, "v2", what),
    );
}

#[test]
fn scaling_at_any_moment_is_followed() {
    for replicas in [0, 9] {
        at_every_moment(
            |world| {
                world.watched &= replicas > 0 && world.desired() > 0;
                world.set("/replicas", json!(replicas));
            },
            |world, what, _| at_rest(world, "v2", &format!("{what}, to {replicas}")),
        );
    }
}

#[test]
fn scaling_in_any_state_keeps_step_pause_and_weight() {
    for (kind, world) in kinds() {
        if world.desired() == 0 {
            continue;
        }
        for (index, moment) in moments(world.deployed()).into_iter().enumerate() {
            let mut undisturbed = moment.clone();
            undisturbed.reconcile();
            for replicas in [2, 9] {
                let what = format!("{kind}, moment {index}, to {replicas}");
                let mut world = moment.clone();
                world.watched = false;
                world.set("/replicas", json!(replicas));
                world.reconcile();
                let (before, after) = (&moment.status, &world.status);
                let same = before.current_pod_hash == after.current_pod_hash;
                assert!(
                    !same || after.current_step_index >= before.current_step_index,
                    "{what}\n{world}"
                );
                let least = moment.weight().min(undisturbed.weight());
                assert!(world.weight() >= least, "{what}\n{world}");
                let pauses = &undisturbed.status.pause_conditions;
                // With fewer pods to wait for, a step may end that would not have.
                let stays = after.current_step_index == before.current_step_index;
                if *pauses == before.pause_conditions && stays {
                    assert!(
                        !same || after.pause_conditions == *pauses,
                        "{what}\n{world}"
                    );
                }
            }
        }
    }
}

#[test]
fn holding_and_letting_go_at_any_moment_goes_on() {
    at_every_moment(
        |world| {
            world.set("/paused", json!(true));
            world.play_for(100);
            world.set("/paused", json!(false));
        },
        |world, what, _| at_rest(world, "v2", what),
    );
}

#[test]
fn a_lost_status_at_any_moment_never_ends_without_a_stable_version() {
    at_every_moment(
        |world| world.status = crate::api::rollout_status::RolloutStatus::default(),
        |world, what, _| at_rest(world, "v2", what),
    );
}

#[test]
fn pods_that_flap_at_any_moment_do_not_change_the_end() {
    for version in ["v1", "v2"] {
        at_every_moment(
            |world| world.lose_pods(version, 2, 7),
            |world, what, _| at_rest(world, "v2", &format!("{what}, {version}")),
        );
    }
}

#[test]
fn pins_and_weights_that_somebody_changes_at_any_moment_come_back() {
    at_every_moment(
        |world| {
            for service in ["demo-stable", "demo-canary"] {
                if world.services.contains_key(service) {
                    world.take_pin_out(service, "argocd");
                }
            }
            if world.ingresses.contains_key("demo-demo-canary") {
                world.watched = false;
                world.overwrite_weight(77, "kubectl-edit");
            }
        },
        |world, what, _| at_rest(world, "v2", what),
    );
}

#[test]
fn a_verdict_against_it_ends_every_release() {
    for phase in [AnalysisPhase::Failed, AnalysisPhase::Error] {
        for (kind, world) in kinds() {
            let deployed = world.deployed();
            if deployed
                .spec
                .pointer("/strategy/canary/steps/3/analysis")
                .is_none()
            {
                continue;
            }
            let world = deployed.verdict("2-3", Some(phase)).updated();
            given_up(&world, kind);
        }
    }
}

#[derive(Clone, Debug)]
enum Disturbance {
    Wait(i64),
    Declare(u8),
    Ask(Verb),
    Replicas(i32),
    Pause(bool),
    Lose {
        version: u8,
        pods: usize,
        seconds: i64,
    },
    TakePinOut(bool),
    Overwrite(i32),
    Crash(usize),
    Verdict(AnalysisPhase),
    LoseStatus,
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    let verb = prop::sample::select(vec![
        Verb::Promote,
        Verb::PromoteFull,
        Verb::Abort,
        Verb::Retry,
    ]);
    let phase = prop::sample::select(vec![
        AnalysisPhase::Successful,
        AnalysisPhase::Failed,
        AnalysisPhase::Error,
        AnalysisPhase::Inconclusive,
    ]);
    prop_oneof![
        6 => (0..40_i64).prop_map(Disturbance::Wait),
        3 => (1..4_u8).prop_map(Disturbance::Declare),
        3 => verb.prop_map(Disturbance::Ask),
        2 => (0..9_i32).prop_map(Disturbance::Replicas),
        1 => any::<bool>().prop_map(Disturbance::Pause),
        3 => (1..4_u8, 1..5_usize, 1..20_i64).prop_map(|(version, pods, seconds)| Disturbance::Lose { version, pods, seconds }),
        1 => any::<bool>().prop_map(Disturbance::TakePinOut),
        1 => (0..100_i32).prop_map(Disturbance::Overwrite),
        2 => (1..6_usize).prop_map(Disturbance::Crash),
        1 => phase.prop_map(Disturbance::Verdict),
        1 => Just(Disturbance::LoseStatus),
    ]
}

fn disturb(world: &mut World, number: usize, disturbance: &Disturbance) {
    world.log.push(format!("     {disturbance:?}"));
    match disturbance {
        Disturbance::Wait(seconds) => world.play_for(*seconds),
        Disturbance::Declare(version) => world.declare(&format!("v{version}")),
        Disturbance::Ask(verb) => world.ask(&number.to_string(), *verb),
        Disturbance::Replicas(replicas) => {
            world.watched = false;
            world.set("/replicas", json!(replicas));
        }
        Disturbance::Pause(paused) => world.set("/paused", json!(paused)),
        Disturbance::Lose {
            version,
            pods,
            seconds,
        } => world.lose_pods(&format!("v{version}"), *pods, *seconds),
        Disturbance::TakePinOut(stable) => {
            let service = if *stable {
                "demo-stable"
            } else {
                "demo-canary"
            };
            if world.services.contains_key(service) {
                world.take_pin_out(service, "argocd");
            }
        }
        Disturbance::Overwrite(weight) => {
            if world.ingresses.contains_key("demo-demo-canary") {
                world.watched = false;
                world.overwrite_weight(*weight, "kubectl-edit");
            }
        }
        Disturbance::Crash(write) => world.crash_before_write(*write),
        Disturbance::Verdict(phase) => {
            *world = world.clone().verdict("-3", Some(*phase));
        }
        Disturbance::LoseStatus => {
            world.watched = false;
            world.by_person = true;
            world.status = crate::api::rollout_status::RolloutStatus::default();
        }
    }
}

/// `PROPTEST_CASES`, or as many as a few seconds allow.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|wanted| wanted.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_disturbances_end_where_the_last_wish_says(
        kind in 0..kinds().len(),
        disturbances in prop::collection::vec(disturbance(), 1..12),
    ) {
        let (_, world) = kinds().swap_remove(kind);
        let mut world = world.deployed();
        world.declare("v2");
        for (number, disturbance) in disturbances.iter().enumerate() {
            disturb(&mut world, number, disturbance);
        }
        world.set("/paused", json!(false));
        world = world.verdict("-3", Some(AnalysisPhase::Successful));
        world.play();
        // Whatever waits for a person is told to start again, and goes through.
        for id in ["end-1", "end-2", "end-3"] {
            let verb = if world.status.abort { Verb::Retry } else { Verb::PromoteFull };
            world.ask(id, verb);
            world.play();
        }
        let declared = world.version(&world.status.current_pod_hash);
        at_rest(&world, &declared, "in the end");
    }
}
