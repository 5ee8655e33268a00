//! What `make test` and `make sim` play: crashes everywhere, pairs of them, seeds that found something once, new seeds.
//!
//! `make test` plays a share of it in one test; with `TIDEGATE_SIM=all` the same test plays everything and tells how far it is.

mod progress;
mod regressions;

use std::{
    env,
    process::{Command, exit},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    parallel,
    random::{self, Draw},
    run::Scenario,
    scale,
    scenarios::{catalogue, crash},
};
use progress::Progress;

/// How many seeds every test run plays.
const FEW: u64 = 300;
/// How many `make sim` plays if it is not told otherwise.
const MANY: u64 = 10_000;
/// How many Rollouts at rest are looked at.
const THOUSANDS: usize = 10_000;
/// How many failures are told in full.
const TOLD: usize = 5;
/// Lines of a failing run that are told.
const LINES: usize = 120;

/// What to play, by the environment.
enum Wanted {
    Share,
    Everything(Parts),
    Seed(u64),
    Plan(Box<Draw>),
}

/// What of everything.
#[derive(Clone, Copy)]
struct Parts {
    crashes: bool,
    pairs: bool,
    scale: bool,
    seeds: u64,
}

fn wanted() -> Wanted {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .filter(|text| !text.is_empty())
            .map(|text| {
                text.parse::<u64>()
                    .unwrap_or_else(|why| panic!("{name}={text}: {why}"))
            })
    };
    if let Ok(text) = env::var("TIDEGATE_SIM_PLAN")
        && !text.is_empty()
    {
        let draw = serde_json::from_str(&text).unwrap_or_else(|why| panic!("the plan: {why}"));
        return Wanted::Plan(Box::new(draw));
    }
    if let Some(seed) = number("TIDEGATE_SIM_SEED") {
        return Wanted::Seed(seed);
    }
    let seeds = number("TIDEGATE_SIM_SEEDS").unwrap_or(MANY);
    let none = Parts {
        crashes: false,
        pairs: false,
        scale: false,
        seeds: 0,
    };
    let parts = match env::var("TIDEGATE_SIM").as_deref() {
        Ok("all") => Parts {
            crashes: true,
            pairs: true,
            scale: true,
            seeds,
        },
        Ok("crashes") => Parts {
            crashes: true,
            ..none
        },
        Ok("pairs") => Parts {
            pairs: true,
            ..none
        },
        Ok("scale") => Parts {
            scale: true,
            ..none
        },
        Ok("seeds") => Parts { seeds, ..none },
        Ok(other) => {
            panic!("TIDEGATE_SIM={other}; it may be all, crashes, pairs, scale or seeds")
        }
        Err(_) => return Wanted::Share,
    };
    Wanted::Everything(parts)
}

/// How much was simulated in so much real time.
fn speed(tally: &Tally, took: Duration) -> String {
    let (hours, took) = (tally.lasted.as_secs_f64() / 3_600.0, took.as_secs_f64());
    format!(
        "{hours:.1} simulated hours and {} requests to the API server in {took:.1} s: {:.2} hours and {:.0} requests per second",
        tally.requests,
        hours / took,
        tally.requests as f64 / took,
    )
}

/// What was played: how much of it went well, and what is to be told of the rest.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    /// How often a fault has struck.
    strikes: u64,
    /// Simulated time, and requests to the API server in it.
    lasted: Duration,
    requests: u64,
    told: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.strikes += other.strikes;
        self.lasted += other.lasted;
        self.requests += other.requests;
        self.told.extend(other.told);
    }
}

/// The share of every test run; everything, one seed or one plan as the environment says.
#[test]
fn everything() {
    match wanted() {
        Wanted::Share => {
            let progress = Progress::silent();
            let mut tally = seeds(FEW, &progress);
            tally.add(old_seeds(&progress));
            let Tally {
                passed,
                failed,
                strikes,
                told,
                ..
            } = tally;
            println!("{strikes} faults struck; {passed} passed, {failed} failed");
            assert!(strikes > passed, "faults strike");
            assert!(told.is_empty(), "{failed} failed:\n{}", told.join("\n\n"));
        }
        Wanted::Everything(parts) => play_all(parts),
        Wanted::Seed(seed) => show(&random::draw(seed)),
        Wanted::Plan(draw) => show(&draw),
    }
}

#[expect(clippy::exit, reason = "the count is to be the last line")]
fn play_all(parts: Parts) {
    let progress = Progress::told();
    let tally = progress.during(|| {
        let mut tally = Tally::default();
        let only = env::var("TIDEGATE_SIM_ONLY").unwrap_or_default();
        let wanted = |scenario: &Scenario| scenario.name.contains(&only);
        for listed in catalogue::ALL.iter().filter(|_| parts.crashes) {
            let scenario = (listed.tell)();
            if wanted(&scenario) {
                tally.add(crashes(&scenario, false, &progress));
            }
        }
        for listed in catalogue::ALL.iter().filter(|one| parts.pairs && one.pairs) {
            let scenario = (listed.tell)();
            if wanted(&scenario) {
                tally.add(crashes(&scenario, true, &progress));
            }
        }
        tally.add(old_seeds(&progress));
        let begun = Instant::now();
        let played = seeds(parts.seeds, &progress);
        progress.say(&speed(&played, begun.elapsed()));
        tally.add(played);
        if parts.scale {
            progress.begin(format!("{THOUSANDS} Rollouts at rest"));
            progress.say(&scale::at_rest(THOUSANDS).to_string());
        }
        tally
    });
    for failure in tally.told.iter().take(TOLD) {
        println!("{failure}\n");
    }
    println!("{} faults struck", tally.strikes);
    println!("{} passed, {} failed", tally.passed, tally.failed);
    exit(i32::from(tally.failed > 0));
}

