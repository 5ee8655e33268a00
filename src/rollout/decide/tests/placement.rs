//! Anti-affinity and metadata for a while: what a ReplicaSet's pod template has that was not declared.

use serde_json::{Value, json};

use super::world::{World, world};
use crate::{api::rollout_status::Phase, rollout::decision::Action};

const HOST: &str = "kubernetes.io/hostname";

fn at_half(world: World) -> World {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    world.nginx().steps(steps).deployed().updated()
}

fn affinity(world: &World, version: &str) -> Value {
    let set = world.set_of(version).unwrap();
    let affinity = set.shown.pointer("/spec/affinity/podAntiAffinity");
    affinity.cloned().unwrap_or_default()
}

fn term(world: &World, against: &str) -> Value {
    json!({
        "labelSelector": {"matchLabels": {"tidegate.dev/pod-template-hash": world.hash(against)}},
        "topologyKey": HOST,
    })
}

fn promoted(world: &mut World) {
    world.ask("1", crate::api::request::Verb::PromoteFull);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn a_new_version_keeps_away_from_stable_until_it_is_stable() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.antiAffinity",
        "spec.strategy.canary.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
        "spec.strategy.canary.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution.weight",
        "spec.strategy.canary.antiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
    ]);
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for (declared, list, rule) in [
        (
            json!({preferred: {"weight": 7}}),
            preferred,
            (|term| json!([{"weight": 7, "podAffinityTerm": term}])) as fn(Value) -> Value,
        ),
        (json!({required: {}}), required, |term| json!([term])),
    ] {
        let mut world = at_half(world().with("antiAffinity", declared));
        assert_eq!(
            affinity(&world, "v2"),
            json!({ list: rule(term(&world, "v1")) })
        );
        assert_eq!(affinity(&world, "v1"), json!(null));
        assert_eq!(
            world.set_of("v2").unwrap().view.pod_template_hash,
            world.hash("v2"),
            "it is no other revision"
        );
        promoted(&mut world);
        assert_eq!(affinity(&world, "v2"), json!({}));
    }
}

#[test]
fn argo_4832_rules_of_the_template_stay_and_one_that_has_none_gets_ours() {
    let own = json!({"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"});
    for (declared, before) in [
        (json!(null), json!([])),
        (json!({"podAntiAffinity": null}), json!([])),
        (
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own]}}),
            json!([own]),
        ),
    ] {
        let strategy = json!({"requiredDuringSchedulingIgnoredDuringExecution": {}});
        let mut world = world()
            .with("antiAffinity", strategy)
            .nginx()
            .steps(json!([{"setWeight": 50}, {"pause": {}}]))
            .deployed();
        let mut template = super::world::template("v2");
        template["spec"]["affinity"] = declared;
        world.set("/template", template);
        world.play();
        let list = |world: &World| {
            let affinity = affinity(world, "v2");
            affinity["requiredDuringSchedulingIgnoredDuringExecution"].clone()
        };
        let mut expected = before.as_array().unwrap().clone();
        expected.push(term(&world, "v1"));
        assert_eq!(list(&world), json!(expected));
        promoted(&mut world);
        let left = list(&world);
        assert_eq!(if left.is_null() { json!([]) } else { left }, before);
    }
}

