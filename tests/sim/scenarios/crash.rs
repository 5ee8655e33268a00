//! A crash before and after every write of a scenario: the same end, by the same steps, and no rule broken on the way.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::fault_free;
use crate::sim::{
    faults::{Crash, Faults},
    run::{self, Outcome, Scenario},
    summary,
};

/// How many failures are told in full.
const TOLD: usize = 3;

pub(super) fn everywhere(scenario: &Scenario) {
    let reference = fault_free(scenario);
    assert!(
        reference.looks > 0 && reference.tested.values().all(|count| *count > 0),
        "a rule was never put to the test: {:?}",
        reference.tested
    );
    let crashes: Vec<Crash> = (1..=reference.writes.len())
        .flat_map(|write| [Crash::Before(write), Crash::After(write)])
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let simulated = Mutex::new(reference.lasted);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(crash) = crashes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run::play(scenario, 1, Faults::crash(*crash));
                    *simulated.lock().expect("no panic") += outcome.lasted;
                    if let Some(failure) = judge(&reference, &outcome, *crash) {
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let simulated: Duration = simulated.into_inner().expect("no panic");
    println!(
        "{}: {} writes, {} crashes, {} failures, {:.1} simulated hours; rules {:?}, {} proxy views",
        scenario.name,
        reference.writes.len(),
        crashes.len(),
        failures.len(),
        simulated.as_secs_f64() / 3_600.0,
        reference.tested,
        reference.looks,
    );
    let told: Vec<String> = failures.iter().take(TOLD).cloned().collect();
    assert!(
        failures.is_empty(),
        "{}: {} of {} crashes end differently\n{}",
        scenario.name,
        failures.len(),
        crashes.len(),
        told.join("\n\n")
    );
}

fn judge(reference: &Outcome, outcome: &Outcome, crash: Crash) -> Option<String> {
    let mut wrong = outcome.complaints.clone();
    if !outcome.trace.iter().any(|line| line.contains("## dies")) {
        wrong.push("the controller did not die".to_owned());
    }
    wrong.extend(summary::differences(&reference.end, &outcome.end));
    wrong.extend(reference.counts.differences(&outcome.counts));
    if wrong.is_empty() {
        return None;
    }
    let (Crash::Before(number) | Crash::After(number)) = crash;
    let write = reference.writes.get(number - 1).map_or("", String::as_str);
    Some(format!(
        "{crash:?}, {write}\n  {}\n{}",
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
