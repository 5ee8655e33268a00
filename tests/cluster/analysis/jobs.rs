//! Verdicts from Jobs, run by the real Job controller.

use serde_json::{Value, json};

use super::ended_run;
use crate::cluster::harness::{App, SOON, World, eventually};

/// The container of a program that ends.
fn script(script: &str) -> Value {
    json!({"name": "smoke", "image": "busybox", "command": ["sh", "-c", script]})
}

/// The AnalysisTemplate `smoke`, whose Job runs this container.
fn template(container: &Value, metric: &Value) -> Value {
    let mut whole = json!({
        "name": "smoke",
        "provider": {"job": {
            "metadata": {"labels": {"team": "{{args.team}}"}, "annotations": {"note": "a test"}},
            "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
        }},
    });
    json_patch::merge(&mut whole, metric);
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "smoke"},
        "spec": {"args": [{"name": "team", "value": "shop"}], "metrics": [whole]},
    })
}

/// A release is judged by this Job.
async fn released(world: &World, container: &Value, metric: &Value) {
    world.apply(&[template(container, metric)]).await;
    let step = json!({"analysis": {"templates": [{"templateName": "smoke"}]}});
    world
        .deploy(&App::canary(1, json!([{"setWeight": 50}, step])))
        .await;
    world.set_image("demo:v2").await;
}

/// The only Job, once there is one.
async fn the_job(world: &World) -> Value {
    eventually(SOON, "there is a Job", || async {
        let jobs = world.list("jobs").await;
        jobs.first().cloned().ok_or_else(|| "none".to_owned())
    })
    .await
}

async fn no_jobs(world: &World) {
    eventually(SOON, "the Job is gone", || async {
        let jobs = world.list("jobs").await;
        if jobs.is_empty() {
            Ok(())
        } else {
            Err(format!("{jobs:?}"))
        }
    })
    .await;
}

fn measurement(run: &Value) -> &Value {
    let measurements = run["status"]["metricResults"][0]["measurements"].as_array();
    measurements.unwrap().last().unwrap()
}

#[tokio::test]
async fn a_job_that_completes_lets_a_release_through() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.job.metadata.labels",
        "AnalysisTemplate spec.metrics[].provider.job.metadata.annotations",
        "AnalysisTemplate spec.metrics[].provider.job.spec",
    ]);
    let world = World::new("job-good").await;
    let _controller = world.controller().await;
    released(&world, &script("sleep 0.5; exit 0"), &json!({})).await;
    world.healthy().await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Successful", "{run}");
    let job = the_job(&world).await;
    let uid = run["metadata"]["uid"].as_str().unwrap();
    assert_eq!(job["metadata"]["name"], format!("{uid}.smoke.1"));
    assert_eq!(
        measurement(&run)["metadata"]["job-name"],
        job["metadata"]["name"]
    );
    let (labels, annotations) = (&job["metadata"]["labels"], &job["metadata"]["annotations"]);
    assert_eq!(
        (
            &labels["team"],
            &annotations["note"],
            &labels["analysisrun.tidegate.dev/uid"]
        ),
        (&json!("shop"), &json!("a test"), &json!(uid))
    );
    assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], uid);
    assert_eq!(annotations["analysisrun.tidegate.dev/metric-name"], "smoke");
}

#[tokio::test]
async fn argo_4393_a_job_that_fails_takes_a_release_back() {
    let world = World::new("job-bad").await;
    let _controller = world.controller().await;
    released(&world, &script("sleep 0.2; exit 3"), &json!({})).await;
    let rollout = world.aborted().await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Failed", "{run}");
    assert_eq!(measurement(&run)["phase"], "Failed");
    let cause = rollout.abort_cause();
    assert!(cause.contains("failed: BackoffLimitExceeded"), "{cause}");
}

#[tokio::test]
async fn argo_4602_a_job_without_its_image_says_nothing_about_the_version_and_is_deleted() {
    let world = World::new("job-pull").await;
    let _controller = world.controller().await;
    let container = json!({"name": "smoke", "image": "smoke:v1-pull"});
    released(&world, &container, &json!({})).await;
    world
        .until(SOON, "a person is asked", |rollout| {
            rollout.is_paused_for("InconclusiveAnalysisRun")
        })
        .await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Inconclusive", "{run}");
    let message = measurement(&run)["message"].as_str().unwrap();
    assert!(message.contains("ImagePullBackOff"), "{message}");
    no_jobs(&world).await;
}

#[tokio::test]
async fn a_job_that_somebody_deletes_proves_nothing() {
    let world = World::new("job-deleted").await;
    let _controller = world.controller().await;
    released(&world, &script("sleep 600"), &json!({})).await;
    let job = the_job(&world).await;
    world
        .delete("jobs", job["metadata"]["name"].as_str().unwrap())
        .await;
    let run = ended_run(&world).await;
    assert_eq!(run["status"]["phase"], "Inconclusive", "{run}");
    assert!(
        measurement(&run)["message"]
            .as_str()
            .unwrap()
            .contains("deleted before it was done"),
        "{run}"
    );
}

#[tokio::test]
async fn argo_4692_a_run_that_is_terminated_stops_its_job_and_is_no_success() {
    let _covers = testbed::covers(&["AnalysisRun spec.terminate"]);
    let world = World::new("job-terminated").await;
    let _controller = world.controller().await;
    released(&world, &script("sleep 600"), &json!({})).await;
    the_job(&world).await;
    let runs = world.list("analysisruns").await;
    let name = runs[0]["metadata"]["name"].as_str().unwrap();
    world
        .patch("analysisruns", name, &json!({"spec": {"terminate": true}}))
        .await;
    let run = eventually(SOON, "the run has ended", || async {
        let run = world.get("analysisruns", name).await.unwrap();
        let ended = !run["status"]["completedAt"].is_null();
        ended.then(|| run.clone()).ok_or_else(|| format!("{run}"))
    })
    .await;
    assert_eq!(run["status"]["phase"], "Inconclusive", "{run}");
    let jobs = world.list("jobs").await;
    let first = |job: &Value| {
        job["metadata"]["name"]
            .as_str()
            .is_some_and(|job| measurement(&run)["metadata"]["job-name"] == job)
    };
    eventually(SOON, "its Job is gone", || async {
        let jobs = world.list("jobs").await;
        if jobs.iter().any(first) {
            Err(format!("{jobs:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    assert!(jobs.len() <= 2, "{jobs:?}");
}

#[tokio::test]
async fn a_job_that_was_started_before_a_crash_is_found_again() {
    let world = World::new("job-crash").await;
    let controller = world.controller().await;
    released(&world, &script("sleep 3; exit 0"), &json!({})).await;
    the_job(&world).await;
    controller.kill().await;
    let _controller = world.controller().await;
    world.healthy().await;
    assert_eq!(ended_run(&world).await["status"]["phase"], "Successful");
    assert_eq!(world.list("jobs").await.len(), 1);
}

#[tokio::test]
async fn a_job_that_the_server_refuses_is_told_in_its_words() {
    let world = World::new("job-refused").await;
    let _controller = world.controller().await;
    let metric = json!({
        "consecutiveErrorLimit": 0,
        "provider": {"job": {"spec": {"backOffLimit": 1}}},
    });
    released(&world, &script("exit 0"), &metric).await;
    let rollout = world.aborted().await;
    let cause = rollout.abort_cause();
    assert!(
        cause.contains("cannot be created: ") && cause.contains("backOffLimit"),
        "{cause}"
    );
    assert_eq!(world.list("jobs").await.len(), 0);
}
