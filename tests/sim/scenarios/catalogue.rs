//! All scenarios, and which of them are played how.

use super::stories::{abort, bake, blue_green, canary, deletion, experiment, promotion};
use crate::sim::run::Scenario;

/// A scenario and what is asked of it.
pub(in crate::sim) struct Listed {
    pub(in crate::sim) tell: fn() -> Scenario,
    /// Its crashes are a part of every test run. Those of the others are played by `make sim` only.
    pub(in crate::sim) always: bool,
    /// `make sim` plays each second crash after each first one, too.
    pub(in crate::sim) pairs: bool,
}

const fn listed(tell: fn() -> Scenario) -> Listed {
    Listed {
        tell,
        always: false,
        pairs: false,
    }
}

const fn always(tell: fn() -> Scenario) -> Listed {
    Listed {
        always: true,
        ..listed(tell)
    }
}

const fn in_pairs(of: Listed) -> Listed {
    Listed { pairs: true, ..of }
}

/// All of them.
pub(in crate::sim) const ALL: &[Listed] = &[
    always(canary::canary),
    in_pairs(always(canary::pod_ratio)),
    always(canary::overtaken),
    listed(canary::failed_analysis),
    in_pairs(listed(abort::requested_abort)),
    listed(abort::abort_under_election),
    listed(abort::dynamic_abort),
    listed(bake::bake),
    listed(bake::bake_back),
    always(blue_green::blue_green),
    in_pairs(always(blue_green::blue_green_back)),
    always(experiment::good_experiment),
    listed(experiment::failed_experiment),
    listed(promotion::promote_full),
    listed(deletion::whole),
    listed(deletion::orphans),
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
    fn six_are_always_played_and_three_in_pairs() {
        let count = |which: fn(&Listed) -> bool| ALL.iter().filter(|listed| which(listed)).count();
        let names: BTreeSet<_> = ALL.iter().map(|listed| (listed.tell)().name).collect();
        assert_eq!(
            (count(|one| one.always), count(|one| one.pairs), names.len()),
            (6, 3, ALL.len())
        );
    }
}
