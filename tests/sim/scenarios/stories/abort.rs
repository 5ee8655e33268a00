//! Canaries that a person gives up.

use std::time::Duration;

use serde_json::json;
use tidegate::sim::world::Nature;

use super::{apply, ask, is_answered, routed, second_version, strategy, weight};
use crate::sim::run::{Beat, Scenario};

/// The lease of a dead leader runs out first.
const AFTER_AN_ELECTION: Duration = Duration::from_secs(25);

/// The stable version shrinks with its traffic, and an abort gives it its pods back.
pub(in crate::sim) fn dynamic_abort() -> Scenario {
    let mut scenario = requested_abort();
    scenario.name = "abort with dynamicStableScale";
    // Pods of a version that shrinks have users: who takes them away at once loses requests, whoever asks.
    scenario.nature.grace = Duration::from_secs(3);
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
pub(in crate::sim) fn requested_abort() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Do(|stage| ask(stage, "abort")),
        Beat::Until("the answer", is_answered),
        Beat::Until("the end of the weight", |get| weight(get) == 0),
    ];
    routed("abort by request", story)
}

/// The same under leader election: a new process leads only when the lease of the dead one has run out.
pub(in crate::sim) fn abort_under_election() -> Scenario {
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
