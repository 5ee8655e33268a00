//! Canaries with an Experiment among their steps.

use std::sync::Arc;

use serde_json::json;
use tidegate::analysis::judge::MetricValue;

use super::{is_healthy, routed, strategy};
use crate::sim::run::{Beat, Scenario};

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
pub(in crate::sim) fn good_experiment() -> Scenario {
    let mut scenario = experiment();
    scenario
        .story
        .push(Beat::Until("the second version", is_healthy));
    scenario
}

/// What the Experiment finds is bad, and the version is given up.
pub(in crate::sim) fn failed_experiment() -> Scenario {
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
