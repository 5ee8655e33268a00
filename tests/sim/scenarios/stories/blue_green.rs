//! Switches behind an active and a preview Service.

use std::sync::Arc;

use serde_json::json;
use tidegate::analysis::judge::MetricValue;

use super::{apply, deployed, is_healthy, routed, second_version};
use crate::sim::run::{Beat, Scenario};

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
pub(in crate::sim) fn blue_green() -> Scenario {
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
pub(in crate::sim) fn blue_green_back() -> Scenario {
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
