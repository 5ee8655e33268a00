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

/// A change that makes a good manifest bad, and what the API server must say about it.
struct Bad {
    kind: Kind,
    /// Merge patch on [`good`].
    change: Value,
    /// The rule's field and words from its message.
    path: &'static str,
    says: &'static str,
}

fn bad(kind: Kind, path: &'static str, says: &'static str, change: Value) -> Bad {
    Bad {
        kind,
        change,
        path,
        says,
    }
}

fn canary(change: Value) -> Value {
    json!({ "spec": { "strategy": { "canary": change } } })
}

fn steps(step: Value) -> Value {
    canary(json!({ "steps": [{ "setWeight": 5 }, step] }))
}

/// A manifest that is accepted.
pub fn good(kind: Kind) -> Value {
    let spec = match kind {
        Kind::Rollout => json!({
            "selector": { "matchLabels": { "app": "demo" } },
            "template": {
                "metadata": { "labels": { "app": "demo", "tier": "web" } },
                "spec": { "containers": [{ "name": "demo", "image": "demo:v1" }] },
            },
            "strategy": { "canary": {
                "canaryService": "demo-canary",
                "stableService": "demo-stable",
                "trafficRouting": { "nginx": { "stableIngress": "demo" } },
                "scaleDownDelaySeconds": 30,
                "abortScaleDownDelaySeconds": 30,
                "maxSurge": "25%",
                "maxUnavailable": 0,
                "analysis": { "templates": [{ "templateName": "errors" }] },
                "steps": [
                    { "setWeight": 5 },
                    { "pause": {} },
                    { "pause": { "duration": "30s" } },
                    { "analysis": { "templates": [{ "templateName": "errors" }], "args": [{ "name": "a", "value": "b" }] } },
                    { "setCanaryScale": { "replicas": 2 } },
                    { "setWeight": 100 },
                ],
            } },
        }),
        Kind::AnalysisTemplate | Kind::ClusterAnalysisTemplate | Kind::AnalysisRun => json!({
            "args": [{ "name": "service" }, { "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }],
            "metrics": [{
                "name": "errors",
                "successCondition": "result[0] < 0.05",
                "provider": { "prometheus": { "query": "vector(0)" } },
            }],
        }),
        Kind::Experiment => json!({
            "templates": [{
                "name": "baseline",
                "selector": { "matchLabels": { "app": "demo" } },
                "template": { "metadata": { "labels": { "app": "demo" } } },
            }],
            "analyses": [{ "name": "errors", "templateName": "errors" }],
        }),
    };
    json!({
        "apiVersion": ApiNames::default().api_version(),
        "kind": kind.name(),
        "metadata": { "generateName": "rules-" },
        "spec": spec,
    })
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn everything_bad() -> Vec<Bad> {
    use Kind::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, Experiment, Rollout};
    let no_template = json!({ "templates": [] });
    let two_values = json!([{ "name": "a", "value": "b", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
    let mut rows = vec![
        bad(
            Rollout,
            "spec",
            "exactly one of template and workloadRef",
            json!({ "spec": { "workloadRef": { "name": "demo" } } }),
        ),
        bad(
            Rollout,
            "spec",
            "set selector",
            json!({ "spec": { "selector": null } }),
        ),
        bad(
            Rollout,
            "spec.selector",
            "an empty selector",
            json!({ "spec": { "selector": { "matchLabels": null } } }),
        ),
        bad(
            Rollout,
            "spec",
            "does not select the template's pods",
            json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } }),
        ),
        bad(
            Rollout,
            "spec",
            "does not select the template's pods",
            json!({ "spec": { "template": { "metadata": null } } }),
        ),
        bad(
            Rollout,
            "spec",
            "higher than minReadySeconds",
            json!({ "spec": { "minReadySeconds": 600 } }),
        ),
        bad(
            Rollout,
            "spec",
            "higher than minReadySeconds",
            json!({ "spec": { "minReadySeconds": 10, "progressDeadlineSeconds": 10 } }),
        ),
        bad(
            Rollout,
            "spec.strategy",
            "exactly one of canary and blueGreen",
            json!({ "spec": { "strategy": { "canary": null } } }),
        ),
        bad(
            Rollout,
            "spec.strategy",
            "exactly one of canary and blueGreen",
            json!({ "spec": { "strategy": { "blueGreen": { "activeService": "demo" } } } }),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "are the same",
            canary(json!({ "canaryService": "demo-stable" })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "set both canaryService and stableService",
            canary(json!({ "canaryService": null })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "scaleDownDelaySeconds works only with",
            canary(json!({ "trafficRouting": null, "abortScaleDownDelaySeconds": null })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "abortScaleDownDelaySeconds works only with",
            canary(json!({ "trafficRouting": null, "scaleDownDelaySeconds": null })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "both 0",
            canary(json!({ "maxSurge": 0 })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "both 0",
            canary(json!({ "maxSurge": "0%", "maxUnavailable": "0" })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "setWeight must not be above",
            steps(json!({ "setWeight": 101 })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary",
            "setWeight must not be above",
            canary(
                json!({ "trafficRouting": { "maxTrafficWeight": 1000 }, "steps": [{ "setWeight": 1001 }] }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.trafficRouting.nginx",
            "exactly one of stableIngress",
            canary(json!({ "trafficRouting": { "nginx": { "stableIngresses": ["other"] } } })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[]",
            "set exactly one of setWeight",
            steps(json!({})),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[]",
            "set exactly one of setWeight",
            steps(json!({ "setWeight": 10, "pause": {} })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[]",
            "set exactly one of setWeight",
            steps(json!({ "experiment": { "duration": "1m" }, "plugin": { "name": "x" } })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].setCanaryScale",
            "exactly one of weight, replicas",
            steps(json!({ "setCanaryScale": { "weight": 10, "replicas": 1 } })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].analysis",
            "at least one template",
            steps(json!({ "analysis": no_template })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.analysis",
            "at least one template",
            canary(json!({ "analysis": no_template })),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.steps[].analysis.args[]",
            "either value or valueFrom",
            steps(
                json!({ "analysis": { "templates": [{ "templateName": "t" }], "args": two_values } }),
            ),
        ),
        bad(
            Rollout,
            "spec.strategy.canary.analysis.args[]",
            "either value or valueFrom",
            canary(json!({ "analysis": { "args": two_values } })),
        ),
        bad(
            Experiment,
            "spec.analyses[].args[]",
            "either value or valueFrom",
            json!({ "spec": { "analyses": [{ "name": "a", "templateName": "t", "args": two_values }] } }),
        ),
    ];
    for kind in [AnalysisTemplate, ClusterAnalysisTemplate, AnalysisRun] {
        let metric = |provider: Value| json!({ "spec": { "metrics": [{ "name": "errors", "provider": provider }] } });
        let value_from =
            |value: Value| json!({ "spec": { "args": [{ "name": "a", "valueFrom": value }] } });
        rows.extend([
            bad(
                kind,
                "spec.metrics[].provider",
                "exactly one provider",
                metric(json!({})),
            ),
            bad(
                kind,
                "spec.metrics[].provider",
                "exactly one provider",
                metric(json!({ "prometheus": { "query": "up" }, "web": { "url": "http://x" } })),
            ),
            bad(
                kind,
                "spec.args[]",
                "either value or valueFrom",
                json!({ "spec": { "args": two_values } }),
            ),
            bad(
                kind,
                "spec.args[].valueFrom",
                "exactly one of secretKeyRef",
                value_from(json!({})),
            ),
        ]);
    }
    rows
}

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
