//! The stories.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidegate::{
    analysis::judge::MetricValue,
    sim::world::{Entry, Nature},
};

use super::manifests;
use crate::sim::{
    process::Answers,
    run::{Beat, Get, Scenario, Stage},
};

/// How long a controller that is there may take.
const AT_ONCE: Duration = Duration::from_secs(3);
/// The lease of a dead leader runs out first.
const AFTER_AN_ELECTION: Duration = Duration::from_secs(25);

fn share_of_errors(share: f64) -> Answers {
    Arc::new(move |_| Ok(MetricValue::Vector(vec![share])))
}

fn routed(name: &'static str, story: Vec<Beat>) -> Scenario {
    Scenario {
        name,
        // A pod ends as soon as it is told to: with a router nothing may be on its way to it then.
        nature: Nature {
            grace: Duration::ZERO,
            bring_back: AT_ONCE,
            entry: Entry::Ingress("web".to_owned()),
        },
        elect: false,
        answers: share_of_errors(0.0),
        story: [deployed(), story].concat(),
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
fn deployed() -> Vec<Beat> {
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

fn apply(stage: &Stage, strategy: &Value) {
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(manifests::ingress("web-stable"));
    stage.create(manifests::template("errors"));
    stage.create(manifests::template("after"));
    stage.create(manifests::with_strategy(5, "web:1", strategy));
}

fn serves(get: Get<'_>) -> bool {
    get("endpointslices/web-stable-slice")["endpoints"]
        .as_array()
        .is_some_and(|all| {
            all.len() == 5 && all.iter().all(|one| one["conditions"]["ready"] == true)
        })
}

/// The first version behind an active and a preview Service, and requests come in.
fn deployed_blue_green() -> Vec<Beat> {
    let mut story = deployed();
    story[0] = Beat::Do(|stage| {
        let strategy = json!({"blueGreen": {
            "activeService": "web-stable", "previewService": "web-canary",
            "previewReplicaCount": 2, "autoPromotionSeconds": 5,
            "scaleDownDelaySeconds": 10, "abortScaleDownDelaySeconds": 10,
            "prePromotionAnalysis": {"templates": [{"templateName": "errors"}]},
            "postPromotionAnalysis": {"templates": [{"templateName": "after"}]},
        }});
        apply(stage, &strategy);
    });
    story
}

/// A preview, its proof, the switch, and its proof.
pub(super) fn blue_green() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the pause before the switch", |get| {
            get("rollouts/web")["status"]["message"] == "BlueGreenPause"
        }),
        Beat::Until("the second version", is_healthy),
    ];
    Scenario {
        story: [deployed_blue_green(), story].concat(),
        ..routed("blue-green", Vec::new())
    }
}

/// The proof after the switch is bad, and everything goes back.
pub(super) fn blue_green_back() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the abort", |get| {
            get("rollouts/web")["status"]["abort"] == true
        }),
        Beat::Until("the first version to serve again", |get| {
            let status = &get("rollouts/web")["status"];
            status["blueGreen"]["activeSelector"] == status["stableRS"]
        }),
    ];
    Scenario {
        answers: Arc::new(|query| {
            let share = if query == "after" { 0.5 } else { 0.0 };
            Ok(MetricValue::Vector(vec![share]))
        }),
        story: [deployed_blue_green(), story].concat(),
        ..routed("blue-green, switched back", Vec::new())
    }
}

fn second_version(stage: &Stage) {
    stage.patch("rollouts", "web", &manifests::image("web:2"));
}

fn is_healthy(get: Get<'_>) -> bool {
    let rollout = get("rollouts/web");
    rollout["status"]["phase"] == "Healthy"
        && rollout["status"]["observedGeneration"] == rollout["metadata"]["generation"]
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
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Until("the second version", is_healthy),
    ];
    routed("canary", story)
}

/// An analysis in mid-canary says no.
pub(super) fn failed_analysis() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the abort", |get| {
            get("rollouts/web")["status"]["abort"] == true
        }),
        Beat::Until("the end of the weight", |get| weight(get) == 0),
    ];
    Scenario {
        answers: share_of_errors(0.5),
        ..routed("failed analysis", story)
    }
}

/// All traffic is on the second version for a while before it becomes the stable one.
fn baking(name: &'static str, error_share: f64, story: Vec<Beat>) -> Scenario {
    let mut scenario = routed(name, Vec::new());
    scenario.story[0] = Beat::Do(|stage| {
        let mut strategy = strategy();
        strategy["steps"] = json!([{"setWeight": 40}]);
        strategy["bake"] =
            json!({"duration": "15s", "analysis": {"templates": [{"templateName": "after"}]}});
        apply(stage, &json!({ "canary": strategy }));
    });
    Scenario {
        answers: share_of_errors(error_share),
        story: [scenario.story, story].concat(),
        ..scenario
    }
}

/// A bake that ends well.
pub(super) fn bake() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the bake", |get| {
            get("rollouts/web")["status"]["bake"]["startedAt"].is_string()
        }),
        Beat::Until("the second version", is_healthy),
    ];
    baking("bake", 0.0, story)
}

/// A bake whose analysis says no: everything goes back.
pub(super) fn bake_back() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the abort", |get| {
            get("rollouts/web")["status"]["abort"] == true
        }),
        Beat::Until("the end of the weight", |get| weight(get) == 0),
    ];
    baking("bake, gone back", 0.5, story)
}

