//! All scenarios. `make sim` plays the crashes of all of them, and every seed draws one.

use super::stories::{
    abort, bake, blue_green, canary, deletion, elsewhere, experiment, interrupted, promotion,
    takeover,
};
use crate::sim::run::Scenario;

/// A scenario and what is asked of it.
pub(in crate::sim) struct Listed {
    pub(in crate::sim) tell: fn() -> Scenario,
    /// `make sim` plays each second crash after each first one, too.
    pub(in crate::sim) pairs: bool,
}

const fn listed(tell: fn() -> Scenario) -> Listed {
    Listed { tell, pairs: false }
}

const fn in_pairs(tell: fn() -> Scenario) -> Listed {
    Listed { tell, pairs: true }
}

/// All of them.
pub(in crate::sim) const ALL: &[Listed] = &[
    listed(canary::canary),
    in_pairs(canary::pod_ratio),
    listed(canary::overtaken),
    listed(canary::failed_analysis),
    in_pairs(abort::requested_abort),
    listed(abort::abort_under_election),
    listed(abort::dynamic_abort),
    listed(bake::bake),
    listed(bake::bake_back),
    listed(blue_green::blue_green),
    in_pairs(blue_green::blue_green_back),
    listed(experiment::good_experiment),
    listed(experiment::failed_experiment),
    listed(promotion::promote_full),
    listed(deletion::whole),
    listed(deletion::orphans),
    listed(elsewhere::http_route),
    listed(elsewhere::workload),
    listed(elsewhere::autoscaled),
    listed(interrupted::scaled),
    listed(interrupted::retried),
    listed(takeover::paused),
    listed(takeover::aborted),
    listed(takeover::before_the_switch),
];

/// The scenario of this name.
pub(in crate::sim) fn named(name: &str) -> Scenario {
    ALL.iter()
        .map(|listed| (listed.tell)())
        .find(|scenario| scenario.name == name)
        .unwrap_or_else(|| panic!("there is no scenario {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_and_three_are_played_in_pairs() {
        let names: BTreeSet<_> = ALL.iter().map(|listed| (listed.tell)().name).collect();
        let pairs = ALL.iter().filter(|listed| listed.pairs).count();
        assert_eq!((names.len(), pairs), (ALL.len(), 3));
        assert!(ALL.len() >= 15);
    }
}
