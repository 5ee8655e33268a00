//! What happens in the scenarios, and what they have in common.

pub(super) mod abort;
pub(super) mod bake;
pub(super) mod blue_green;
pub(super) mod canary;
pub(super) mod deletion;
pub(super) mod elsewhere;
pub(super) mod experiment;
pub(super) mod interrupted;
pub(super) mod promotion;
pub(super) mod takeover;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidegate::{
    analysis::judge::MetricValue,
    sim::{
        actors::person,
        world::{Entry, Nature},
    },
};

use super::manifests;
use crate::sim::{
    process::Answers,
    run::{Beat, Get, Same, Scenario, Stage},
};

/// How long a controller that is there may take.
pub(super) const AT_ONCE: Duration = Duration::from_secs(3);

pub(super) fn share_of_errors(share: f64) -> Answers {
    Arc::new(move |_| Ok(MetricValue::Vector(vec![share])))
}

pub(super) fn routed(name: &'static str, story: Vec<Beat>) -> Scenario {
    Scenario {
        name,
        // A pod ends as soon as it is told to: with a router nothing may be on its way to it then.
        nature: Nature {
            grace: Duration::ZERO,
            bring_back: AT_ONCE,
            entry: Entry::Ingress("web".to_owned()),
            ..Nature::default()
        },
        elect: false,
        answers: share_of_errors(0.0),
        story: [deployed(), story].concat(),
        same: Same::Steps,
    }
}

/// The first version, and nothing more.
pub(in crate::sim) fn deployed_only() -> Scenario {
    routed("first deployment", Vec::new())
}

pub(super) fn strategy() -> Value {
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
pub(super) fn deployed() -> Vec<Beat> {
    vec![
        Beat::Do(|stage| {
            apply(stage, &json!({ "canary": strategy() }));
        }),
        Beat::Until("the first version", is_healthy),
        Beat::Until("endpoints of the stable Service", serves),
        // A proxy may be a second behind.
        Beat::Pause(Duration::from_secs(2)),
        Beat::Do(Stage::open_traffic),
    ]
}

pub(super) fn apply(stage: &Stage, strategy: &Value) {
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(manifests::ingress("web-stable"));
    stage.create(manifests::template("errors"));
    stage.create(manifests::template("after"));
    stage.create(manifests::with_strategy(5, "web:1", strategy));
}

pub(super) fn serves(get: Get<'_>) -> bool {
    get("endpointslices/web-stable-slice")["endpoints"]
        .as_array()
        .is_some_and(|all| {
            all.len() == 5 && all.iter().all(|one| one["conditions"]["ready"] == true)
        })
}

pub(super) fn second_version(stage: &Stage) {
    stage.patch("rollouts", "web", &manifests::image("web:2"));
}

/// As `kubectl tidegate` asks for something.
pub(super) fn ask(stage: &Stage, verb: &str) {
    let request = json!({"id": "one", "verb": verb, "by": "somebody"}).to_string();
    let patch = json!({"metadata": {"annotations": {"tidegate.dev/request": request}}});
    stage.patch("rollouts", "web", &patch);
}

pub(super) fn is_answered(get: Get<'_>) -> bool {
    get("rollouts/web")["status"]["lastHandledRequest"]["id"] == "one"
}

pub(super) fn is_healthy(get: Get<'_>) -> bool {
    let rollout = get("rollouts/web");
    rollout["status"]["phase"] == "Healthy" && person::is_up_to_date(&rollout)
}

pub(super) fn weight(get: Get<'_>) -> i64 {
    get("ingresses/web-web-canary")["metadata"]["annotations"]
        ["nginx.ingress.kubernetes.io/canary-weight"]
        .as_str()
        .and_then(|weight| weight.parse().ok())
        .unwrap_or(0)
}
