//! Bugs of other controllers, put back one at a time: the scenario of the same incident has to notice each.
//!
//! What it is noticed by stands in `docs/testing.md`, and is compared with what happens here.

use std::{collections::BTreeSet, thread};

use tidegate::mutants::{self, Mutant};

use super::incidents::{Incident, capacity, convergence, flagger, routing, verdicts};

/// The table in the documentation.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/testing.md");

/// The scenario that has to notice it.
fn scenario(mutant: Mutant) -> Incident {
    match mutant {
        Mutant::A1ServiceBeforePods => routing::adopted_service(),
        Mutant::A2WaitIsDone => routing::to_the_end(),
        Mutant::A3DesiredForAvailable => capacity::promoted_in_full(),
        Mutant::A4NoDrain => routing::to_the_end(),
        Mutant::A8ServiceBeforeWeight => routing::overtaken(),
        Mutant::A10NothingAfterTheLastStep => routing::past_the_last_step(),
        Mutant::A13NoBudget => capacity::aborted_by_pods(),
        Mutant::A17RouteAfterAbort => routing::all_routes(),
        Mutant::A19Overflow => capacity::great_weights(),
        Mutant::A22CircularWait => convergence::abort_of_a_shrunk_stable(),
        Mutant::A29NoDataIsSuccess => verdicts::no_data(),
        Mutant::A31FailureWithheld => verdicts::one_of_two_metrics(),
        Mutant::A33TerminatedIsSuccess => verdicts::broken_off(),
        Mutant::A37PromoteBeatsAbort => verdicts::abort_after_promotion(),
        Mutant::A41BlindWrite => convergence::conflicts(),
        Mutant::A47DeadlineLost => convergence::many_versions(),
        Mutant::F9EvidenceOfTheLastRevision => flagger::evidence(),
    }
}

/// What the scenario is noticed by when the bug is in.
fn noticed(mutant: Mutant) -> BTreeSet<String> {
    let look = move || {
        mutants::choose(Some(mutant));
        scenario(mutant).found(1).0
    };
    let found = thread::spawn(look).join().expect("a run that ends");
    found.iter().map(|what| name(what).to_owned()).collect()
}

/// `T4` of `at 70 ms: T4: …`; what is no rule by a name of its own.
fn name(found: &str) -> &str {
    let what = found
        .strip_prefix("at ")
        .and_then(|rest| rest.split_once(": "));
    let what = what.map_or(found, |(_, what)| what);
    let rule = what.split(':').next().unwrap_or_default();
    let is_rule = rule.len() <= 3
        && rule.starts_with(|c: char| c.is_ascii_uppercase())
        && rule[1..].chars().all(|c| c.is_ascii_digit());
    if rule == "T21" {
        "lost requests"
    } else if is_rule {
        rule
    } else if what.starts_with("waited") || what.contains("come to rest") {
        "stuck"
    } else if what.starts_with("END") {
        "the end"
    } else {
        "refused"
    }
}

/// The incident of a mutant: `A3` of `A3DesiredForAvailable`.
fn incident(mutant: Mutant) -> String {
    let name = format!("{mutant:?}");
    let digits = name[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    name[..=digits].to_owned()
}

/// What the documentation says this mutant is noticed by.
fn documented(text: &str, mutant: Mutant) -> BTreeSet<String> {
    let row = format!("| `{mutant:?}` |");
    let line = text.lines().find(|line| line.starts_with(&row));
    let last = line.and_then(|line| line.trim_end_matches(" |").rsplit(" | ").next());
    last.into_iter()
        .flat_map(|names| names.split(", "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_mutant_is_noticed_by_what_the_documentation_says() {
    let text = std::fs::read_to_string(TABLE).expect("the documentation");
    let mut wrong = Vec::new();
    for mutant in Mutant::ALL {
        let (found, told) = (noticed(mutant), documented(&text, mutant));
        println!("{mutant:?} ({}): {found:?}", incident(mutant));
        if told.is_empty() || !told.is_subset(&found) {
            wrong.push(format!(
                "{mutant:?} is noticed by {found:?}, and docs/testing.md says {told:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
