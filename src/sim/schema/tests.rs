use serde_json::{Value, json};

use super::{Definition, Definitions, message, of};
use crate::{
    api::names::{ApiNames, Conventions, Kind},
    sim::resources,
};

fn ours(kind: Kind) -> &'static Definition {
    of(resources::named(Conventions::Tidegate, kind.plural())).expect("a definition")
}

fn rollout(change: &Value) -> Value {
    let mut rollout = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:v1"}]}},
            "strategy": {"canary": {"steps": [{"setWeight": 5}, {"pause": {}}]}},
        },
    });
    json_patch::merge(&mut rollout, change);
    rollout
}

fn said(change: &Value, old: Option<&Value>) -> Vec<String> {
    let mut object = rollout(change);
    let definition = ours(Kind::Rollout);
    definition.admit(&mut object);
    let complaints = definition.validate(&object, old);
    complaints.iter().map(ToString::to_string).collect()
}

#[test]
fn the_definitions_of_both_groups_can_be_judged_by() {
    for names in [ApiNames::default(), ApiNames::argo_rollouts()] {
        let made = Definitions::new(&names).map(drop);
        assert!(made.is_ok(), "{made:?}");
    }
}

#[test]
fn what_is_wrong_is_told_in_the_servers_words() {
    let unchecked = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; \
                     correct the existing errors to complete validation";
    let rows: [(Value, &[&str]); 8] = [
        (json!({}), &[]),
        (
            json!({"spec": {"strategy": {"canary": null}}}),
            &["spec.strategy: Invalid value: set exactly one of canary and blueGreen"],
        ),
        (
            json!({"spec": {"minReadySeconds": 600}}),
            &[
                "spec: Invalid value: set progressDeadlineSeconds (600 when absent) higher than minReadySeconds, or no update can succeed",
            ],
        ),
        (
            json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 101}]}}}}),
            &[
                "spec.strategy.canary: Invalid value: setWeight must not be above trafficRouting.maxTrafficWeight (100 when absent)",
            ],
        ),
        (
            json!({"spec": {"replicas": -1}}),
            &[
                "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
            ],
        ),
        (
            json!({"spec": {"replicas": "three"}}),
            &[
                "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
                unchecked,
            ],
        ),
        (json!({"spec": null}), &["spec: Required value", unchecked]),
        (
            json!({"status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z", "lastUpdateTime": "2026-01-02T03:04:05Z"},
                {"type": "Ready", "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z", "lastUpdateTime": "2026-01-02T03:04:05Z"},
            ]}}),
            &["status.conditions[1]: Duplicate value: {\"type\":\"Ready\"}"],
        ),
    ];
    for (change, expected) in rows {
        assert_eq!(said(&change, None), expected, "{change}");
    }
}

#[test]
fn what_is_as_it_was_is_not_complained_about_but_for_rules_that_compare() {
    let bad = json!({"spec": {"minReadySeconds": 600}});
    let changed = json!({"spec": {"selector": {"matchLabels": {"tier": null}}}});
    let old = rollout(&json!({"spec": {"replicas": 1, "minReadySeconds": 600}}));
    let other =
        rollout(&json!({"spec": {"replicas": 1, "selector": {"matchLabels": {"tier": "web"}}}}));
    let outcomes = [said(&bad, Some(&old)), said(&changed, Some(&other))];
    let refused = "spec: Invalid value: selector cannot be changed; create a Rollout with another name and delete this one once the new one serves";
    assert_eq!(outcomes, [vec![], vec![refused.to_owned()]]);
}

#[test]
fn unknown_fields_and_nulls_go_and_defaults_come() {
    let mut object = rollout(&json!({"extra": 1, "spec": {"stepz": [], "replicas": null}}));
    object["spec"]["paused"] = Value::Null;
    let unknown = ours(Kind::Rollout).admit(&mut object);
    let spec = &object["spec"];
    let left = [spec.get("stepz"), object.get("extra"), spec.get("paused")];
    assert_eq!(
        (unknown, left, &spec["replicas"]),
        (
            vec!["extra".to_owned(), "spec.stepz".to_owned()],
            [None; 3],
            &json!(1)
        )
    );
}

#[test]
fn several_complaints_are_told_in_one_message() {
    let definition = ours(Kind::AnalysisTemplate);
    let complaints = definition.validate(&json!({"spec": {"metrics": [{}]}}), None);
    let said = message("AnalysisTemplate", "tidegate.dev", "errors", &complaints);
    assert!(
        said.starts_with("AnalysisTemplate.tidegate.dev \"errors\" is invalid: [spec.metrics[0].name: Required value, "),
        "{said}"
    );
}
