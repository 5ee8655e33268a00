use serde_json::{Value, json};

use super::*;
use crate::api::{names::ApiNames, object::CachedObject};

fn rollout(request: Option<Value>, handled: Option<&str>) -> Rollout {
    let names = ApiNames::default();
    let mut object = json!({
        "metadata": { "name": "demo", "namespace": "shop", "generation": 1 },
        "spec": { "strategy": { "canary": {} } },
        "status": { "currentPodHash": "new", "stableRS": "old", "currentStepIndex": 2 },
    });
    if let Some(request) = request {
        object["metadata"]["annotations"] = json!({ names.request.as_str(): request.to_string() });
    }
    if let Some(id) = handled {
        object["status"]["lastHandledRequest"] = json!({
            "id": id, "verb": "abort", "accepted": true, "message": "done", "at": "2026-01-01T00:00:00Z",
        });
    }
    Rollout::read(&names, &CachedObject::new(object)).unwrap()
}

fn pending(verb: &str) -> Option<Value> {
    Some(json!({ "id": "1", "verb": verb, "by": "ann" }))
}

#[test]
fn a_request_names_the_revision_and_step_that_were_seen() {
    let wish = wish(&rollout(None, None), Verb::Promote, Some("bob".to_owned()));
    let text = json!(wish);
    assert_eq!(
        (&text["verb"], &text["revision"], &text["step"], &text["by"]),
        (&json!("promote"), &json!("new"), &json!(2), &json!("bob"))
    );
}

#[test]
fn two_requests_have_different_ids() {
    let rollout = rollout(None, None);
    let ids = [(); 2].map(|()| wish(&rollout, Verb::Abort, None).id);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn what_an_unhandled_request_does_to_a_new_one() {
    for (pending_verb, new, expected) in [
        ("abort", Verb::Promote, "refused"),
        ("abort", Verb::PromoteFull, "refused"),
        ("abort", Verb::Retry, "refused"),
        ("abort", Verb::Abort, "joined"),
        ("promote", Verb::Abort, "written"),
        ("promote", Verb::Promote, "written"),
        ("retry", Verb::Promote, "written"),
    ] {
        let rollout = rollout(pending(pending_verb), None);
        let outcome = match check(&rollout, &wish(&rollout, new, None)) {
            Ok(None) => "written",
            Ok(Some(_)) => "joined",
            Err(CliError::AbortPending { .. }) => "refused",
            Err(other) => panic!("{other}"),
        };
        assert_eq!(outcome, expected, "{} over {pending_verb}", new.name());
    }
}

#[test]
fn a_handled_abort_is_in_nobodys_way() {
    let rollout = rollout(pending("abort"), Some("1"));
    let outcome = check(&rollout, &wish(&rollout, Verb::Retry, None)).unwrap();
    assert_eq!(outcome, None);
}

#[test]
fn a_request_does_not_reach_a_step_that_was_not_seen() {
    let seen = rollout(None, None);
    let wish = wish(&seen, Verb::Promote, None);
    let mut now = seen;
    now.status.current_step_index = Some(3);
    let refused = check(&now, &wish).unwrap_err().to_string();
    assert!(
        refused.contains("it was at revision new, step 2, now at revision new, step 3"),
        "{refused}"
    );
}

#[test]
fn an_answer_is_the_one_with_the_requests_id() {
    let waiting = rollout(pending("abort"), Some("0"));
    assert_eq!(answer(&waiting, Verb::Abort, "1").unwrap(), None);
    let answered = rollout(pending("abort"), Some("1"));
    assert_eq!(
        answer(&answered, Verb::Abort, "1")
            .unwrap()
            .unwrap()
            .message,
        "done"
    );
}

#[test]
fn a_request_that_another_one_replaced_is_not_waited_for() {
    let replaced = answer(&rollout(pending("retry"), None), Verb::Promote, "0").unwrap_err();
    assert!(matches!(replaced, CliError::Replaced { .. }), "{replaced}");
}