#[test]
fn what_anti_affinity_cannot_be_is_refused() {
    for (declared, says) in [
        (json!({}), "set exactly one of"),
        (
            json!({
                "preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1},
                "requiredDuringSchedulingIgnoredDuringExecution": {},
            }),
            "set exactly one of",
        ),
        (
            json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 0}}),
            "the weight must be 1 to 100",
        ),
    ] {
        let mut world = world().with("antiAffinity", declared);
        world.play();
        let (_, _, message) = world.condition("InvalidSpec").unwrap();
        let expected = format!("spec.strategy.canary.antiAffinity: {says}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

/// Values of a label on the pods of a version, and in its template.
fn labels(world: &World, version: &str, key: &str) -> Vec<Value> {
    let set = world.set_of(version).unwrap();
    let template = set.shown.pointer("/metadata").unwrap();
    let mut found: Vec<Value> = set
        .pods
        .iter()
        .map(|pod| &pod.metadata)
        .chain([template])
        .map(|metadata| metadata["labels"][key].clone())
        .collect();
    found.dedup();
    found
}

fn with_roles(world: World) -> World {
    world
        .with("canaryMetadata", json!({"labels": {"role": "canary"}}))
        .with("stableMetadata", json!({"labels": {"role": "stable"}}))
}

#[test]
fn pods_carry_what_their_version_is_and_are_not_restarted_when_it_changes() {
    let mut world = at_half(with_roles(world()));
    assert_eq!(labels(&world, "v1", "role"), [json!("stable")]);
    assert_eq!(labels(&world, "v2", "role"), [json!("canary")]);
    let pods = |world: &World| {
        let set = world.set_of("v2").unwrap();
        set.pods
            .iter()
            .map(|pod| pod.name.clone())
            .collect::<Vec<_>>()
    };
    let before = pods(&world);
    world.ask("1", crate::api::request::Verb::PromoteFull);
    world.play_until(|world| world.behind("demo-stable") == "v2");
    world.play_until(|world| labels(world, "v2", "role") == [json!("stable")]);
    assert_eq!(labels(&world, "v1", "role"), [json!(null)], "it is neither");
    world.play();
    assert!(before.iter().all(|pod| pods(&world).contains(pod)));
    assert_eq!(
        world
            .set_of("v2")
            .unwrap()
            .view
            .ephemeral
            .as_ref()
            .map(|state| state.pods_behind),
        Some(false)
    );
}

#[test]
fn blue_green_has_a_preview_and_an_active_version() {
    let mut world = world().services();
    let strategy = json!({"blueGreen": {
        "activeService": "demo-stable", "previewService": "demo-canary", "autoPromotionEnabled": false,
        "previewMetadata": {"annotations": {"role": "preview"}},
        "activeMetadata": {"labels": {"role": "active"}},
    }});
    world.set("/strategy", strategy);
    let mut world = world.deployed().updated();
    assert_eq!(labels(&world, "v1", "role"), [json!("active")]);
    assert_eq!(labels(&world, "v2", "role"), [json!(null)]);
    promoted(&mut world);
    assert_eq!(labels(&world, "v2", "role"), [json!("active")]);
    let set = world.set_of("v2").unwrap();
    assert!(
        set.pods
            .iter()
            .all(|pod| pod.metadata["annotations"] == json!({}))
    );
}

#[test]
fn pods_are_changed_only_after_the_replica_sets_controller_has_seen_the_template() {
    let mut world = at_half(with_roles(world()));
    world.canary("canaryMetadata", json!({"labels": {"role": "tried"}}));
    world.generation += 1;
    let marked = |world: &World| {
        let actions = world.decide().actions;
        actions
            .iter()
            .any(|action| matches!(action, Action::PatchPods { .. }))
    };
    world.reconcile();
    for set in &mut world.sets {
        set.view.settled = false;
    }
    assert!(
        !marked(&world),
        "a pod may still be made from the old template"
    );
    for set in &mut world.sets {
        set.view.settled = true;
    }
    assert!(marked(&world));
    world.play();
    assert_eq!(labels(&world, "v2", "role"), [json!("tried")]);
}

#[test]
fn a_crash_at_any_write_leaves_no_pod_behind() {
    for write in 1..40 {
        let steps = json!([{"setWeight": 50}, {"pause": {}}]);
        let mut world = with_roles(world()).nginx().steps(steps).deployed();
        world.crash_before_write(write);
        world.declare("v2");
        world.play();
        promoted(&mut world);
        assert_eq!(labels(&world, "v2", "role"), [json!("stable")], "{write}");
    }
}

#[test]
fn a_label_by_which_pods_are_found_is_refused() {
    let mut world = world().with("canaryMetadata", json!({"labels": {"app": "other"}}));
    world.play();
    let (_, _, message) = world.condition("InvalidSpec").unwrap();
    assert_eq!(
        message,
        "spec.strategy.canary.canaryMetadata.labels: must not have app: spec.selector finds the pods by it"
    );
}
