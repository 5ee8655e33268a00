//! Verdicts from the real Prometheus: what is taken back, on what evidence, and what proves nothing.

mod jobs;
mod life;
mod servers;
mod templates;
mod web;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::harness::{
    App, Rollout, SOON, WeightWatch, World, eventually, none_lost, now, share_is,
};

/// Share of errors of the new version.
const QUERY: &str = r#"(sum(rate(http_requests_total{namespace="{{args.namespace}}",rs_hash="{{args.hash}}",code=~"5.."}[5s])) or vector(0))
 / sum(rate(http_requests_total{namespace="{{args.namespace}}",rs_hash="{{args.hash}}"}[5s]))"#;

/// The AnalysisTemplate `errors`.
fn template(metric: &Value) -> Value {
    let mut whole = json!({
        "name": "error-share",
        "initialDelay": "3s",
        "interval": "1s",
        "count": 3,
        "successCondition": "result[0] <= 0.05",
        // Prometheus hears of new pods every few seconds only, and needs two readings of each.
        "noData": {"limit": 30},
        "provider": {"prometheus": {"query": QUERY}},
    });
    json_patch::merge(&mut whole, metric);
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "errors"},
        "spec": {"args": [{"name": "namespace"}, {"name": "hash"}], "metrics": [whole]},
    })
}

/// An analysis by that template.
fn analysis() -> Value {
    json!({
        "templates": [{"templateName": "errors"}],
        "args": [
            {"name": "namespace", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
        ],
    })
}

/// The AnalysisRun of the update, once it has ended.
async fn ended_run(world: &World) -> Value {
    eventually(SOON, "the AnalysisRun has ended", || async {
        let runs = world.list("analysisruns").await;
        let ended = runs
            .iter()
            .find(|run| !run["status"]["completedAt"].is_null());
        ended.cloned().ok_or_else(|| format!("{runs:?}"))
    })
    .await
}

/// When the measurement that decided was finished.
fn deciding_measurement(run: &Value) -> Timestamp {
    let measurements = run["status"]["metricResults"][0]["measurements"].as_array();
    let failed = measurements
        .unwrap()
        .iter()
        .rfind(|measurement| measurement["phase"] == "Failed");
    let finished = failed.expect("a failed measurement")["finishedAt"].as_str();
    finished.unwrap().parse().unwrap()
}

/// A version with 20 % errors is at 50 % of the traffic; it must be taken back without anybody's help.
async fn a_bad_version_is_taken_back(name: &str, app: App, metric: &Value) {
    let world = World::new(name).await;
    let _controller = world.controller().await;
    world.apply(&[template(metric)]).await;
    // Nothing is sent to a pod when it goes: it need not even drain.
    let app = app
        .drain(0)
        .strategy(json!({"abortScaleDownDelaySeconds": 7}));
    let first = world.deploy(&app).await;
    let load = world.load(100);
    let weights = WeightWatch::start(&world);
    world.set_image("demo:v2-err20").await;
    let rollout = world.aborted().await;
    let run = ended_run(&world).await;

    let decided = deciding_measurement(&run);
    let zero = weights.zero_after(decided).expect("the weight is 0 again");
    let took = zero.duration_since(decided).as_millis();
    assert!(took <= 1_000, "{took} ms after the deciding measurement");
    tells_the_evidence(&rollout, &run);

    share_is(&load, "v1", 100.0).await;
    world.pinned("demo-canary", first.stable()).await;
    world.only_pods_of(first.stable()).await;
    let stayed = now().duration_since(zero).as_secs();
    assert!(stayed >= 7, "its pods stayed for {stayed} s");
    let summary = none_lost(load).await;
    assert!(summary.by_version["v2"].errors > 0, "{summary}");
    assert_eq!(weights.weights(), [0, 50, 0]);
}

fn tells_the_evidence(rollout: &Rollout, run: &Value) {
    let name = run["metadata"]["name"].as_str().unwrap();
    let cause = rollout.abort_cause();
    let measurements = &run["status"]["metricResults"][0]["measurements"];
    let value = measurements.as_array().unwrap().last().unwrap()["value"].as_str();
    assert!(
        cause.starts_with(&format!("AnalysisRun {name} is Failed: "))
            && cause.contains("error-share"),
        "{cause}"
    );
    let number = value.unwrap().trim_matches(|c: char| !c.is_ascii_digit());
    assert!(
        rollout.message().contains(cause) && cause.contains(number.get(..4).unwrap_or(number)),
        "{value:?} in {cause}"
    );
    assert_eq!(
        rollout
            .condition("Progressing")
            .map(|[status, reason, _]| [status, reason]),
        Some(["False", "RolloutAborted"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_is_taken_back_by_the_analysis_of_its_step() {
    let app = App::canary(2, json!([{"setWeight": 50}, {"analysis": analysis()}]));
    a_bad_version_is_taken_back("bad-canary", app, &json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_is_taken_back_in_a_pause_by_the_analysis_in_the_background() {
    let app = App::canary(2, json!([{"setWeight": 50}, {"pause": {}}]))
        .strategy(json!({"analysis": analysis()}));
    a_bad_version_is_taken_back("bad-background", app, &json!({"count": null})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_is_taken_back_by_the_values_of_a_range() {
    let app = App::canary(2, json!([{"setWeight": 50}, {"analysis": analysis()}]));
    let range = json!({"start": "now() - duration('3s')", "end": "now()", "step": "1s"});
    let metric = json!({
        // All of the range has traffic then.
        "initialDelay": "8s",
        "successCondition": "all(result, # <= 0.05)",
        "provider": {"prometheus": {"rangeQuery": range}},
    });
    a_bad_version_is_taken_back("bad-range", app, &metric).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_version_passes_its_analysis() {
    let world = World::new("good-analysis").await;
    let controller = world.controller().await;
    world.apply(&[template(&json!({}))]).await;
    let app = App::canary(2, json!([{"setWeight": 50}, {"analysis": analysis()}]));
    world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.healthy().await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Successful");
    let result = &run["status"]["metricResults"][0];
    assert_eq!(result["successful"], 3, "{run}");
    let metrics = controller.read("/metrics").await.unwrap();
    let counted = metrics.lines().any(|line| {
        line.starts_with(r#"tidegate_measurement_seconds_count{provider="prometheus""#)
            && line.ends_with(" 3")
    });
    assert!(counted, "{metrics}");
    none_lost(load).await;
}

#[tokio::test]
async fn without_traffic_there_is_no_success_and_a_person_is_asked() {
    let world = World::new("no-data").await;
    let _controller = world.controller().await;
    world
        .apply(&[template(&json!({"noData": {"limit": 1}}))])
        .await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"analysis": analysis()}]));
    world.deploy(&app).await;
    // What was asked to see that it serves must be out of the window.
    world.set_image("demo:v2").await;
    let rollout = world
        .until(SOON, "a person is asked", |rollout| {
            rollout.is_paused_for("InconclusiveAnalysisRun")
        })
        .await;
    assert_eq!(
        (rollout.phase(), rollout.message(), rollout.weight()),
        ("Paused", "InconclusiveAnalysisRun", 50)
    );
    let run = ended_run(&world).await;
    let result = &run["status"]["metricResults"][0];
    assert_eq!(run["status"]["phase"], "Inconclusive");
    assert_eq!(
        (&result["noData"], &result["successful"]),
        (&json!(2), &json!(0))
    );
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
}

/// A query with a Secret in it; gives how its run has ended. The Secret is read by its name and shown nowhere.
async fn a_secret_is_shown_nowhere(name: &str, query: &str) -> Value {
    let world = World::new(name).await;
    let controller = world.controller().await;
    let secret = "sesame9d1f";
    let mut by_secret = template(&json!({
        "initialDelay": null, "count": 1, "successCondition": "result[0] == 1", "consecutiveErrorLimit": 0,
        "provider": {"prometheus": {"query": query}},
    }));
    by_secret["spec"]["args"] = json!([
        {"name": "password", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "password"}}},
    ]);
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials"},
        "stringData": {"password": secret},
    });
    world.apply(&[by_secret, object]).await;
    let steps =
        json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}}]);
    world.deploy(&App::canary(1, steps)).await;
    world.set_image("demo:v2").await;
    let run = ended_run(&world).await;
    world
        .until(SOON, "the verdict is heeded", |rollout| {
            ["Healthy", "Degraded"].contains(&rollout.phase())
        })
        .await;

    let mut shown = controller.log();
    for kind in ["rollouts", "analysisruns", "events"] {
        shown += &json!(world.list(kind).await).to_string();
    }
    assert!(shown.contains("credentials"), "the Secret's name is shown");
    assert!(!shown.contains(secret), "the Secret is shown");
    let reads: Vec<_> = world
        .asked()
        .into_iter()
        .filter(|asked| asked.resource == "secrets")
        .map(|asked| (asked.verb, asked.name))
        .collect();
    assert_eq!(reads, [("get".to_owned(), "credentials".to_owned())]);
    run["status"].clone()
}

