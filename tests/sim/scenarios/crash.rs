//! A crash before and after every write of a scenario: the same end, by the same steps, and no rule broken on the way.

use std::{sync::Mutex, thread};

use super::fault_free;
use crate::sim::{
    run::{self, Outcome, Scenario},
    summary,
};

/// How many failures are told in full.
const TOLD: usize = 3;

pub(super) fn everywhere(scenario: &Scenario) {
    let mut reference = fault_free(scenario);
    assert!(
        reference.looks > 0 && reference.tested.values().all(|count| *count > 0),
        "a rule was never put to the test: {:?}",
        reference.tested
    );
    let deaths = std::mem::take(&mut reference.deaths);
    let crashes: usize = deaths.iter().map(|death| death.stands_for).sum();
    assert_eq!(
        crashes,
        2 * reference.writes.len(),
        "one before and one after each write"
    );
    let (worlds, deaths) = (deaths.len(), Mutex::new(deaths));
    let (failures, simulated) = (Mutex::new(Vec::new()), Mutex::new(reference.lasted));
    let begun = tokio::time::Instant::now();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let next = || deaths.lock().expect("no panic").pop();
        while let Some(death) = next() {
            let (crash, number, write) = (death.crash, death.number, death.write.clone());
            let seed = 1_000 + u64::try_from(number).unwrap_or(0);
            let outcome = run::resume(scenario, seed, death);
            *simulated.lock().expect("no panic") += outcome.lasted;
            if let Some(wrong) = judge(&reference, &outcome) {
                let failure = (number, format!("{crash:?} write {number}, {write}{wrong}"));
                failures.lock().expect("no panic").push(failure);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().expect("no panic");
    failures.sort();
    let writes = reference.writes.len();
    println!(
        "{}: {writes} writes, {crashes} crashes, {worlds} different worlds, {} failures, {:.1} simulated hours in {:.1?}; rules {:?}, {} proxy views",
        scenario.name,
        failures.len(),
        simulated.into_inner().expect("no panic").as_secs_f64() / 3_600.0,
        begun.elapsed(),
        reference.tested,
        reference.looks,
    );
    let told: Vec<&str> = failures
        .iter()
        .take(TOLD)
        .map(|(_, failure)| failure.as_str())
        .collect();
    assert!(
        failures.is_empty(),
        "{}: {} of {worlds} end differently\n{}",
        scenario.name,
        failures.len(),
        told.join("\n\n")
    );
}

fn judge(reference: &Outcome, outcome: &Outcome) -> Option<String> {
    let mut wrong = outcome.complaints.clone();
    wrong.extend(summary::differences(&reference.end, &outcome.end));
    wrong.extend(reference.counts.differences(&outcome.counts));
    if wrong.is_empty() {
        return None;
    }
    Some(format!(
        "\n  {}\n{}",
        wrong.join("\n  "),
        around(&outcome.trace)
    ))
}

/// What happened around the crash, without reads.
fn around(trace: &[String]) -> String {
    let writes: Vec<&String> = trace
        .iter()
        .filter(|line| !line.contains(" GET ") && !line.ends_with(" event"))
        .collect();
    let at = writes
        .iter()
        .position(|line| line.contains("## dies"))
        .unwrap_or(0);
    let shown = &writes[at.saturating_sub(3)..(at + 14).min(writes.len())];
    shown
        .iter()
        .map(|line| format!("    {}", line.chars().take(400).collect::<String>()))
        .collect::<Vec<_>>()
        .join("\n")
}
