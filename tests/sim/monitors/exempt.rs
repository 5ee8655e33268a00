//! Rules without a monitor, each with its reason. A test holds this list against the rules and the monitors.

use std::collections::BTreeSet;

/// All rules of the list: 21 of traffic, 14 of decisions, 15 of control, 10 of liveness.
pub(super) fn rules() -> BTreeSet<String> {
    [("T", 21), ("D", 14), ("C", 15), ("L", 10)]
        .into_iter()
        .flat_map(|(kind, last)| (1..=last).map(move |number| format!("{kind}{number}")))
        .collect()
}

/// Those that have a monitor.
pub(in crate::sim) fn watched() -> BTreeSet<String> {
    let without = WAITING.iter().chain(&ELSEWHERE);
    let without: BTreeSet<String> = without.map(|(rule, _)| (*rule).to_owned()).collect();
    &rules() - &without
}

/// They wait for what they are about.
pub(super) const WAITING: [(&str, &str); 3] = [
    (
        "D12",
        "the rate of false rollbacks: there is no comparison by a sequential test yet",
    ),
    (
        "D14",
        "who promoted and why: a request names whoever the client says; the admission that knows better is not there yet",
    ),
    (
        "C12",
        "notifications with an idempotency key: there are none yet; a Job of a metric has a name that is given once",
    ),
];

/// They are about a whole run, and are checked there.
pub(super) const ELSEWHERE: [(&str, &str); 1] = [(
    "C1",
    "the same end after a crash at any write: `sim::scenarios::crash` compares with the run without one",
)];
