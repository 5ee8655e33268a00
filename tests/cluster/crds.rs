//! The definitions on a real API server: every rule refuses what it is for and says what to do.

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testbed::Testbed;
use tidegate::api::{
    crds,
    names::{ApiNames, Kind},
};

use super::kubectl::{install_crds, kubectl};
use crate::manifests::{canary, everything_bad, good};

fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    let resource = ApiNames::default().resource(kind);
    if kind.namespaced() {
        Api::namespaced_with(client.clone(), "default", &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

async fn dry_run(client: &Client, kind: Kind, manifest: Value) -> Result<DynamicObject, String> {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api(client, kind)
        .create(&params, &serde_json::from_value(manifest).unwrap())
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_good_manifest_of_every_kind_is_accepted() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    for kind in Kind::ALL {
        let created = dry_run(&testbed.client(), kind, good(kind)).await;
        assert!(created.is_ok(), "{}: {}", kind.name(), created.unwrap_err());
    }
}

#[tokio::test]
async fn replicas_is_one_where_it_is_not_given() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    let created = dry_run(&testbed.client(), Kind::Rollout, good(Kind::Rollout))
        .await
        .unwrap();
    assert_eq!(created.data["spec"]["replicas"], json!(1));
}

#[tokio::test]
async fn every_rule_refuses_what_it_is_for_and_says_what_to_do() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    for row in everything_bad() {
        let mut manifest = good(row.kind);
        json_patch::merge(&mut manifest, &row.change);
        let refused = dry_run(&testbed.client(), row.kind, manifest)
            .await
            .expect_err(row.says);
        assert!(
            refused.contains(row.says),
            "{}: {:?} is missing in: {refused}",
            row.kind.name(),
            row.says
        );
    }
}

#[test]
fn every_rule_has_a_manifest_that_it_refuses() {
    let rows = everything_bad();
    let tested = |kind: Kind, rule: &crds::Rule| {
        // A transition rule has a test of its own.
        rule.rule.contains("oldSelf")
            || rows.iter().any(|row| {
                row.kind == kind && row.path == rule.path && rule.message.contains(row.says)
            })
    };
    for kind in Kind::ALL {
        let untested: Vec<_> = crds::rules(kind)
            .iter()
            .filter(|rule| !tested(kind, rule))
            .collect();
        assert!(
            untested.is_empty(),
            "{}: no row for {untested:#?}",
            kind.name()
        );
    }
}

#[tokio::test]
async fn the_selector_of_a_rollout_cannot_be_changed() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    let api = api(&testbed.client(), Kind::Rollout);
    let rollout = serde_json::from_value(good(Kind::Rollout)).unwrap();
    let name = api
        .create(&PostParams::default(), &rollout)
        .await
        .unwrap()
        .metadata
        .name
        .unwrap();

    let change = json!({ "spec": { "selector": { "matchLabels": { "tier": "web" } } } });
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let refused = api
        .patch(&name, &params, &Patch::Merge(change))
        .await
        .unwrap_err()
        .to_string();
    api.delete(&name, &DeleteParams::default()).await.unwrap();

    assert!(
        refused.contains("selector cannot be changed; create a Rollout with another name"),
        "{refused}"
    );
}

#[tokio::test]
async fn status_and_scale_are_subresources() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    let api = api(&testbed.client(), Kind::Rollout);
    let rollout = serde_json::from_value(good(Kind::Rollout)).unwrap();
    let name = api
        .create(&PostParams::default(), &rollout)
        .await
        .unwrap()
        .metadata
        .name
        .unwrap();

    let status = json!({ "status": { "HPAReplicas": 3, "selector": "app=demo" } });
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    api.patch_scale(
        &name,
        &PatchParams::default(),
        &Patch::Merge(json!({ "spec": { "replicas": 4 } })),
    )
    .await
    .unwrap();
    let scale = api.get_scale(&name).await.unwrap();
    api.delete(&name, &DeleteParams::default()).await.unwrap();

    let (spec, status) = (scale.spec.unwrap(), scale.status.unwrap());
    assert_eq!(
        (spec.replicas, status.replicas, status.selector.as_deref()),
        (Some(4), 3, Some("app=demo"))
    );
}

#[tokio::test]
async fn kubectl_explains_fields() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    let said = kubectl(
        &testbed,
        &["explain", "rollout.spec.strategy.canary.steps"],
        "",
    )
    .await;
    assert!(
        said.stdout
            .contains("Waits for a time, or without `duration` until promoted."),
        "{said:?}"
    );
}

#[tokio::test]
async fn kubectl_refuses_a_field_that_does_not_exist() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    let mut manifest = good(Kind::Rollout);
    json_patch::merge(&mut manifest, &canary(json!({ "stepz": [] })));
    manifest["metadata"] = json!({ "name": "unknown-field", "namespace": "default" });
    let said = kubectl(
        &testbed,
        &["apply", "--dry-run=server", "-f", "-"],
        &manifest.to_string(),
    )
    .await;
    assert!(
        !said.ok
            && said
                .stderr
                .contains("unknown field \"spec.strategy.canary.stepz\""),
        "{said:?}"
    );
}
