//! Canaries through their steps.

use std::time::Duration;

use serde_json::json;
use tidegate::sim::world::{Entry, Nature};

use super::{AT_ONCE, is_healthy, routed, second_version, share_of_errors, weight};
use crate::sim::{
    run::{Beat, Same, Scenario, Stage},
    scenarios::manifests,
};

/// A canary through all its steps.
pub(in crate::sim) fn canary() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Until("the second version", is_healthy),
    ];
    routed("canary", story)
}

/// An analysis in mid-canary says no.
pub(in crate::sim) fn failed_analysis() -> Scenario {
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

/// A third version comes while the second has half of the traffic.
pub(in crate::sim) fn overtaken() -> Scenario {
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

/// A canary whose weights are numbers of pods behind one Service.
pub(in crate::sim) fn pod_ratio() -> Scenario {
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
            ..Nature::default()
        },
        elect: false,
        answers: share_of_errors(0.0),
        story,
        same: Same::Steps,
    }
}
