//! What a Rollout names and what the API server refuses: it says so, serves on, and goes on when it is put right.

use serde_json::{Value, json};

use tidegate::api::template_hash;

use super::harness::{App, Rollout, SOON, World, eventually};

#[tokio::test]
async fn what_is_missing_at_creation_is_named_until_it_appears() {
    let world = World::new("missing").await;
    let _controller = world.controller().await;
    let analysis = json!({"templates": [{"templateName": "errors"}]});
    let app = App::canary(1, json!([{"setWeight": 50}, {"analysis": analysis}]));
    world.apply(&[app.rollout()]).await;
    let template = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"metrics": [{
            "name": "one", "successCondition": "result[0] == 1", "provider": {"prometheus": {"query": "vector(1)"}},
        }]},
    });
    let services = app.services();
    let mut missing = vec![
        ("Service demo-stable", services[0].clone()),
        ("Service demo-canary", services[1].clone()),
        ("Ingress demo", app.ingress(world.namespace())),
        ("AnalysisTemplate errors", template),
    ];
    while !missing.is_empty() {
        let expected: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        let expected = format!(
            "{} does not exist; create it or correct the spec",
            expected.join(", ")
        );
        let rollout = world
            .until(SOON, &expected, |rollout| {
                rollout.told("ReferenceMissing") == Some(&expected)
            })
            .await;
        assert_ne!(rollout.phase(), "Healthy");
        world.apply(&[missing.remove(0).1]).await;
    }
    let rollout = world.healthy().await;
    assert_eq!(rollout.condition("ReferenceMissing"), None);
    world.serves("v1").await;
}

#[tokio::test]
async fn a_service_that_vanishes_stops_the_update_until_it_is_back() {
    let world = World::new("service-vanishes").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"pause": {}}]));
    let first = world.deploy(&app).await;
    world.delete("services", "demo-canary").await;
    world.set_image("demo:v2").await;
    world
        .until(SOON, "it waits for the Service", |rollout| {
            rollout.at("/status/waitingFor") == "Service demo-canary to exist"
        })
        .await;
    assert_eq!(world.rollout().await.weight(), 0);
    world.apply(&app.services()).await;
    let rollout = world.paused_at(1).await;
    assert_ne!(rollout.declared(), first.stable());
}

#[tokio::test]
async fn a_service_of_two_rollouts_belongs_to_the_older_one() {
    let world = World::new("shared-service").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([]));
    world.deploy(&app).await;
    let mut other = app.rollout();
    other["metadata"]["name"] = json!("other");
    world.apply(&[other]).await;
    let told = eventually(SOON, "the younger one is refused", || async {
        let other = Rollout(world.get("rollouts", "other").await.unwrap());
        match other.told("InvalidSpec") {
            Some(message) => Ok(message.to_owned()),
            None => Err(other.0.to_string()),
        }
    })
    .await;
    assert!(
        told.contains("Service demo-stable is also used by Rollout demo"),
        "{told}"
    );
    assert_eq!(world.rollout().await.phase(), "Healthy");
    world.serves("v1").await;
}

/// A pod template that the server refuses stops the update; the stable version serves on; a good one goes on.
async fn a_refused_template_is_told(name: &str, change: Value, expected: &str) {
    let world = World::new(name).await;
    let _controller = world.controller().await;
    world.deploy(&App::canary(1, json!([]))).await;
    let mut container =
        App::canary(1, json!([])).rollout()["spec"]["template"]["spec"]["containers"][0].clone();
    json_patch::merge(&mut container, &change);
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    world.patch("rollouts", "demo", &patch).await;
    let rollout = world
        .until(SOON, "the refusal is told", |rollout| {
            rollout.told("InvalidSpec").is_some()
        })
        .await;
    let told = rollout.told("InvalidSpec").unwrap();
    assert!(told.contains(expected), "{told}");
    assert_eq!(rollout.phase(), "Degraded");
    world.serves("v1").await;

    let good = App::canary(1, json!([])).rollout()["spec"].clone();
    world
        .patch("rollouts", "demo", &json!({"spec": good}))
        .await;
    world.set_image("demo:v3").await;
    let rollout = world.healthy().await;
    assert_eq!(rollout.condition("InvalidSpec"), None);
    world.serves("v3").await;
}

