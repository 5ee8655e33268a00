//! The pod template of another workload, and how that workload is scaled.

use serde_json::{Value, json};

use super::world::{World, names, template, world};
use crate::{
    api::{
        request::Verb,
        rollout_status::Phase,
        workload::{AtRest, ScaleDown},
    },
    rollout::{
        decision::Action,
        snapshot::{Workload, WorkloadView},
    },
};

fn deployment(version: &str, replicas: i32) -> Workload {
    Workload::Found(Box::new(WorkloadView {
        name: "web".to_owned(),
        uid: "uid-web".to_owned(),
        resource_version: "1".to_owned(),
        generation: 1,
        template: template(version),
        selector: serde_json::from_value(json!({"matchLabels": {"app": "demo"}})).unwrap(),
        replicas,
        managed_by: None,
        at_rest: None,
    }))
}

fn reference(scale_down: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": scale_down})
}

/// A Rollout that takes `v1` from the Deployment `web`, which has 4 pods.
fn referring(scale_down: &str) -> World {
    let mut world = world();
    world.set("/template", Value::Null);
    world.set("/selector", Value::Null);
    world.set("/workloadRef", reference(scale_down));
    world.workload = deployment("v1", 4);
    world
}

fn stepping(world: World) -> World {
    world
        .nginx()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
}

/// Somebody declares another version in the Deployment, and its size with it.
fn sync(world: &mut World, version: &str, replicas: i32) {
    let workload = world.found_workload();
    workload.template = template(version);
    workload.replicas = replicas;
    workload.generation += 1;
    workload.resource_version.push('\'');
}

/// The server adds a default to every template that it shows from now on.
fn upgrade(world: &mut World) {
    world.defaults = json!({"spec": {"newDefault": "Always"}});
    let defaults = world.defaults.clone();
    json_patch::merge(&mut world.found_workload().template, &defaults);
}

fn touched(world: &World) -> usize {
    let touches = world.actions.iter().filter(|action| {
        let Action::PatchReplicaSet { annotations, .. } = action else {
            return false;
        };
        annotations
            .iter()
            .any(|(key, _)| key.ends_with("/compared-workload"))
    });
    touches.count()
}

fn is_at_v1(world: &World) -> bool {
    world.sets.len() == 1
        && world.status.phase == Some(Phase::Healthy)
        && world.status.revision == Some(1)
}

#[test]
fn template_and_selector_come_from_the_workload_and_a_change_starts_a_revision() {
    let _covers = testbed::covers(&[
        "spec.workloadRef",
        "spec.workloadRef.apiVersion",
        "spec.workloadRef.kind",
        "spec.workloadRef.name",
    ]);
    let mut world = stepping(referring("never")).deployed();
    assert_eq!(world.size("v1"), 4);
    assert_eq!(
        world.status.workload_observed_generation.as_deref(),
        Some("1")
    );
    // Autoscalers look at the version that serves.
    let stable = &world.status.stable_rs;
    let selector = format!("app=demo,{}={stable}", names().pod_template_hash);
    assert_eq!(world.status.selector, selector);
    sync(&mut world, "v2", 4);
    world.play();
    assert_eq!((world.weight(), world.size("v2")), (50, 2));
    assert_eq!(
        world.status.workload_observed_generation.as_deref(),
        Some("2")
    );
}

#[test]
fn without_its_workload_a_rollout_keeps_what_serves_and_can_be_aborted() {
    let mut world = stepping(referring("never")).deployed();
    sync(&mut world, "v2", 4);
    world.play();
    let known = std::mem::take(&mut world.workload);
    world.workload = Workload::Missing;
    world.set("/replicas", json!(6));
    world.play();
    assert_eq!((world.size("v1"), world.weight()), (6, 50));
    assert_eq!(
        world.status.waiting_for.as_deref(),
        Some("Deployment web to exist")
    );
    world.ask("1", Verb::Abort);
    world.play();
    assert_eq!((world.size("v1"), world.weight()), (6, 0), "{world}");
    world.workload = known;
    world.play();
    assert_eq!(world.sets.len(), 2, "its return is no other version");
}

