//! Several templates, templates of templates, ClusterAnalysisTemplates: one AnalysisRun of all of them.

use std::process::Stdio;

use serde_json::{Value, json};
use testbed::{Options, Program, Testbed, traefik::RouteKinds};
use tokio::process::{Child, Command};

use super::{QUERY, analysis, ended_run};
use crate::cluster::{
    harness::{App, SOON, World, none_lost},
    kubectl::{apply_crds, kubectl, run},
};

/// A controller that serves the whole cluster, with the rights that the chart gives it. It is killed when it is dropped.
async fn controller_of_the_cluster(world: &World) -> Child {
    let (testbed, namespace) = (world.testbed(), world.namespace());
    let args = [
        "template",
        "tidegate",
        concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tidegate"),
        "--kube-version=1.36.0",
        "--namespace",
        namespace,
        "--set=mode=cluster,deployment.enabled=false,crds.install=false",
    ];
    let chart = run(testbed, Program::Helm, &args, "").await;
    let applied = kubectl(testbed, &["apply", "-f", "-"], &chart.stdout).await;
    assert!(chart.ok && applied.ok, "{chart:?} {applied:?}");
    let kubeconfig = world.folder().join("cluster.kubeconfig");
    testbed
        .service_account_kubeconfig(namespace, "tidegate", None, &kubeconfig)
        .await
        .unwrap();
    // The harness prints logs of this name after a failure, if it has started a controller itself.
    let log = std::fs::File::create(world.folder().join("cluster.log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["controller", "--namespace", namespace])
        .args(["--health-address", "127.76.0.1:8080"])
        .args(["--prometheus-address", testbed.prometheus_url().unwrap()])
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

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
    let timing = json!({"initialDelay": "3s", "interval": "1s", "count": 3, "successCondition": "result[0] <= 0.05"});
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
    let shared = Testbed::attach_from_env().await.unwrap();
    // A controller of the whole cluster would act on the Rollouts of all tests.
    let options = Options::own(shared.state().binaries.clone()).unwrap();
    let options = options.prometheus(true).proxy(Some(RouteKinds::default()));
    let testbed = Testbed::start(options).await.unwrap();
    apply_crds(&testbed).await;
    let world = World::on(testbed, "nested").await;
    let _controller = controller_of_the_cluster(&world).await;
    world.apply(&namespaced()).await;
    let mut analysis = analysis();
    analysis["templates"] = json!([{"templateName": "served"}, {"templateName": "alive"}]);
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {"duration": "8s"}}]))
        .strategy(json!({"analysis": analysis}));
    world.apply(&app.manifests(world.namespace())).await;
    world
        .until(
            SOON,
            "the nested template is missed by its name",
            |rollout| rollout.at("/status/waitingFor") == "ClusterAnalysisTemplate shares to exist",
        )
        .await;
    let shares = template(
        "ClusterAnalysisTemplate",
        "shares",
        &json!({"templates": [{"templateName": "errors"}, {"templateName": "alive"}]}),
    );
    world.apply(&[shares]).await;
    world.healthy().await;
    world.serves("v1").await;

    let load = world.load(100);
    world.set_image("demo:v2").await;
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
async fn templates_that_lead_nowhere_are_told_and_nothing_moves() {
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
