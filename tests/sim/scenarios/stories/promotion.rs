//! Canaries that a person takes to their end at once.

use super::{ask, is_answered, is_healthy, routed, second_version, weight};
use crate::sim::run::{Beat, Scenario};

/// A person skips all that is left of the steps.
pub(in crate::sim) fn promote_full() -> Scenario {
    let story = vec![
        Beat::Do(second_version),
        Beat::Until("the first weight", |get| weight(get) == 20),
        Beat::Do(|stage| ask(stage, "promote-full")),
        Beat::Until("the answer", is_answered),
        Beat::Until("the second version", is_healthy),
    ];
    routed("promote-full", story)
}
