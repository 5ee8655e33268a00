//! Several templates, templates of templates, ClusterAnalysisTemplates: one AnalysisRun of all of them.

use serde_json::{Value, json};
use testbed::traefik::RouteKinds;

use super::{QUERY, analysis, ended_run};
use crate::cluster::harness::{App, SOON, World, eventually, none_lost, own_testbed};

fn template(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn metric(name: &str, query: &str, change: &Value) -> Value {
    let mut metric = json!({"name": name, "provider": {"prometheus": {"query": query}}});
    json_patch::merge(&mut metric, change);
    metric
}

/// `served` leads to the ClusterAnalysisTemplate `shares` and that to `errors`; `alive` stands alone.
fn namespaced() -> [Value; 3] {
    let timing = json!({"initialDelay": "3s", "interval": "1s", "count": 3, "successCondition": "result[0] <= 0.05", "noData": {"limit": 30}});
    [
        template(
            "AnalysisTemplate",
            "served",
            &json!({
                "metrics": [metric("always", "vector(1)", &json!({"successCondition": "result[0] == 1"}))],
                "templates": [{"templateName": "shares", "clusterScope": true}],
            }),
        ),
        template(
            "AnalysisTemplate",
            "errors",
            &json!({
                "args": [{"name": "namespace"}, {"name": "hash", "value": "none"}],
                "metrics": [metric("error-share", QUERY, &timing)],
            }),
        ),
        template(
            "AnalysisTemplate",
            "alive",
            &json!({
                "args": [{"name": "hash"}],
                "metrics": [
                    metric("never", "vector(0)", &json!({"successCondition": "result[0] == 1", "interval": "1s"})),
                ],
                // It decides nothing, and goes on for as long as the others.
                "dryRun": [{"metricName": "^never$"}],
                "measurementRetention": [{"metricName": "^never$", "limit": 2}],
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_of_templates_in_the_whole_cluster_judge_a_release() {
    let whole = |own: testbed::Options| own.prometheus(true).proxy(Some(RouteKinds::default()));
    let testbed = own_testbed("nested", whole).await;
    let world = World::cluster_wide(testbed, "nested").await;
    let _controller = world.controller().await;
    world.apply(&namespaced()).await;
    let mut analysis = analysis();
    analysis["templates"] = json!([{"templateName": "served"}, {"templateName": "alive"}]);
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]))
        .strategy(json!({"analysis": analysis}));
    world.apply(&app.manifests(world.namespace())).await;
    world
        .until(
            SOON,
            "the nested template is missed by its name",
            |rollout| rollout.at("/status/waitingFor") == "ClusterAnalysisTemplate shares to exist",
        )
        .await;
    let nested = template(
        "ClusterAnalysisTemplate",
        "shares",
        &json!({"templates": [{"templateName": "errors"}, {"templateName": "alive"}]}),
    );
    world.apply(&[nested]).await;
    world.healthy().await;
    world.serves("v1").await;

    let load = world.load(100);
    world.set_image("demo:v2").await;
    eventually(SOON, "the share of errors is judged", || async {
        let runs = world.list("analysisruns").await;
        let judged = runs.iter().any(|run| {
            let results = run["status"]["metricResults"].as_array();
            results.is_some_and(|results| {
                let mut named = results.iter().filter(|of| of["name"] == "error-share");
                named.any(|result| result["phase"] == "Successful")
            })
        });
        judged.then_some(()).ok_or_else(|| format!("{runs:?}"))
    })
    .await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Successful", "{run}");
    let results = run["status"]["metricResults"].as_array().unwrap();
    let phases: Vec<_> = results
        .iter()
        .map(|result| (&result["name"], &result["phase"]))
        .collect();
    let (good, bad) = (json!("Successful"), json!("Failed"));
    assert_eq!(
        phases,
        [
            (&json!("always"), &good),
            (&json!("error-share"), &good),
            (&json!("never"), &bad)
        ]
    );
    assert_eq!(run["status"]["dryRunSummary"]["failed"], 1, "{run}");
    assert_eq!(run["status"]["runSummary"]["count"], 2, "{run}");

    world.set_image("demo:v3-err20").await;
    let rollout = world.aborted().await;
    let cause = rollout.abort_cause();
    assert!(
        cause.contains("metric \"error-share\" assessed Failed"),
        "{cause}"
    );
    none_lost(load).await;
}

#[tokio::test]
async fn argo_s218_4_templates_that_lead_nowhere_or_out_of_the_namespace_are_told_and_nothing_moves()
 {
    let world = World::new("led-nowhere").await;
    let _controller = world.controller().await;
    let refer = |to: Value| template("AnalysisTemplate", "a", &json!({"templates": [to]}));
    world
        .apply(&[
            refer(json!({"templateName": "b"})),
            template(
                "AnalysisTemplate",
                "b",
                &json!({"templates": [{"templateName": "a"}], "metrics": [metric("m", "vector(1)", &json!({}))]}),
            ),
        ])
        .await;
    let step = json!({"analysis": {"templates": [{"templateName": "a"}]}});
    world
        .apply(&App::canary(1, json!([step])).manifests(world.namespace()))
        .await;
    for (to, told) in [
        (
            json!({"templateName": "b"}),
            "AnalysisTemplate a refers to itself (AnalysisTemplate a → AnalysisTemplate b → AnalysisTemplate a)",
        ),
        (
            json!({"templateName": "c", "clusterScope": true}),
            "ClusterAnalysisTemplate c cannot be read: the controller serves one namespace only",
        ),
    ] {
        world.apply(&[refer(to)]).await;
        world
            .until(SOON, told, |rollout| {
                rollout
                    .told("InvalidSpec")
                    .is_some_and(|message| message.contains(told))
            })
            .await;
    }
    world
        .apply(&[
            template(
                "AnalysisTemplate",
                "b",
                &json!({"metrics": [metric("m", "vector(1)", &json!({}))]}),
            ),
            refer(json!({"templateName": "b"})),
        ])
        .await;
    world.healthy().await;
    world.set_image("demo:v2").await;
    world.healthy().await;
    assert_eq!(ended_run(&world).await["status"]["phase"], "Successful");
}
