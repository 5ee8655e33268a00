//! Experiments: alone, as steps of a Rollout, and what is left of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{App, SOON, World, eventually, none_lost};

/// An AnalysisTemplate whose one measurement is good, or not.
fn template(name: &str, query: &str) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {
            "args": [{"name": "hash", "value": "none"}],
            "metrics": [{
                "name": "value", "successCondition": "result[0] == 1",
                "provider": {"prometheus": {"query": query}},
            }],
        },
    })
}

fn version(name: &str, replicas: u32) -> Value {
    let app = App::canary(1, json!([])).rollout();
    let labels = json!({"app": name});
    let mut pods = app["spec"]["template"].clone();
    pods["metadata"]["labels"] = labels.clone();
    json!({"name": name, "replicas": replicas, "selector": {"matchLabels": labels}, "template": pods})
}

impl World {
    /// Waits until the Experiment fulfils `wanted`.
    async fn experiment(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(SOON, what, || async {
            let found = self.get("experiments", name).await.unwrap_or_default();
            if wanted(&found["status"]) {
                Ok(found)
            } else {
                Err(found["status"].to_string())
            }
        })
        .await
    }

    /// The Experiment that the Rollout waits for.
    async fn step_experiment(&self) -> String {
        let rollout = self
            .until(SOON, "an Experiment is under way", |rollout| {
                rollout.at("/status/canary/currentExperiment").is_string()
            })
            .await;
        let name = rollout.at("/status/canary/currentExperiment");
        name.as_str().unwrap().to_owned()
    }

    /// Waits until no pod of an Experiment is left.
    async fn no_experiment_pods(&self) {
        eventually(SOON, "the pods of Experiments are gone", || async {
            let left = self.experiment_pods().await.len();
            if left == 0 {
                Ok(())
            } else {
                Err(left.to_string())
            }
        })
        .await;
    }

    async fn experiment_pods(&self) -> Vec<Value> {
        let pods = self.list("pods").await;
        let label = "/metadata/labels/tidegate.dev~1experiment-name";
        let own = pods.into_iter().filter(|pod| pod.pointer(label).is_some());
        own.collect()
    }
}

#[tokio::test]
async fn an_experiment_runs_its_versions_to_a_verdict_and_takes_them_away() {
    let _covers = testbed::covers(&[
        "Experiment spec.templates[].name",
        "Experiment spec.templates[].replicas",
        "Experiment spec.templates[].selector",
        "Experiment spec.templates[].template",
        "Experiment spec.templates[].service",
        "Experiment spec.duration",
        "Experiment spec.analyses[].args[]",
        "Experiment spec.scaleDownDelaySeconds",
    ]);
    let world = World::new("experiment").await;
    let _controller = world.controller().await;
    world.apply(&[template("good", "vector(1)")]).await;
    let mut one = version("one", 2);
    one["service"] = json!({});
    let experiment = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": "exp"},
        "spec": {
            "templates": [one, version("two", 1)],
            "duration": "3s", "scaleDownDelaySeconds": 1,
            "analyses": [{
                "name": "good", "templateName": "good", "requiredForCompletion": true,
                "args": [{"name": "hash", "value": "{{templates.one.podTemplateHash}}"}],
            }],
        },
    });
    world.apply(&[experiment]).await;
    let running = world
        .experiment("exp", "all versions are available", |status| {
            status["phase"] == "Running"
        })
        .await;
    let hash = &running["status"]["templateStatuses"][0]["podTemplateHash"];
    let service = world.get("services", "exp-one").await.expect("the Service");
    assert_eq!(
        service["spec"]["selector"],
        json!({"app": "one", "tidegate.dev/pod-template-hash": hash})
    );
    assert_eq!(service["spec"]["ports"][0]["port"], 8080);
    assert_eq!(world.experiment_pods().await.len(), 3);

    let ended = world
        .experiment("exp", "it has ended", |status| {
            !status["completedAt"].is_null()
        })
        .await;
    let status = &ended["status"];
    assert_eq!(status["phase"], "Successful", "{status}");
    let time =
        |field: &str| -> jiff::Timestamp { status[field].as_str().unwrap().parse().unwrap() };
    let lasted = time("completedAt").duration_since(time("availableAt"));
    assert!(
        lasted >= Duration::from_secs(3).try_into().unwrap(),
        "{lasted}"
    );
    assert_eq!(status["analysisRuns"][0]["phase"], "Successful");
    let run = world.get("analysisruns", "exp-good").await.unwrap();
    assert_eq!(
        run["spec"]["args"],
        json!([{"name": "hash", "value": hash}])
    );

    world.no_experiment_pods().await;
    assert!(world.get("services", "exp-one").await.is_none());
    let told: Vec<Value> = world.list("events").await;
    for reason in [
        "ServiceCreated",
        "ExperimentRunning",
        "ExperimentSuccessful",
        "ServiceDeleted",
    ] {
        assert!(
            told.iter().any(|event| event["reason"] == reason),
            "{reason}"
        );
    }
    world.delete("experiments", "exp").await;
    eventually(SOON, "everything of it is gone", || async {
        let sets = world.list("replicasets").await.len();
        let runs = world.list("analysisruns").await.len();
        if sets + runs == 0 {
            Ok(())
        } else {
            Err(format!("{sets} {runs}"))
        }
    })
    .await;
}

