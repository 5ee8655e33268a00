//! Over all stories no rule goes without a test: a monitor that never has anything to look at guards nothing.

use std::collections::BTreeMap;

use super::{catalogue, stories::interrupted};
use crate::sim::{
    monitors,
    run::{self, Scenario},
};

fn all() -> Vec<Scenario> {
    let interrupted = [
        interrupted::missing_service(),
        interrupted::never_ready(),
        interrupted::open_pause(),
        interrupted::retried(),
        interrupted::scaled(),
    ];
    let listed = catalogue::ALL.iter().map(|listed| (listed.tell)());
    listed.chain(interrupted).collect()
}

#[test]
fn every_rule_is_put_to_the_test_by_some_story() {
    let mut tested: BTreeMap<&str, u64> = BTreeMap::new();
    let mut complaints = Vec::new();
    for scenario in all() {
        let outcome = run::play(&scenario, 1, false);
        let told = outcome.complaints.into_iter();
        complaints.extend(told.map(|what| format!("{}: {what}", scenario.name)));
        for (rule, count) in outcome.tested {
            *tested.entry(rule).or_default() += count;
        }
    }
    assert_eq!(complaints, Vec::<String>::new());
    let idle: Vec<String> = monitors::watched()
        .into_iter()
        .filter(|rule| !tested.contains_key(rule.as_str()))
        .collect();
    assert_eq!(idle, Vec::<String>::new(), "of {tested:?}");
}
