//! The life of AnalysisRuns: names, labels, retries, and their end.

use serde_json::{Value, json};

use super::{analysis, ended_run, template};
use crate::cluster::harness::{App, SOON, World, eventually};

/// A metric that always has this value, and is good when it is 1.
fn always(value: &str) -> Value {
    json!({
        "initialDelay": null, "interval": null, "count": 1, "successCondition": "result[0] == 1",
        "provider": {"prometheus": {"query": format!("vector({value})")}},
    })
}

#[tokio::test]
async fn argo_2897_a_retry_is_not_blocked_by_the_failed_run_of_the_attempt_before() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].analysis.analysisRunMetadata.labels",
        "spec.strategy.canary.steps[].analysis.analysisRunMetadata.annotations",
    ]);
    let world = World::new("retry").await;
    let _controller = world.controller().await;
    world.apply(&[template(&always("0"))]).await;
    let mut step = analysis();
    step["analysisRunMetadata"] = json!({"labels": {"team": "shop"}, "annotations": {"note": "x"}});
    world
        .deploy(&App::canary(
            1,
            json!([{"setWeight": 50}, {"analysis": step}]),
        ))
        .await;
    world.set_image("demo:v2").await;
    world.aborted().await;
    let failed = ended_run(&world).await;
    let name = failed["metadata"]["name"].as_str().unwrap().to_owned();
    let rollout = world.rollout().await;
    assert_eq!(name, format!("demo-{}-2-1", rollout.declared()));
    let labels = &failed["metadata"]["labels"];
    assert_eq!(
        (
            &labels["tidegate.dev/rollout-type"],
            &labels["tidegate.dev/step-index"],
            &labels["team"]
        ),
        (&json!("Step"), &json!("1"), &json!("shop"))
    );
    assert_eq!(failed["metadata"]["annotations"]["note"], "x");

    world.apply(&[template(&always("1"))]).await;
    world.ask(&["retry", "demo"]).await;
    world.healthy().await;
    let retried = world.get("analysisruns", &format!("{name}.1")).await;
    assert_eq!(
        retried.expect("a run of the second attempt")["status"]["phase"],
        "Successful"
    );
    let kept = world
        .get("analysisruns", &name)
        .await
        .expect("the evidence stays");
    assert_eq!(kept["status"]["phase"], "Failed");
}

#[tokio::test]
async fn a_run_is_deleted_when_its_time_is_over() {
    let _covers = testbed::covers(&[
        "AnalysisRun spec.ttlStrategy.secondsAfterCompletion",
        "AnalysisRun spec.ttlStrategy.secondsAfterFailure",
        "AnalysisRun spec.ttlStrategy.secondsAfterSuccess",
    ]);
    let world = World::new("run-ttl").await;
    let _controller = world.controller().await;
    let run = |name: &str, value: &str, ttl: Value| {
        let metric = json!({
            "name": "m", "successCondition": "result[0] == 1",
            "provider": {"prometheus": {"query": format!("vector({value})")}},
        });
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": name},
            "spec": {"metrics": [metric], "ttlStrategy": ttl},
        })
    };
    world
        .apply(&[
            run("kept", "1", json!({"secondsAfterFailure": 0})),
            run(
                "done",
                "1",
                json!({"secondsAfterCompletion": 600, "secondsAfterSuccess": 1}),
            ),
            run(
                "bad",
                "0",
                json!({"secondsAfterCompletion": 1, "secondsAfterSuccess": 600}),
            ),
            run(
                "worse",
                "0",
                json!({"secondsAfterCompletion": 600, "secondsAfterFailure": 1}),
            ),
        ])
        .await;
    eventually(SOON, "only one is kept", || async {
        let runs = world.list("analysisruns").await;
        let names: Vec<_> = runs
            .iter()
            .map(|run| run["metadata"]["name"].clone())
            .collect();
        if names == ["kept"] && runs[0]["status"]["phase"] == "Successful" {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn argo_1329_a_run_that_is_terminated_is_no_success_and_is_measured_again() {
    let world = World::new("run-terminated").await;
    let _controller = world.controller().await;
    let slow = json!({
        "initialDelay": null, "interval": "1s", "count": 600, "successCondition": "result[0] == 1",
        "provider": {"prometheus": {"query": "vector(1)"}},
    });
    world.apply(&[template(&slow)]).await;
    world
        .deploy(&App::canary(
            1,
            json!([{"setWeight": 50}, {"analysis": analysis()}]),
        ))
        .await;
    world.set_image("demo:v2").await;
    let name = eventually(SOON, "something was measured", || async {
        let runs = world.list("analysisruns").await;
        let run = runs.first().ok_or("no run")?;
        let good = run["status"]["metricResults"][0]["successful"].as_i64();
        let name = run["metadata"]["name"].as_str().unwrap().to_owned();
        good.filter(|good| *good >= 2)
            .map(|_| name)
            .ok_or_else(|| format!("{run}"))
    })
    .await;
    world
        .patch("analysisruns", &name, &json!({"spec": {"terminate": true}}))
        .await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Inconclusive", "{run}");
    let message = run["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("the run was terminated; ")
            && message.contains(" of 600 measurements taken"),
        "{message}"
    );
    eventually(SOON, "it is measured again", || async {
        let again = world.get("analysisruns", &format!("{name}.1")).await;
        again.map(drop).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    assert_ne!(world.rollout().await.phase(), "Healthy");
}

#[tokio::test]
async fn argo_1466_argo_1905_argo_2101_an_empty_result_is_no_error_and_aborts_nothing() {
    let world = World::new("empty").await;
    let _controller = world.controller().await;
    let empty = json!({
        "initialDelay": null, "interval": "1s", "count": 3, "noData": {"limit": 1},
        "provider": {"prometheus": {"query": "up{job=\"nobody\"}"}},
    });
    world.apply(&[template(&empty)]).await;
    world
        .deploy(&App::canary(
            1,
            json!([{"setWeight": 50}, {"analysis": analysis()}]),
        ))
        .await;
    world.set_image("demo:v2").await;
    world
        .until(SOON, "a person is asked", |rollout| {
            rollout.is_paused_for("InconclusiveAnalysisRun")
        })
        .await;
    let run = ended_run(&world).await;
    let result = &run["status"]["metricResults"][0];
    assert_eq!(
        (&result["error"], &result["noData"]),
        (&json!(0), &json!(2)),
        "{run}"
    );
    assert_eq!(world.rollout().await.weight(), 50);
}

#[tokio::test]
async fn a_name_that_somebody_elses_run_has_is_told_and_waited_for() {
    let world = World::new("run-taken").await;
    let _controller = world.controller().await;
    world.apply(&[template(&always("1"))]).await;
    let first = world
        .deploy(&App::canary(
            1,
            json!([{"setWeight": 50}, {"pause": {}}, {"analysis": analysis()}]),
        ))
        .await;
    world.set_image("demo:v2").await;
    let rollout = world.paused_at(1).await;
    let name = format!("demo-{}-2-2", rollout.declared());
    assert_ne!(rollout.declared(), first.stable());
    let other = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": name},
        "spec": {"metrics": [{"name": "m", "provider": {"prometheus": {"query": "vector(1)"}}}]},
    });
    world.apply(&[other]).await;
    world.ask(&["promote", "demo"]).await;
    let told = format!("the name {name} to be free: another AnalysisRun has it");
    world
        .until(SOON, "it is told", |rollout| {
            rollout.at("/status/waitingFor") == &json!(told)
        })
        .await;
    world.delete("analysisruns", &name).await;
    world.healthy().await;
}