/// A step that runs both versions until the analysis of this name has ended.
fn step(analysis: &str) -> Value {
    json!({"experiment": {
        "scaleDownDelaySeconds": 1,
        "templates": [
            {"name": "baseline", "specRef": "stable"},
            {"name": "candidate", "specRef": "canary", "service": {}},
        ],
        "analyses": [{"name": "check", "templateName": analysis, "requiredForCompletion": true}],
    }})
}

#[tokio::test]
async fn argo_4526_an_experiment_decides_a_release_without_a_request_of_its_traffic() {
    let world = World::new("experiment-step").await;
    let _controller = world.controller().await;
    // It ends when it is told to: with the first good measurement.
    let mut check = template("check", "vector(1)");
    check["spec"]["metrics"][0]["initialDelay"] = json!("5s");
    world.apply(&[check, template("bad", "vector(0)")]).await;
    let app = App::canary(2, json!([step("check"), {"setWeight": 50}, {"pause": {}}]))
        .spec(json!({"analysis": {"successfulRunHistoryLimit": 0}}));
    world.deploy(&app).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    let name = world.step_experiment().await;
    world
        .experiment(&name, "both versions are available", |status| {
            status["phase"] == "Running"
        })
        .await;
    let rollout = world.rollout().await;
    let pods = world.experiment_pods().await;
    let images: Vec<&Value> = pods
        .iter()
        .map(|pod| &pod["spec"]["containers"][0]["image"])
        .collect();
    assert!(
        images.len() == 2 && images.contains(&&json!("demo:v1")),
        "{images:?}"
    );
    // They have the labels of the Rollout's pods, and the live Services are pinned to other hashes.
    for pod in &pods {
        let labels = &pod["metadata"]["labels"];
        let hash = labels["tidegate.dev/pod-template-hash"].as_str().unwrap();
        assert_eq!(labels["app"], "demo");
        assert!(
            hash != rollout.stable() && hash != rollout.declared(),
            "{hash}"
        );
    }
    // An autoscaler does not measure them.
    let selector = rollout.at("/status/selector").as_str().unwrap();
    assert!(
        selector.ends_with(",!tidegate.dev/experiment-name"),
        "{selector}"
    );
    world.paused_at(2).await;
    world.no_experiment_pods().await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    eventually(SOON, "the finished Experiment is not kept", || async {
        let left = world.list("experiments").await.len();
        if left == 0 {
            Ok(())
        } else {
            Err(left.to_string())
        }
    })
    .await;

    let steps = json!({"spec": {"strategy": {"canary": {"steps": [step("bad")]}}}});
    world.patch("rollouts", "demo", &steps).await;
    world.set_image("demo:v3").await;
    let rollout = world.aborted().await;
    let cause = rollout.abort_cause();
    assert!(
        cause.starts_with("Experiment demo-") && cause.contains(" is Failed: AnalysisRun "),
        "{cause}"
    );
    world.no_experiment_pods().await;
    let told = world.told().await;
    for reason in [
        "ExperimentCreated",
        "ExperimentSuccessful",
        "ExperimentFailed",
    ] {
        assert!(
            told.iter().any(|(found, _)| found == reason),
            "{reason} in {told:?}"
        );
    }
    none_lost(load).await;
}

#[tokio::test]
async fn what_is_given_up_ends_its_experiment_and_takes_it_along_when_it_is_deleted() {
    let world = World::new("experiment-ends").await;
    let _controller = world.controller().await;
    let mut step = step("check");
    step["experiment"]["duration"] = json!("1h");
    step["experiment"]["analyses"] = json!([]);
    let app = App::canary(1, json!([step]));
    world.deploy(&app).await;
    world.set_image("demo:v2").await;
    let name = world.step_experiment().await;
    world
        .experiment(&name, "it runs", |status| status["phase"] == "Running")
        .await;
    world.ask(&["abort", "demo"]).await;
    let ended = world
        .experiment(&name, "it has ended", |status| {
            !status["completedAt"].is_null()
        })
        .await;
    assert_eq!(ended["spec"]["terminate"], true);
    assert_eq!(ended["status"]["phase"], "Inconclusive");
    world.no_experiment_pods().await;
    assert!(
        world
            .get("services", &format!("{name}-candidate"))
            .await
            .is_none()
    );

    world.delete("rollouts", "demo").await;
    eventually(SOON, "nothing is left of it", || async {
        let experiments = world.list("experiments").await.len();
        let sets = world.list("replicasets").await.len();
        if experiments + sets == 0 {
            Ok(())
        } else {
            Err(format!("{experiments} {sets}"))
        }
    })
    .await;
}