/// The stable version shrinks with its traffic, and an abort gives it its pods back.
pub(super) fn dynamic_abort() -> Scenario {
    let mut scenario = requested_abort();
    scenario.name = "abort with dynamicStableScale";
    scenario.story[0] = Beat::Do(|stage| {
        let mut strategy = strategy();
        strategy["dynamicStableScale"] = json!(true);
        if let Some(fields) = strategy.as_object_mut() {
            fields.remove("scaleDownDelaySeconds");
        }
        apply(stage, &json!({ "canary": strategy }));
    });
    scenario
}

/// A person aborts in mid-canary.
pub(super) fn requested_abort() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Do(|stage| {
            let request = json!({"id": "one", "verb": "abort", "by": "somebody"}).to_string();
            let patch = json!({"metadata": {"annotations": {"tidegate.dev/request": request}}});
            stage.patch("rollouts", "web", &patch);
        }),
        Beat::Until("the answer", |get| {
            get("rollouts/web")["status"]["lastHandledRequest"]["id"] == "one"
        }),
        Beat::Until("the end of the weight", |get| weight(get) == 0),
    ];
    routed("abort by request", story)
}

/// The same under leader election: a new process leads only when the lease of the dead one has run out.
pub(super) fn abort_under_election() -> Scenario {
    let scenario = requested_abort();
    Scenario {
        name: "abort under leader election",
        elect: true,
        nature: Nature {
            bring_back: AFTER_AN_ELECTION,
            ..scenario.nature
        },
        ..scenario
    }
}

/// A third version comes while the second has half of the traffic.
pub(super) fn overtaken() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the analysis at half of the traffic", |get| {
            get("rollouts/web")["status"]["canary"]["currentStepAnalysisRunStatus"]["status"]
                == "Running"
        }),
        Beat::Do(|stage| stage.patch("rollouts", "web", &manifests::image("web:3"))),
        Beat::Until("the weight to go back", |get| weight(get) == 0),
        Beat::Until("the third version", is_healthy),
    ];
    routed("new revision in mid-flight", story)
}

/// Both versions side by side before the second one gets half of the traffic.
fn experiment() -> Scenario {
    let story = vec![
        Beat::Do(|stage| {
            let step = json!({
                "duration": "10s", "scaleDownDelaySeconds": 5,
                "templates": [
                    {"name": "baseline", "specRef": "stable"},
                    {"name": "candidate", "specRef": "canary", "replicas": 2, "service": {}},
                ],
                "analyses": [
                    {"name": "errors", "templateName": "errors", "requiredForCompletion": true},
                    {"name": "after", "templateName": "after"},
                ],
            });
            let mut strategy = strategy();
            strategy["steps"] = json!([
                {"setWeight": 20}, {"experiment": step}, {"setWeight": 50}, {"pause": {"duration": 5}},
            ]);
            let ports = json!([{"containerPort": 8080}]);
            let container = json!({"name": "web", "image": "web:2", "ports": ports});
            let patch = json!({"spec": {
                "strategy": {"canary": strategy},
                "template": {"spec": {"containers": [container]}},
            }});
            stage.patch("rollouts", "web", &patch);
        }),
        Beat::Until("the Experiment", |get| {
            get("rollouts/web")["status"]["canary"]["currentExperiment"].is_string()
        }),
    ];
    routed("experiment step", story)
}

/// An Experiment to its good end.
pub(super) fn good_experiment() -> Scenario {
    let mut scenario = experiment();
    scenario
        .story
        .push(Beat::Until("the second version", is_healthy));
    scenario
}

/// What the Experiment finds is bad, and the version is given up.
pub(super) fn failed_experiment() -> Scenario {
    let mut scenario = experiment();
    scenario.story.push(Beat::Until("the abort", |get| {
        get("rollouts/web")["status"]["abort"] == true
    }));
    Scenario {
        name: "failed experiment",
        answers: Arc::new(|query| {
            let share = if query == "errors" { 0.5 } else { 0.0 };
            Ok(MetricValue::Vector(vec![share]))
        }),
        ..scenario
    }
}

/// A canary whose weights are numbers of pods behind one Service.
pub(super) fn pod_ratio() -> Scenario {
    let story = vec![
        Beat::Do(|stage| {
            stage.create(manifests::service("web"));
            let canary = json!({
                "maxSurge": 1, "maxUnavailable": 0,
                "steps": [{"setWeight": 25}, {"pause": {"duration": 5}}, {"setWeight": 75}, {"pause": {"duration": 5}}],
            });
            stage.create(manifests::rollout(4, "web:1", &canary));
        }),
        Beat::Until("the first version", is_healthy),
        Beat::Pause(Duration::from_secs(2)),
        Beat::Do(Stage::open_traffic),
        Beat::Do(second_version),
        Beat::Until("the update to begin", |get| !is_healthy(get)),
        Beat::Until("the second version", is_healthy),
    ];
    Scenario {
        name: "canary without a router",
        // Without a router endpoints are all there is: a pod has to serve until everybody knows that it goes.
        nature: Nature {
            grace: Duration::from_secs(3),
            bring_back: AT_ONCE,
            entry: Entry::Service("web".to_owned()),
        },
        elect: false,
        answers: share_of_errors(0.0),
        story,
    }
}