#[test]
fn a_rollout_before_its_workload_waits_for_it() {
    let mut world = stepping(referring("never"));
    let workload = std::mem::replace(&mut world.workload, Workload::Missing);
    world.play();
    assert!(world.sets.is_empty());
    world.workload = workload;
    world.play();
    assert!(is_at_v1(&world), "{world}");
}

#[test]
fn argo_4696_defaults_of_a_newer_server_start_no_revision() {
    let deployed = || stepping(referring("never")).deployed();
    // The workload is shown with the default; nobody has changed it.
    let mut world = deployed();
    upgrade(&mut world);
    world.play();
    assert!(is_at_v1(&world), "{world}");
    assert_eq!(touched(&world), 0, "its generation says enough");
    // Somebody changes its size only: it has another generation.
    sync(&mut world, "v1", 9);
    upgrade(&mut world);
    world.play();
    assert!(is_at_v1(&world), "{world}");
    assert_eq!(touched(&world), 1, "the ReplicaSet is shown anew");
    // Another version is another revision all the same, and the way back is the way to the first one.
    sync(&mut world, "v2", 9);
    upgrade(&mut world);
    world.play();
    assert_eq!(world.status.revision, Some(2), "{world}");
    sync(&mut world, "v1", 9);
    upgrade(&mut world);
    world.play();
    assert_eq!(
        (world.sets.len(), world.behind("demo-stable").as_str()),
        (2, "v1")
    );
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
}

#[test]
fn what_somebody_adds_to_the_template_is_a_revision() {
    let mut world = stepping(referring("never")).deployed();
    sync(&mut world, "v1", 4);
    world.found_workload().template["spec"]["hostname"] = json!("web");
    world.play();
    assert_eq!((world.sets.len(), world.status.revision), (2, Some(2)));
}

#[test]
fn argo_3578_after_an_abort_the_next_version_starts() {
    let mut world = stepping(referring("onsuccess")).deployed();
    sync(&mut world, "v2", 4);
    world.play();
    world.ask("1", Verb::Abort);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Degraded));
    sync(&mut world, "v3", 4);
    world.play();
    assert_eq!(world.behind("demo-canary"), "v3", "{world}");
    assert_eq!((world.weight(), world.status.abort), (50, false));
}

#[test]
fn argo_4935_a_deployment_that_is_synced_again_is_scaled_down_again_in_every_revision() {
    let _covers = testbed::covers(&["spec.workloadRef.scaleDown"]);
    for scale_down in ["onsuccess", "progressively"] {
        let mut world = stepping(referring(scale_down)).deployed();
        assert_eq!(world.found_workload().replicas, 0, "{scale_down}");
        for version in ["v2", "v3"] {
            sync(&mut world, version, 5);
            world.play();
            assert_eq!(world.weight(), 50);
            let workload = world.found_workload();
            let at_rest = AtRest {
                replicas: 5,
                scaled_to: 0,
            };
            assert_eq!((workload.replicas, workload.at_rest), (0, Some(at_rest)));
        }
    }
}

#[test]
fn argo_4681_an_analysis_after_the_switch_does_not_keep_the_deployment() {
    let mut world = referring("onsuccess").services();
    let strategy = json!({"blueGreen": {
        "activeService": "demo-stable", "previewService": "demo-canary",
        "postPromotionAnalysis": {"templates": [{"templateName": "errors"}]},
    }});
    world.set("/strategy", strategy);
    let mut world = world.deployed();
    assert_eq!(world.found_workload().replicas, 0);
    sync(&mut world, "v2", 4);
    world.play();
    assert_eq!(world.status.phase, Some(Phase::Healthy), "{world}");
    assert_eq!(world.found_workload().replicas, 0);
}

