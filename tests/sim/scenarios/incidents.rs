//! What has gone wrong with controllers of this kind, played with ours: A1 and F1 are the numbers of `docs/testing.md`. Each is
//! a release in which it could happen again, with every rule watched, and one more thing that must be so in the end.
//!
//! Not here: the same by rule (`rollout::decide::tests`), and the bugs themselves put back (`mutants`).

pub(super) mod capacity;
mod catalogue;
pub(super) mod convergence;
pub(super) mod flagger;
mod pods;
pub(super) mod routing;
mod stages;
pub(super) mod verdicts;
mod workloads;

use std::time::Duration;

use serde_json::Value;
use tidegate::sim::actors::behaviour::Behaviour;

use super::stories;
use crate::sim::{
    faults::plan::Fault,
    process::Answers,
    run::{self, Beat, Get, Ordeal, Outcome, Scenario, Stage},
};

/// A release in which something has once gone wrong.
#[derive(Clone)]
pub(super) struct Incident {
    scenario: Scenario,
    /// What must be so in the end.
    claim: &'static str,
    holds: fn(&Outcome) -> bool,
    /// What the server has to say to somebody.
    refusal: Option<&'static str>,
    ordeal: Ordeal,
}

impl Incident {
    /// A first version that `apply` brings, behind an Ingress; users come when it is there.
    pub(super) fn of(name: &'static str, apply: fn(&Stage)) -> Self {
        let first = vec![
            Beat::Do(apply),
            Beat::Until("the first version", stories::is_healthy),
            Beat::Until("endpoints of the stable Service", stages::serves),
            // A proxy may be a second behind.
            Beat::Pause(Duration::from_secs(2)),
            Beat::Do(Stage::open_traffic),
        ];
        let scenario = Scenario {
            story: first,
            ..stories::routed(name, Vec::new())
        };
        Self {
            scenario,
            claim: "",
            holds: |_| false,
            refusal: None,
            ordeal: Ordeal::default(),
        }
    }

    /// With these beats before users come.
    fn begun(mut self, story: Vec<Beat>) -> Self {
        self.scenario.story = story;
        self
    }

    /// Requests go to one Service without a router, where only endpoints tell who serves.
    fn unrouted(mut self) -> Self {
        let alone = stories::canary::pod_ratio();
        self.scenario.nature = alone.nature;
        self.scenario.story[2] = Beat::Pause(Duration::from_secs(2));
        self
    }

    /// Pods go on serving for a while when they are told to end: some go while their Service has traffic.
    fn graceful(mut self) -> Self {
        self.scenario.nature.grace = Duration::from_secs(3);
        self
    }

    /// What containers of this image do.
    fn image(mut self, image: &str, does: Behaviour) -> Self {
        self.scenario.nature.images.insert(image.to_owned(), does);
        self
    }

    /// There is room for so many pods.
    fn quota(mut self, pods: usize) -> Self {
        self.scenario.nature.quota = Some(pods);
        self
    }

    /// What the metric server says.
    fn answers(mut self, answers: Answers) -> Self {
        self.scenario.answers = answers;
        self
    }

    /// Somebody does this.
    fn act(mut self, act: fn(&Stage)) -> Self {
        self.scenario.story.push(Beat::Do(act));
        self
    }

