//! A crash before and after every write of a scenario: the same end, by the same steps, and no rule broken on the way.

use std::{collections::BTreeMap, fmt, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::fault_free;
use crate::sim::{
    faults::deaths::Death,
    parallel,
    run::{self, Outcome, Same, Scenario},
    summary,
};

/// How many failures are told in full.
const TOLD: usize = 3;

/// What crashes came to.
pub(in crate::sim) struct Report {
    name: &'static str,
    writes: usize,
    crashes: usize,
    /// Different worlds that were left behind.
    pub(in crate::sim) worlds: usize,
    pub(in crate::sim) failures: Vec<String>,
    simulated: Duration,
    took: Duration,
    tested: BTreeMap<&'static str, u64>,
    looks: u64,
}

impl Report {
    pub(in crate::sim) fn passed(&self) -> usize {
        self.worlds - self.failures.len()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} writes, {} crashes, {} different worlds, {} failures, {:.1} simulated hours in {:.1?}; rules {:?}, {} proxy views",
            self.name,
            self.writes,
            self.crashes,
            self.worlds,
            self.failures.len(),
            self.simulated.as_secs_f64() / 3_600.0,
            self.took,
            self.tested,
            self.looks,
        )
    }
}

/// Plays all crashes, and fails if one of them ends differently.
pub(super) fn everywhere(scenario: &Scenario) {
    let report = report(scenario, &|_| {});
    println!("{report}");
    let failures = &report.failures;
    assert!(
        failures.is_empty(),
        "{}: {} of {} end differently\n{}",
        scenario.name,
        failures.len(),
        report.worlds,
        failures[..failures.len().min(TOLD)].join("\n\n")
    );
}

/// Plays all crashes. `on` is told of each whether it has failed.
pub(in crate::sim) fn report(scenario: &Scenario, on: &(dyn Fn(bool) + Sync)) -> Report {
    play(scenario, false, on)
}

/// The same, and after each of them once more a crash before and after every write that is left.
pub(in crate::sim) fn in_pairs(scenario: &Scenario, on: &(dyn Fn(bool) + Sync)) -> Report {
    play(scenario, true, on)
}

fn play(scenario: &Scenario, pairs: bool, on: &(dyn Fn(bool) + Sync)) -> Report {
    let begun = Instant::now();
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
    let sum = Mutex::new(Sum {
        crashes: if pairs { 0 } else { crashes },
        worlds: 0,
        failures: Vec::new(),
        simulated: reference.lasted,
    });
    let judged = |number, what: &str, outcome: &Outcome| {
        let wrong = judge(scenario.same, &reference, outcome);
        on(wrong.is_some());
        let mut sum = sum.lock().expect("no panic");
        sum.simulated += outcome.lasted;
        sum.worlds += 1;
        sum.failures
            .extend(wrong.map(|wrong| (number, format!("{what}{wrong}"))));
    };
    parallel::each(deaths, |death: Death| {
        let (number, what) = (death.number, told(&death));
        let mut outcome = run::resume(scenario, seed_of(number), death, pairs);
        if !pairs {
            judged((number, 0), &what, &outcome);
            return;
        }
        for second in std::mem::take(&mut outcome.deaths) {
            sum.lock().expect("no panic").crashes += second.stands_for;
            let (again, then) = (second.number, told(&second));
            let outcome = run::resume(scenario, seed_of(again), second, false);
            judged((number, again), &format!("{what}, then {then}"), &outcome);
        }
    });
    let mut sum = sum.into_inner().expect("no panic");
    sum.failures.sort();
    Report {
        name: scenario.name,
        writes: reference.writes.len(),
        crashes: sum.crashes,
        worlds: sum.worlds,
        failures: sum.failures.into_iter().map(|(_, told)| told).collect(),
        simulated: sum.simulated,
        took: begun.elapsed(),
        tested: reference.tested,
        looks: reference.looks,
    }
}

struct Sum {
    crashes: usize,
    worlds: usize,
    failures: Vec<((usize, usize), String)>,
    simulated: Duration,
}

fn seed_of(number: usize) -> u64 {
    1_000 + u64::try_from(number).unwrap_or(0)
}

fn told(death: &Death) -> String {
    format!("{:?} write {}, {}", death.crash, death.number, death.write)
}

fn judge(same: Same, reference: &Outcome, outcome: &Outcome) -> Option<String> {
    let mut wrong = outcome.complaints.clone();
    wrong.extend(summary::differences(&reference.end, &outcome.end));
    if same == Same::Steps {
        wrong.extend(reference.counts.differences(&outcome.counts));
    }
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