#[test]
fn argo_4322_the_deployment_shrinks_only_by_what_serves_in_its_place() {
    for (had, expected) in [
        (4, [4, 3, 2, 1, 1]),
        (10, [10, 9, 8, 7, 6]),
        (2, [2, 2, 2, 1, 1]),
    ] {
        let mut seen = Vec::new();
        for available in 0..=4 {
            let mut world = stepping(referring("progressively"));
            world.workload = deployment("v1", had);
            world.reconcile();
            world.lose_pods("v1", 4, 1_000);
            for set in &mut world.sets {
                set.view.available = available;
                set.view.ready = available;
            }
            let decision = world.decide();
            let scaled = decision.actions.iter().find_map(|action| {
                let Action::ScaleWorkload { at_rest, .. } = action else {
                    return None;
                };
                Some(at_rest.scaled_to)
            });
            seen.push(scaled.unwrap_or(had));
        }
        assert_eq!(seen, expected, "of {had}");
    }
}

#[test]
fn the_deployment_serves_until_the_rollout_does() {
    // Pods that never become ready replace nobody.
    for scale_down in ["onsuccess", "progressively"] {
        let mut world = stepping(referring(scale_down)).broken("v1");
        world.play();
        assert_eq!(world.found_workload().replicas, 4);
    }
    // Nor does a Rollout without pods.
    let mut world = stepping(referring("onsuccess")).replicas(0);
    world.play();
    assert_eq!(world.found_workload().replicas, 4);
    // And proxies get their time.
    let mut world = stepping(referring("onsuccess"));
    world.play_until(|world| world.status.phase == Some(Phase::Healthy));
    let healthy = world.now;
    world.play_until(|world| matches!(&world.workload, Workload::Found(web) if web.replicas == 0));
    assert!(world.now.duration_since(healthy).as_secs() >= 5, "{world}");
}

#[test]
fn a_deployment_that_is_to_be_left_alone_gets_its_replicas_back() {
    let mut world = stepping(referring("onsuccess")).deployed();
    assert_eq!(world.found_workload().replicas, 0);
    world.set("/workloadRef", reference("never"));
    world.play();
    let workload = world.found_workload();
    assert_eq!((workload.replicas, workload.at_rest), (4, None));
    assert_eq!(workload.managed_by, None);
}

#[test]
fn a_reference_that_cannot_work_is_refused_with_what_to_do() {
    for (change, says) in [
        (
            json!({"kind": "StatefulSet"}),
            "spec.workloadRef.kind: set apiVersion and kind to apps/v1 Deployment, apps/v1 ReplicaSet or v1 PodTemplate",
        ),
        (json!({"name": null}), "spec.workloadRef.name: is required"),
        (
            json!({"scaleDown": "later"}),
            "spec.workloadRef.scaleDown: must be never, onsuccess or progressively",
        ),
        (
            json!({"apiVersion": "v1", "kind": "PodTemplate"}),
            "spec.workloadRef.scaleDown: works only with a Deployment; set it to never",
        ),
    ] {
        let mut world = stepping(referring("onsuccess"));
        let mut changed = reference("onsuccess");
        json_patch::merge(&mut changed, &change);
        world.set("/workloadRef", changed);
        world.play();
        let (_, _, message) = world.condition("InvalidSpec").unwrap();
        assert_eq!(message, says);
    }
    let mut world = stepping(referring("never"));
    world.set("/template", template("v1"));
    world.play();
    let (_, _, message) = world.condition("InvalidSpec").unwrap();
    assert!(
        message.starts_with("spec.template: must be absent"),
        "{message}"
    );
}

#[test]
fn when_to_scale_down_is_read_with_its_default() {
    for (text, expected) in [
        (None, Some(ScaleDown::Never)),
        (Some("progressively"), Some(ScaleDown::Progressively)),
        (Some("Never"), None),
    ] {
        let reference = crate::api::rollout::WorkloadRef {
            scale_down: text.map(str::to_owned),
            ..Default::default()
        };
        assert_eq!(reference.scale_down(), expected);
    }
}
