//! What the controllers of a route's Gateways say about its generation.
//!
//! Necessary, not sufficient: there is no condition that says that a proxy runs with it.

use serde_json::Value;

use super::list;

/// What is missing for the weights to count as live.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// What is waited for until the weights are known to be live.
    pub(super) unconfirmed: Option<String>,
    /// What has to change before traffic may move.
    pub(super) refused: Option<String>,
}

/// Every controller that reports has to have accepted the route as it is.
pub(super) fn of(shown: &str, route: &Value) -> Acceptance {
    let parents = list(route, "/status/parents");
    if parents.is_empty() {
        let why = format!(
            "{shown} to be accepted by a Gateway: nobody has reported in its status.parents"
        );
        return Acceptance {
            unconfirmed: Some(why.clone()),
            refused: Some(why),
        };
    }
    let generation = route
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let mut acceptance = Acceptance::default();
    for parent in parents {
        let accepted = verdict(shown, parent, "Accepted", generation);
        let resolved = verdict(shown, parent, "ResolvedRefs", generation);
        let (unconfirmed, refused) = match (accepted, resolved) {
            (Verdict::Refused(why), _) => (Some(why.clone()), Some(why)),
            // The weights are live all the same; what cannot be resolved answers with errors.
            (Verdict::Holds, Verdict::Refused(why)) => (None, Some(why)),
            (Verdict::NotYet(why), Verdict::Refused(why_not)) => (Some(why), Some(why_not)),
            (Verdict::NotYet(why), Verdict::Holds | Verdict::NotYet(_))
            | (Verdict::Holds, Verdict::NotYet(why)) => (Some(why), None),
            (Verdict::Holds, Verdict::Holds) => (None, None),
        };
        acceptance.unconfirmed = acceptance.unconfirmed.or(unconfirmed);
        acceptance.refused = acceptance.refused.or(refused);
    }
    acceptance
}

enum Verdict {
    Holds,
    /// Nothing was said about this generation.
    NotYet(String),
    Refused(String),
}

fn verdict(shown: &str, parent: &Value, type_: &str, generation: i64) -> Verdict {
    let text = |value: &Value, pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let gateway = text(parent, "/parentRef/name");
    let controller = text(parent, "/controllerName");
    let conditions = list(parent, "/conditions");
    let condition = conditions
        .iter()
        .find(|condition| condition["type"] == type_);
    let observed = condition.and_then(|condition| condition["observedGeneration"].as_i64());
    match condition {
        Some(condition) if observed.is_some_and(|observed| observed >= generation) => {
            if condition["status"] == "True" {
                return Verdict::Holds;
            }
            Verdict::Refused(format!(
                "{shown} to be right for {gateway}: {controller} says {type_}={} ({}) {}",
                text(condition, "/status"),
                text(condition, "/reason"),
                text(condition, "/message"),
            ))
        }
        Some(_) | None => Verdict::NotYet(format!(
            "{shown} to be {} for {gateway} by {controller} at generation {generation}",
            if type_ == "Accepted" {
                "accepted"
            } else {
                "resolved"
            }
        )),
    }
}
