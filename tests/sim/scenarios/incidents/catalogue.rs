//! Each incident that is about what a controller decides has a scenario, or a reason in the documentation why it has none.

use std::collections::BTreeSet;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/scenarios/incidents");
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/testing.md");

/// `A8` of each `fn incident_a8_…`.
fn played() -> BTreeSet<String> {
    let files = std::fs::read_dir(SOURCES).expect("the folder of the scenarios");
    let texts = files.map(|file| std::fs::read_to_string(file.expect("a file").path()));
    let texts: Vec<String> = texts.map(|text| text.expect("its text")).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines
        .filter_map(|line| line.strip_prefix("fn incident_")?.split('_').next())
        .map(str::to_uppercase)
        .collect()
}

/// Those of the table of reasons.
fn left_out() -> BTreeSet<String> {
    let text = std::fs::read_to_string(TABLE).expect("the documentation");
    let table = text
        .lines()
        .skip_while(|line| *line != "| incident | why |")
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    table
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.trim_start_matches("| ").split(", "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_incident_has_a_scenario_or_a_reason() {
    let all: BTreeSet<String> = (1..=47)
        .map(|number| format!("A{number}"))
        .chain((1..=18).map(|number| format!("F{number}")))
        .collect();
    let (played, left_out) = (played(), left_out());
    let both: Vec<&String> = played.intersection(&left_out).collect();
    let told: BTreeSet<String> = played.union(&left_out).cloned().collect();
    let missing: Vec<&String> = all.symmetric_difference(&told).collect();
    assert_eq!(
        (missing, both),
        (Vec::new(), Vec::new()),
        "missing or unknown, and told twice"
    );
}
