//! Each monitor accepts a good history and catches a bad one: a check that cannot fail is no check.

mod control;
mod decisions;
mod liveness;
mod stand;
mod traffic;

use std::collections::BTreeSet;

use super::exempt;
use stand::Stand;

/// A rule, a history that keeps it and puts it to the test, and one that breaks it.
type Case = (&'static str, fn(&mut Stand), fn(&mut Stand));

fn cases() -> Vec<Case> {
    [
        traffic::CASES,
        decisions::CASES,
        control::CASES,
        liveness::CASES,
    ]
    .concat()
}

#[test]
fn a_good_history_is_accepted_and_puts_its_rule_to_the_test() {
    let mut wrong = Vec::new();
    for (place, (rule, good, _)) in cases().into_iter().enumerate() {
        let mut stand = Stand::new();
        good(&mut stand);
        let (broken, tested) = stand.judgement();
        if !broken.is_empty() || !tested.contains(rule) {
            wrong.push(format!(
                "{rule} (case {place}): {broken:?}, tested {tested:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_bad_history_is_caught() {
    for (rule, _, bad) in cases() {
        let mut stand = Stand::new();
        bad(&mut stand);
        let (broken, _) = stand.judgement();
        let caught = broken
            .iter()
            .any(|what| what.starts_with(&format!("{rule}:")));
        assert!(caught, "{rule} is not caught, but {broken:?}");
    }
}

#[test]
fn every_rule_has_its_monitor_or_a_reason_to_have_none() {
    let watched: BTreeSet<String> = cases()
        .iter()
        .map(|(rule, ..)| (*rule).to_owned())
        .collect();
    let waiting: Vec<&str> = exempt::WAITING.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(waiting, ["D12", "D14", "C12"]);
    assert_eq!(watched, exempt::watched());
}
