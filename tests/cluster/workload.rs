//! A Rollout whose pod template is in another workload, on real ones.

use serde_json::{Value, json};

use super::harness::{App, SOON, World, eventually, none_lost};

/// The application with its pod template in a Deployment `web`, which has so many pods.
fn deployment(app: &App, replicas: i32) -> Value {
    let spec = &app.rollout()["spec"];
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": spec["selector"], "template": spec["template"]},
    })
}

/// The Rollout of an application that takes its pod template from `web`.
fn referring(app: &App, kind: &str, scale_down: &str) -> Value {
    let api_version = if kind == "PodTemplate" {
        "v1"
    } else {
        "apps/v1"
    };
    let mut rollout = app.rollout();
    rollout["spec"].as_object_mut().unwrap().remove("template");
    rollout["spec"]["workloadRef"] =
        json!({"apiVersion": api_version, "kind": kind, "name": "web", "scaleDown": scale_down});
    rollout
}

async fn set_image(world: &World, plural: &str, image: &str, replicas: Option<i32>) {
    let path = if plural == "podtemplates" {
        "/template"
    } else {
        "/spec/template"
    };
    let object = world.get(plural, "web").await.unwrap();
    let mut template = object.pointer(path).unwrap().clone();
    template["spec"]["containers"][0]["image"] = json!(image);
    let mut change = if plural == "podtemplates" {
        json!({ "template": template })
    } else {
        json!({"spec": {"template": template}})
    };
    if let Some(replicas) = replicas {
        change["spec"]["replicas"] = json!(replicas);
    }
    world.patch(plural, "web", &change).await;
}

