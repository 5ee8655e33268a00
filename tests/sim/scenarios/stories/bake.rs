//! All traffic on the new version for a while, before it becomes the stable one.

use serde_json::json;

use super::{apply, is_healthy, routed, second_version, share_of_errors, strategy, weight};
use crate::sim::run::{Beat, Scenario};

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
pub(in crate::sim) fn bake() -> Scenario {
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
pub(in crate::sim) fn bake_back() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the abort", |get| {
            get("rollouts/web")["status"]["abort"] == true
        }),
        Beat::Until("the end of the weight", |get| weight(get) == 0),
    ];
    baking("bake, gone back", 0.5, story)
}
