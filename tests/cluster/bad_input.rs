//! What cannot be meant is refused by kubectl, in words that say what to do; what runs is not touched by it.

use serde_json::{Value, json};

use super::{
    harness::{App, World},
    kubectl::kubectl,
};

/// Merge patches on a good `spec.strategy.canary`, and what must be said about each.
fn everything_bad() -> Vec<(Value, &'static str)> {
    let canary = |change: Value| json!({"canary": change});
    let steps = |steps: Value| canary(json!({"steps": steps}));
    let routing = |max: i32| json!({"nginx": {"stableIngress": "demo"}, "maxTrafficWeight": max});
    vec![
        (
            canary(json!({"stepz": []})),
            r#"unknown field "spec.strategy.canary.stepz""#,
        ),
        (
            steps(json!([{"setWieght": 10}])),
            r#"unknown field "spec.strategy.canary.steps[0].setWieght""#,
        ),
        (
            json!({"canary": null}),
            "set exactly one of canary and blueGreen",
        ),
        (
            json!({"blueGreen": {"activeService": "demo-stable"}}),
            "set exactly one of canary and blueGreen",
        ),
        (
            steps(json!([{"setWeight": -1}])),
            "spec.strategy.canary.steps[0].setWeight in body should be greater than or equal to 0",
        ),
        (
            steps(json!([{"setWeight": 101}])),
            "setWeight must not be above trafficRouting.maxTrafficWeight (100 when absent)",
        ),
        (
            canary(json!({"trafficRouting": routing(1000), "steps": [{"setWeight": 1001}]})),
            "setWeight must not be above trafficRouting.maxTrafficWeight",
        ),
        (
            steps(json!([{"setWeight": 10, "pause": {}}])),
            "set exactly one of setWeight",
        ),
        (steps(json!([{}])), "set exactly one of setWeight"),
        (
            canary(json!({"canaryService": "demo-stable"})),
            "are the same",
        ),
    ]
}

#[tokio::test]
async fn kubectl_refuses_what_cannot_be_meant_and_what_runs_goes_on() {
    let world = World::new("bad-input").await;
    let _controller = world.controller().await;
    let app = App::canary(1, json!([{"setWeight": 50}]));
    let before = world.deploy(&app).await;
    for (change, expected) in everything_bad() {
        let mut manifest = app.rollout();
        json_patch::merge(&mut manifest["spec"]["strategy"], &change);
        let said = world.try_apply(&[manifest]).await;
        assert!(
            !said.ok && said.stderr.contains(expected),
            "{change}: {said:?}"
        );
    }
    let after = world.rollout().await;
    assert_eq!(after.at("/spec"), before.at("/spec"));
    assert_eq!(after.phase(), "Healthy");
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_refused_by_a_server_side_apply_too() {
    let world = World::new("bad-input-ssa").await;
    let mut manifest = App::canary(1, json!([])).rollout();
    manifest["spec"]["strategy"]["canary"]["stepz"] = json!([]);
    let args = ["-n", "bad-input-ssa", "apply", "--server-side", "-f", "-"];
    let said = kubectl(world.testbed(), &args, &manifest.to_string()).await;
    assert!(
        !said.ok && said.stderr.contains(".spec.strategy.canary.stepz"),
        "{said:?}"
    );
    assert!(world.get("rollouts", "demo").await.is_none());
}