#[tokio::test]
async fn a_secret_argument_is_read_by_name_and_shown_nowhere() {
    let query = r#"label_replace(vector(1), "who", "{{args.password}}", "", "")"#;
    let status = a_secret_is_shown_nowhere("secret-argument", query).await;
    assert_eq!(status["phase"], "Successful", "{status}");
}

#[tokio::test]
async fn a_secret_that_the_server_repeats_is_shown_nowhere() {
    // "unknown function with name …", says Prometheus.
    let status = a_secret_is_shown_nowhere("secret-repeated", "{{args.password}}(1)").await;
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("unknown function") && message.contains("***"),
        "{status}"
    );
}

#[tokio::test]
async fn an_address_outside_the_allow_list_is_never_asked() {
    let world = World::new("allow-list").await;
    let _controller = world.controller().await;
    let api = world.testbed().api_url().to_owned();
    let elsewhere = template(&json!({
        "initialDelay": null, "count": 1, "interval": null, "consecutiveErrorLimit": 0,
        "provider": {"prometheus": {"address": api}},
    }));
    world.apply(&[elsewhere]).await;
    let app = App::canary(1, json!([{"setWeight": 50}, {"analysis": analysis()}]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    let rollout = world.aborted().await;
    let expected = format!(
        "the address {api} is not allowed; an administrator can allow it with --metric-address-allow"
    );
    assert!(
        rollout.abort_cause().contains(&expected),
        "{}",
        rollout.abort_cause()
    );
    assert!(rollout.abort_cause().contains(" is Error: "));
}

#[tokio::test]
async fn finished_runs_are_kept_up_to_their_limits() {
    let world = World::new("run-history").await;
    let _controller = world.controller().await;
    let good = json!({
        "initialDelay": null, "count": 1, "successCondition": "result[0] == 1",
        "provider": {"prometheus": {"query": "vector(1)"}},
    });
    world.apply(&[template(&good)]).await;
    let step = json!({"analysis": analysis()});
    let app = App::canary(1, json!([step, step, step])).spec(
        json!({"analysis": {"successfulRunHistoryLimit": 2, "unsuccessfulRunHistoryLimit": 0}}),
    );
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.healthy().await;
    eventually(
        Duration::from_secs(20),
        "two of three runs are kept",
        || async {
            let runs = world.list("analysisruns").await.len();
            if runs == 2 {
                Ok(())
            } else {
                Err(format!("{runs}"))
            }
        },
    )
    .await;
}