async fn has_replicas(world: &World, replicas: i32) {
    let what = format!("the Deployment has {replicas} replicas");
    eventually(SOON, &what, || async {
        let web = world.get("deployments", "web").await.unwrap();
        let (spec, status) = (&web["spec"]["replicas"], &web["status"]["replicas"]);
        let status = status.as_i64().unwrap_or(0);
        if spec == replicas && status == i64::from(replicas) {
            Ok(())
        } else {
            Err(web.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_4935_a_deployment_is_replaced_without_a_lost_request_and_stays_small_when_it_is_synced()
 {
    let _covers = testbed::covers(&[
        "spec.workloadRef",
        "spec.workloadRef.apiVersion",
        "spec.workloadRef.kind",
        "spec.workloadRef.name",
        "spec.workloadRef.scaleDown",
    ]);
    let world = World::new("workload").await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]));
    let deployment = deployment(&app, 2);
    let mut before = app.services();
    before.extend([app.ingress(world.namespace()), deployment]);
    world.apply(&before).await;
    world.serves("v1").await;
    let _controller = world.controller().await;
    let load = world.load(100);
    world
        .apply(&[referring(&app, "Deployment", "progressively")])
        .await;
    let rollout = world.healthy().await;
    has_replicas(&world, 0).await;
    world.only_pods_of(rollout.stable()).await;

    set_image(&world, "deployments", "demo:v2", Some(3)).await;
    let rollout = world.paused_at(1).await;
    assert_eq!(rollout.weight(), 50);
    has_replicas(&world, 0).await;
    assert!(
        rollout.at("/status/workloadObservedGeneration").is_string(),
        "{rollout:?}"
    );
    none_lost(load).await;
}

#[tokio::test]
async fn argo_3855_a_rollout_that_is_deleted_gives_its_deployment_back() {
    let world = World::new("workload-deleted").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(1, json!([]));
    world.apply(&[deployment(&app, 2)]).await;
    world
        .apply(&[referring(&app, "Deployment", "onsuccess")])
        .await;
    world.healthy().await;
    has_replicas(&world, 0).await;
    world.delete("rollouts", "demo").await;
    has_replicas(&world, 2).await;
    let web = world.get("deployments", "web").await.unwrap();
    let metadata = web["metadata"].to_string();
    assert!(!metadata.contains("replicas-at-rest"), "{metadata}");
}

#[tokio::test]
async fn pod_templates_and_replica_sets_have_templates_to_take() {
    let _covers = testbed::covers(&["spec.workloadRef.kind"]);
    for (kind, plural) in [
        ("PodTemplate", "podtemplates"),
        ("ReplicaSet", "replicasets"),
    ] {
        let world = World::new(&format!("workload-{plural}")).await;
        let _controller = world.controller().await;
        let app = App::pod_ratio(1, json!([{"setWeight": 50}, {"pause": {}}]));
        let template = app.rollout()["spec"]["template"].clone();
        world.apply(&[referring(&app, kind, "never")]).await;
        let waiting = format!("{kind} web to exist");
        world
            .until(SOON, "it waits for its workload", |rollout| {
                rollout.at("/status/waitingFor") == waiting.as_str()
            })
            .await;
        let mut workload = json!({
            "apiVersion": if kind == "PodTemplate" { "v1" } else { "apps/v1" },
            "kind": kind,
            "metadata": {"name": "web"},
        });
        if kind == "PodTemplate" {
            workload["template"] = template;
        } else {
            let selector = json!({"matchLabels": {"app": "demo"}});
            workload["spec"] = json!({"replicas": 0, "selector": selector, "template": template});
        }
        world.apply(&[workload]).await;
        let first = world.healthy().await;
        set_image(&world, plural, "demo:v2", None).await;
        let second = world.paused_at(1).await;
        assert_ne!(first.declared(), second.declared());
        assert_eq!(first.stable(), second.stable());
    }
}

#[tokio::test]
async fn argo_4696_a_template_with_the_servers_defaults_is_the_revision_that_was_made_without_them()
{
    let world = World::new("workload-defaults").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(1, json!([{"setWeight": 50}, {"pause": {}}]));
    world.apply(&[app.rollout()]).await;
    let first = world.healthy().await;
    // The Deployment has the same template, as the API server completes it.
    world.apply(&[deployment(&app, 0)]).await;
    let declared = &app.rollout()["spec"]["template"];
    let web = world.get("deployments", "web").await.unwrap();
    assert_ne!(&web["spec"]["template"], declared);
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let patch = json!({"spec": {"template": null, "workloadRef": reference}});
    world.patch("rollouts", "demo", &patch).await;
    let now = world
        .until(SOON, "the Deployment is taken", |rollout| {
            !rollout.at("/status/workloadObservedGeneration").is_null()
        })
        .await;
    assert_eq!((now.declared(), now.phase()), (first.declared(), "Healthy"));
    // A change of its size is no change of its template, and one of the template is a revision.
    world
        .patch("deployments", "web", &json!({"spec": {"paused": true}}))
        .await;
    world
        .until(SOON, "the change is seen", |rollout| {
            rollout.at("/status/workloadObservedGeneration") == "2"
        })
        .await;
    assert_eq!(world.rollout().await.declared(), first.declared());
    set_image(&world, "deployments", "demo:v2", None).await;
    assert_ne!(world.paused_at(1).await.declared(), first.declared());
}

#[tokio::test]
async fn argo_3578_after_an_abort_the_next_version_of_the_workload_starts() {
    let world = World::new("workload-abort").await;
    let _controller = world.controller().await;
    let app = App::pod_ratio(1, json!([{"setWeight": 50}, {"pause": {}}]));
    world.apply(&[deployment(&app, 0)]).await;
    world.apply(&[referring(&app, "Deployment", "never")]).await;
    world.healthy().await;
    set_image(&world, "deployments", "demo:v2", None).await;
    let second = world.paused_at(1).await;
    world.ask(&["abort", "demo"]).await;
    world.aborted().await;
    set_image(&world, "deployments", "demo:v3", None).await;
    let third = world
        .until(SOON, "the next version is under way", |rollout| {
            rollout.step() == 1
                && rollout.abort_cause().is_empty()
                && rollout.declared() != second.declared()
        })
        .await;
    assert_ne!(third.declared(), third.stable());
    let refused = world.tidegate(&["set-image", "demo", "app=demo:v4"]).await;
    assert!(
        !refused.ok && refused.stderr.contains("spec.workloadRef; change it there"),
        "{refused:?}"
    );
}
