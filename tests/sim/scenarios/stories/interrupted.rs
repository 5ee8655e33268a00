//! Canaries into which somebody or something comes.

use std::time::Duration;

use serde_json::json;

use super::{apply, ask, is_answered, is_healthy, routed, second_version, strategy, weight};
use crate::sim::{
    run::{Beat, Get, Scenario, Stage},
    scenarios::manifests,
};

fn at_the_first_weight() -> Vec<Beat> {
    vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
    ]
}

/// More pods are declared in the first pause.
pub(in crate::sim) fn scaled() -> Scenario {
    let story = vec![
        Beat::Pause(Duration::from_secs(2)),
        Beat::Do(|stage| stage.patch("rollouts", "web", &json!({"spec": {"replicas": 8}}))),
        Beat::Until("the second version", is_healthy),
    ];
    routed(
        "scaled in mid-flight",
        [at_the_first_weight(), story].concat(),
    )
}

/// The canary Service is deleted in the first pause, and comes back some time after its end.
pub(in crate::sim) fn missing_service() -> Scenario {
    let is_told = |get: Get<'_>| {
        let conditions = get("rollouts/web")["status"]["conditions"].clone();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .any(|one| one["type"] == "ReferenceMissing" && one["status"] == "True")
    };
    let story = vec![
        // Whoever deletes a Service loses its requests.
        Beat::Do(Stage::close_traffic),
        Beat::Do(|stage| stage.delete("services", "web-canary", "Background")),
        Beat::Until("the missing Service to be told", is_told),
        Beat::Pause(Duration::from_secs(30)),
        Beat::Do(|stage| stage.create(manifests::service("web-canary"))),
        Beat::Until("the second version", is_healthy),
    ];
    routed(
        "Service missing in mid-flight",
        [at_the_first_weight(), story].concat(),
    )
}

/// What was given up is tried again, and is good.
pub(in crate::sim) fn retried() -> Scenario {
    let story = vec![
        Beat::Do(|stage| ask(stage, "abort")),
        Beat::Until("the answer", is_answered),
        Beat::Until("the end of the weight", |get| weight(get) == 0),
        Beat::Do(|stage| {
            let request = json!({"id": "two", "verb": "retry"}).to_string();
            let annotations = json!({"tidegate.dev/request": request});
            stage.patch(
                "rollouts",
                "web",
                &json!({"metadata": {"annotations": annotations}}),
            );
        }),
        Beat::Until("the second answer", |get| {
            get("rollouts/web")["status"]["lastHandledRequest"]["id"] == "two"
        }),
        Beat::Until("the second version", is_healthy),
    ];
    routed(
        "retry after an abort",
        [at_the_first_weight(), story].concat(),
    )
}

/// Pods that are never ready: the deadline passes, and nothing was sent to them.
pub(in crate::sim) fn never_ready() -> Scenario {
    let story = vec![
        Beat::Do(|stage| {
            let image = manifests::image("web:2-unready");
            stage.patch("rollouts", "web", &image);
        }),
        Beat::Until("the deadline", |get| {
            let status = get("rollouts/web")["status"].clone();
            let message = status["message"].as_str().unwrap_or_default();
            message.starts_with("ProgressDeadlineExceeded")
        }),
        // Nobody does anything for a while.
        Beat::Pause(Duration::from_secs(300)),
    ];
    let mut scenario = routed("pods that are never ready", story);
    scenario.story[0] = Beat::Do(|stage| {
        apply(stage, &json!({ "canary": strategy() }));
        stage.patch(
            "rollouts",
            "web",
            &json!({"spec": {"progressDeadlineSeconds": 20}}),
        );
    });
    scenario
}

/// A release that waits for a person for an hour, in a cluster where nothing else happens.
pub(in crate::sim) fn open_pause() -> Scenario {
    let mut scenario = routed(
        "open pause",
        vec![
            Beat::Do(second_version),
            Beat::Until("the pause", |get| {
                get("rollouts/web")["status"]["phase"] == "Paused"
            }),
            Beat::Pause(Duration::from_secs(3_600)),
            Beat::Do(|stage| ask(stage, "promote")),
            Beat::Until("the answer", is_answered),
            Beat::Until("the second version", is_healthy),
        ],
    );
    scenario.story[0] = Beat::Do(|stage| {
        let mut strategy = strategy();
        strategy["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
        strategy["analysis"] = json!({"templates": [{"templateName": "errors"}]});
        apply(stage, &json!({ "canary": strategy }));
    });
    scenario
}