#[tokio::test]
async fn a_template_with_a_value_that_cannot_be_is_told_in_the_servers_words() {
    a_refused_template_is_told(
        "refused-value",
        json!({"imagePullPolicy": "Sometimes"}),
        r#"imagePullPolicy: Unsupported value: "Sometimes""#,
    )
    .await;
}

#[tokio::test]
async fn a_template_with_a_field_that_does_not_exist_is_told_in_the_servers_words() {
    a_refused_template_is_told(
        "refused-field",
        json!({"imagePulPolicy": "Always"}),
        r#"unknown field "spec.template.spec.containers[0].imagePulPolicy""#,
    )
    .await;
}

/// A quota that is full is told as a failure of replicas; once there is room it goes on by itself.
async fn a_full_quota_is_told(name: &str, resource: &str, full: u32) {
    let world = World::new(name).await;
    let _controller = world.controller().await;
    world
        .deploy(&App::canary(1, json!([{"setWeight": 100}])))
        .await;
    let quota = |hard: u32| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
            "spec": {"hard": {resource: hard.to_string()}},
        })
    };
    world.apply(&[quota(full)]).await;
    eventually(SOON, "the quota counts", || async {
        let quota = world.get("resourcequotas", "quota").await.unwrap();
        let used = quota["status"]["used"][resource].clone();
        if used.as_str() == Some(full.to_string().as_str()) {
            Ok(())
        } else {
            Err(used.to_string())
        }
    })
    .await;
    world.set_image("demo:v2").await;
    let rollout = world
        .until(SOON, "the failure is told", |rollout| {
            rollout.told("ReplicaFailure").is_some()
        })
        .await;
    let told = rollout.told("ReplicaFailure").unwrap();
    assert!(told.contains("exceeded quota: quota"), "{told}");
    world.serves("v1").await;
    world.apply(&[quota(full + 4)]).await;
    let rollout = world.healthy().await;
    assert_eq!(rollout.condition("ReplicaFailure"), None);
    world.serves("v2").await;
}

#[tokio::test]
async fn a_quota_without_room_for_a_pod_is_told() {
    a_full_quota_is_told("quota-pods", "pods", 1).await;
}

#[tokio::test]
async fn a_quota_without_room_for_a_replica_set_is_told() {
    a_full_quota_is_told("quota-sets", "count/replicasets.apps", 1).await;
}

#[tokio::test]
async fn a_replica_set_of_somebody_else_with_our_name_is_waited_for_and_never_adopted() {
    let world = World::new("name-taken").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([]));
    let mut taken = app.rollout();
    let hash = template_hash::pod_template_hash(&taken["spec"]["template"], 0);
    let name = format!("demo-{hash}");
    taken["apiVersion"] = json!("apps/v1");
    taken["kind"] = json!("ReplicaSet");
    taken["metadata"]["name"] = json!(name);
    taken["spec"].as_object_mut().unwrap().remove("strategy");
    taken["spec"]["replicas"] = json!(0);
    world.apply(&[taken]).await;
    let before = world.get("replicasets", &name).await.unwrap();
    world.apply(&app.manifests(world.namespace())).await;
    let waits = format!("the name {name} to be free: another ReplicaSet has it");
    world
        .until(SOON, &waits, |rollout| {
            rollout.at("/status/waitingFor") == waits.as_str()
        })
        .await;
    let after = world.get("replicasets", &name).await.unwrap();
    assert_eq!(
        [&after["metadata"]["ownerReferences"], &after["spec"]],
        [&Value::Null, &before["spec"]]
    );

    world.delete("replicasets", &name).await;
    world.healthy().await;
    world.serves("v1").await;
}
