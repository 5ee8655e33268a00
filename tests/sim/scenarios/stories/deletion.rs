//! Rollouts that are deleted in mid-canary.

use super::{routed, second_version, weight};
use crate::sim::run::{Beat, Get, Same, Scenario, Stage};

fn is_put_back(get: Get<'_>) -> bool {
    let ours = |name: &str| {
        let service = get(name);
        let selected = !service["spec"]["selector"]["tidegate.dev/pod-template-hash"].is_null();
        selected || !service["metadata"]["labels"]["tidegate.dev/managed-by-rollout"].is_null()
    };
    get("ingresses/web-web-canary").is_null()
        && !ours("services/web-stable")
        && !ours("services/web-canary")
}

/// With all its pods: the Services and the Ingress are as they were before.
pub(in crate::sim) fn whole() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Do(Stage::close_traffic),
        Beat::Do(|stage| stage.delete("rollouts", "web", "Background")),
        Beat::Until("everything to be put back", is_put_back),
    ];
    Scenario {
        // The garbage collector deletes as the controller does: whoever comes first.
        same: Same::End,
        ..routed("deletion", story)
    }
}

/// The pods stay, and the stable version serves alone.
pub(in crate::sim) fn orphans() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Do(|stage| stage.delete("rollouts", "web", "Orphan")),
        Beat::Until("the end of the weight", |get| {
            get("ingresses/web-web-canary").is_null()
        }),
    ];
    routed("deletion with orphans", story)
}