fn crashes(scenario: &Scenario, pairs: bool, progress: &Progress) -> Tally {
    let how = if pairs { "pairs of crashes" } else { "crashes" };
    progress.begin(format!("{how}: {}", scenario.name));
    let on = |failed: bool| progress.step(failed);
    let report = if pairs {
        crash::in_pairs(scenario, &on)
    } else {
        crash::report(scenario, &on)
    };
    progress.say(&report.to_string());
    Tally {
        passed: report.passed() as u64,
        failed: report.failures.len() as u64,
        strikes: report.worlds as u64,
        told: report.failures,
        ..Tally::default()
    }
}

/// The plans that found something once.
fn old_seeds(progress: &Progress) -> Tally {
    progress.begin("seeds that found something once".to_owned());
    play(regressions::all(), progress)
}

fn seeds(count: u64, progress: &Progress) -> Tally {
    progress.begin(format!("{count} seeds"));
    let first = env::var("TIDEGATE_SIM_FIRST")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    play((first..first + count).map(random::draw).collect(), progress)
}

fn play(draws: Vec<Draw>, progress: &Progress) -> Tally {
    let (passed, strikes) = (AtomicU64::new(0), AtomicU64::new(0));
    let (lasted, requests) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    parallel::each(draws, |draw| {
        let outcome = draw.play();
        strikes.fetch_add(outcome.strikes as u64, Ordering::Relaxed);
        lasted.fetch_add(outcome.lasted.as_millis() as u64, Ordering::Relaxed);
        requests.fetch_add(outcome.requests, Ordering::Relaxed);
        let wrong = draw.judge(&outcome);
        progress.step(!wrong.is_empty());
        if wrong.is_empty() {
            passed.fetch_add(1, Ordering::Relaxed);
        } else {
            let (seed, scenario) = (draw.seed, &draw.scenario);
            progress.say(&format!("seed {seed}: {scenario}: {}", wrong[0]));
            failures.lock().expect("no panic").push((draw, wrong));
        }
    });
    let mut failures = failures.into_inner().expect("no panic");
    failures.sort_by_key(|(draw, _)| draw.seed);
    Tally {
        passed: passed.into_inner(),
        failed: failures.len() as u64,
        strikes: strikes.into_inner(),
        lasted: Duration::from_millis(lasted.into_inner()),
        requests: requests.into_inner(),
        told: failures
            .iter()
            .take(TOLD)
            .map(|(draw, wrong)| tell(draw, wrong))
            .collect(),
    }
}

/// A failing run, made as short as it gets.
fn tell(draw: &Draw, wrong: &[String]) -> String {
    let short = draw.shortest();
    let outcome = short.play();
    let plan = serde_json::to_string(&short).expect("JSON");
    format!(
        "seed {}: {}\n  {}\nthe shortest plan: {plan}\n  {}\n{}\nAgain: make sim SEED={}, or make sim PLAN='{plan}'",
        draw.seed,
        draw.scenario,
        wrong.join("\n  "),
        short.judge(&outcome).join("\n  "),
        outcome.around(LINES),
        draw.seed,
    )
}

/// Plays one, and shows all of it.
#[expect(clippy::exit, reason = "the count is to be the last line")]
fn show(draw: &Draw) {
    let outcome = draw.play();
    for line in &outcome.trace {
        println!("{line}");
    }
    println!("{}", serde_json::to_string(draw).expect("JSON"));
    let wrong = draw.judge(&outcome);
    if !wrong.is_empty() {
        println!("{}", tell(draw, &wrong));
    }
    println!("hash {:016x}", outcome.hash());
    let failed = u8::from(!wrong.is_empty());
    println!("{} passed, {failed} failed", 1 - failed);
    exit(i32::from(failed));
}

/// A process of its own plays the seed from the beginning: other addresses, other keys, the same run.
#[test]
fn a_seed_is_the_same_in_two_processes() {
    let hash_of = |seed: u64| {
        let program = env::current_exe().expect("this program");
        let output = Command::new(program)
            .args(["--exact", "sim::command::everything", "--nocapture"])
            .env("TIDEGATE_SIM_SEED", seed.to_string())
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .find_map(|line| line.strip_prefix("hash ").map(str::to_owned))
            .unwrap_or_else(|| panic!("no hash: {text}"))
    };
    let seeds = [3, 3, 4, 4, 5, 5].map(hash_of);
    assert_eq!(
        (&seeds[0], &seeds[2], &seeds[4]),
        (&seeds[1], &seeds[3], &seeds[5])
    );
    assert_ne!(seeds[0], seeds[2]);
}