    /// This is waited for.
    fn until(mut self, what: &'static str, holds: fn(Get<'_>) -> bool) -> Self {
        self.scenario.story.push(Beat::Until(what, holds));
        self
    }

    /// So much time goes by.
    fn pause(mut self, seconds: u64) -> Self {
        let time = Duration::from_secs(seconds);
        self.scenario.story.push(Beat::Pause(time));
        self
    }

    /// Asks for the second version.
    fn updated(self) -> Self {
        self.act(stories::second_version)
            .until("the update to begin", |get| !stories::is_healthy(get))
    }

    /// The newest version becomes the stable one.
    fn finished(self) -> Self {
        self.until("the new version", stories::is_healthy)
    }

    /// This goes wrong, once, and nothing after so many seconds.
    fn suffering(mut self, faults: Vec<Fault>, until: u64) -> Self {
        self.ordeal = Ordeal {
            faults,
            until: Duration::from_secs(until),
            ..Ordeal::default()
        };
        self
    }

    /// The server refuses what somebody asks for, in these words.
    fn refused(mut self, words: &'static str) -> Self {
        self.refusal = Some(words);
        self
    }

    /// What must be so in the end.
    fn so(mut self, claim: &'static str, holds: fn(&Outcome) -> bool) -> Self {
        (self.claim, self.holds) = (claim, holds);
        self
    }

    /// What is wrong with how it goes.
    pub(super) fn found(&self, seed: u64) -> (Vec<String>, Outcome) {
        let outcome = run::suffer(&self.scenario, seed, &self.ordeal);
        let mut found = outcome.complaints.clone();
        if let Some(words) = self.refusal {
            let before = found.len();
            found.retain(|what| !what.contains(words));
            if found.len() == before {
                found.push(format!("END: nobody was told: {words}"));
            }
        }
        if !(self.holds)(&outcome) {
            found.push(format!("END: it is not so that {}", self.claim));
        }
        (found, outcome)
    }

    /// Nothing is wrong.
    fn is_green(&self) {
        let (found, outcome) = self.found(1);
        assert!(
            found.is_empty(),
            "{}:\n{}\n\n{:#?}\n{}\n\n{}",
            self.scenario.name,
            found.join("\n"),
            outcome.counts,
            at_end(&outcome, "rollouts/web")["status"],
            outcome.around(60)
        );
    }
}

/// The object at the end; null where there is none.
fn at_end<'a>(outcome: &'a Outcome, path: &str) -> &'a Value {
    outcome.end.get(path).unwrap_or(&Value::Null)
}

/// What the controller did to the object, in order.
fn done(outcome: &Outcome, path: &str) -> Vec<String> {
    outcome.counts.0.get(path).cloned().unwrap_or_default()
}

/// Who has such a path, in the order of the names.
fn all<'a>(outcome: &'a Outcome, prefix: &str) -> Vec<(&'a str, &'a Value)> {
    let found = outcome.end.iter();
    found
        .filter(|(path, _)| path.starts_with(prefix))
        .map(|(path, object)| (path.as_str(), object))
        .collect()
}

/// The weights that the canary had after the 0 that it began with, in order.
fn weights(outcome: &Outcome) -> Vec<i64> {
    let mut weights = numbers(&done(outcome, "ingresses/web-web-canary"), "weight ");
    if !weights.is_empty() {
        weights.remove(0);
    }
    weights
}

/// The sizes that were written to the ReplicaSet of this image, in order.
fn sizes(outcome: &Outcome, image: &str) -> Vec<i64> {
    let sets = all(outcome, "replicasets/");
    let set = sets
        .iter()
        .find(|(_, set)| set.pointer(IMAGE).and_then(Value::as_str) == Some(image));
    set.map_or(Vec::new(), |(path, _)| {
        numbers(&done(outcome, path), "replicas ")
    })
}

const IMAGE: &str = "/spec/template/spec/containers/0/image";

/// How many pods of this image are asked for at the end.
fn pods(outcome: &Outcome, image: &str) -> i64 {
    all(outcome, "replicasets/")
        .iter()
        .filter(|(_, set)| set.pointer(IMAGE).and_then(Value::as_str) == Some(image))
        .filter_map(|(_, set)| set["spec"]["replicas"].as_i64())
        .sum()
}

fn numbers(done: &[String], word: &str) -> Vec<i64> {
    done.iter()
        .filter_map(|line| line.strip_prefix(word)?.trim_matches('"').parse().ok())
        .collect()
}

fn rises(numbers: &[i64]) -> bool {
    numbers.is_sorted()
}

/// How many objects of this kind the controller has created.
fn created(outcome: &Outcome, plural: &str) -> usize {
    let lines = outcome.counts.0.iter();
    lines
        .filter(|(path, _)| path.starts_with(plural))
        .flat_map(|(_, done)| done)
        .filter(|line| *line == "created")
        .count()
}

/// Whether these writes came in this order, each for the first time after the one before.
fn in_order(outcome: &Outcome, writes: &[&str]) -> bool {
    let mut trace = outcome.trace.iter();
    writes
        .iter()
        .all(|write| trace.any(|line| line.contains(write)))
}
