//! The stories.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidegate::analysis::judge::MetricValue;

use super::manifests;
use crate::sim::{
    process::Answers,
    run::{Scenario, Stage, Stuck},
    world::{Entry, Nature},
};

type Get<'a> = &'a dyn Fn(&str) -> Value;

fn share_of_errors(share: f64) -> Answers {
    Arc::new(move |_| Ok(MetricValue::Vector(vec![share])))
}

fn routed(
    name: &'static str,
    drive: fn(Stage) -> futures::future::BoxFuture<'static, Result<(), Stuck>>,
) -> Scenario {
    Scenario {
        name,
        // A pod ends as soon as it is told to: with a router nothing may be on its way to it then.
        nature: Nature {
            grace: Duration::ZERO,
            entry: Entry::Ingress("web"),
        },
        elect: false,
        answers: share_of_errors(0.0),
        drive,
    }
}

fn strategy() -> Value {
    json!({
        "stableService": "web-stable", "canaryService": "web-canary",
        "trafficRouting": {"nginx": {"stableIngress": "web"}},
        "scaleDownDelaySeconds": 10, "abortScaleDownDelaySeconds": 10,
        "steps": [
            {"setWeight": 20}, {"pause": {"duration": "10s"}},
            {"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}},
            {"setWeight": 80}, {"pause": {"duration": 5}},
        ],
    })
}

/// The first version is there, and requests come in.
async fn deployed(stage: &Stage) -> Result<(), Stuck> {
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(manifests::ingress("web-stable"));
    stage.create(manifests::template());
    stage.create(manifests::rollout(5, "web:1", &strategy()));
    healthy(stage, "the first version").await?;
    stage
        .until("endpoints of the stable Service", |get| {
            get("endpointslices/web-stable-slice")["endpoints"]
                .as_array()
                .is_some_and(|all| {
                    all.len() == 5 && all.iter().all(|one| one["conditions"]["ready"] == true)
                })
        })
        .await?;
    // A proxy may be a second behind.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.open_traffic();
    Ok(())
}

fn is_healthy(get: Get<'_>) -> bool {
    let rollout = get("rollouts/web");
    rollout["status"]["phase"] == "Healthy"
        && rollout["status"]["observedGeneration"] == rollout["metadata"]["generation"]
}

async fn healthy(stage: &Stage, what: &str) -> Result<(), Stuck> {
    stage.until(what, is_healthy).await
}

fn weight(get: Get<'_>) -> i64 {
    get("ingresses/web-web-canary")["metadata"]["annotations"]
        ["nginx.ingress.kubernetes.io/canary-weight"]
        .as_str()
        .and_then(|weight| weight.parse().ok())
        .unwrap_or(0)
}

/// A canary through all its steps.
pub(super) fn canary() -> Scenario {
    routed("canary", |stage| {
        Box::pin(async move {
            deployed(&stage).await?;
            stage.patch("rollouts", "web", &manifests::image("web:2"));
            stage
                .until("the first weight", |get| weight(get) == 20)
                .await?;
            healthy(&stage, "the second version").await
        })
    })
}

/// An analysis in mid-canary says no.
pub(super) fn failed_analysis() -> Scenario {
    let scenario = routed("failed analysis", |stage| {
        Box::pin(async move {
            deployed(&stage).await?;
            stage.patch("rollouts", "web", &manifests::image("web:2"));
            stage
                .until("the abort", |get| {
                    get("rollouts/web")["status"]["abort"] == true
                })
                .await?;
            stage
                .until("the end of the weight", |get| weight(get) == 0)
                .await
        })
    });
    Scenario {
        answers: share_of_errors(0.5),
        ..scenario
    }
}

/// A person aborts in mid-canary.
pub(super) fn requested_abort() -> Scenario {
    routed("abort by request", |stage| {
        Box::pin(async move {
            deployed(&stage).await?;
            stage.patch("rollouts", "web", &manifests::image("web:2"));
            stage
                .until("the first weight", |get| weight(get) == 20)
                .await?;
            let request = json!({"id": "one", "verb": "abort", "by": "somebody"}).to_string();
            stage.patch(
                "rollouts",
                "web",
                &json!({"metadata": {"annotations": {"tidegate.dev/request": request}}}),
            );
            stage
                .until("the answer", |get| {
                    get("rollouts/web")["status"]["lastHandledRequest"]["id"] == "one"
                })
                .await?;
            stage
                .until("the end of the weight", |get| weight(get) == 0)
                .await
        })
    })
}

/// A third version comes while the second has half of the traffic.
pub(super) fn overtaken() -> Scenario {
    routed("new revision in mid-flight", |stage| {
        Box::pin(async move {
            deployed(&stage).await?;
            stage.patch("rollouts", "web", &manifests::image("web:2"));
            stage
                .until("half of the traffic", |get| weight(get) == 50)
                .await?;
            stage.patch("rollouts", "web", &manifests::image("web:3"));
            stage
                .until("the weight to go back", |get| weight(get) == 0)
                .await?;
            healthy(&stage, "the third version").await
        })
    })
}

/// A canary whose weights are numbers of pods behind one Service.
pub(super) fn pod_ratio() -> Scenario {
    Scenario {
        name: "canary without a router",
        // Without a router endpoints are all there is: a pod has to serve until everybody knows that it goes.
        nature: Nature {
            grace: Duration::from_secs(3),
            entry: Entry::Service("web"),
        },
        elect: false,
        answers: share_of_errors(0.0),
        drive: |stage| {
            Box::pin(async move {
                stage.create(manifests::service("web"));
                let canary = json!({
                    "maxSurge": 1, "maxUnavailable": 0,
                    "steps": [{"setWeight": 25}, {"pause": {"duration": 5}}, {"setWeight": 75}, {"pause": {"duration": 5}}],
                });
                stage.create(manifests::rollout(4, "web:1", &canary));
                healthy(&stage, "the first version").await?;
                tokio::time::sleep(Duration::from_secs(2)).await;
                stage.open_traffic();
                stage.patch("rollouts", "web", &manifests::image("web:2"));
                stage
                    .until("the update to begin", |get| !is_healthy(get))
                    .await?;
                healthy(&stage, "the second version").await
            })
        },
    }
}
