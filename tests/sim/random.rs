//! What a seed stands for: a scenario and what goes wrong in it, as data; how it is played, judged, and made short when it fails.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    faults::{
        draw,
        plan::{Fault, What},
    },
    run::{self, Ordeal, Outcome, Scenario},
    scenarios::catalogue,
    shrink, summary,
    trouble::{self, Trouble},
};

/// Everything in which one run may differ from another. It can be printed, read and played again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Draw {
    pub(super) seed: u64,
    pub(super) scenario: String,
    /// From here on nothing goes wrong, in milliseconds since the beginning.
    pub(super) until: u64,
    /// Things go wrong to the end, which is `until`.
    pub(super) endless: bool,
    pub(super) faults: Vec<Fault>,
    /// What goes wrong in the cluster itself, and what people do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) troubles: Vec<Trouble>,
}

/// No story is longer, in milliseconds, by much.
const LONGEST: u64 = 90_000;

/// What the seed stands for.
pub(super) fn draw(seed: u64) -> Draw {
    let mut random = Rng::with_seed(seed);
    let all = catalogue::ALL;
    let listed = &all[random.usize(0..all.len())];
    let until = random.u64(5_000..LONGEST);
    Draw {
        seed,
        scenario: (listed.tell)().name.to_owned(),
        until,
        endless: random.u8(0..3) == 0,
        faults: draw::faults(&mut random, until),
        troubles: if random.bool() {
            trouble::draw(&mut random, until)
        } else {
            Vec::new()
        },
    }
}

impl Draw {
    fn scenario(&self) -> Scenario {
        catalogue::named(&self.scenario)
    }

    /// Plays it.
    pub(super) fn play(&self) -> Outcome {
        let ordeal = Ordeal {
            faults: self.faults.clone(),
            troubles: self.troubles.clone(),
            until: Duration::from_millis(self.until),
            endless: self.endless,
        };
        run::suffer(&self.scenario(), self.seed, &ordeal)
    }

    /// What is wrong with what it came to.
    pub(super) fn judge(&self, outcome: &Outcome) -> Vec<String> {
        let mut wrong = outcome.complaints.clone();
        let steps = |fault: &Fault| matches!(fault.what, What::Step { .. });
        if self.faults.iter().any(steps) {
            // By a clock that jumps, pauses and intervals are as long as it says.
            let by_the_clock =
                |line: &str| [": L9:", ": D11:"].iter().any(|rule| line.contains(rule));
            wrong.retain(|line| !by_the_clock(line));
        }
        let arrives_late = |fault: &Fault| {
            matches!(
                fault.what,
                What::Delay { .. }
                    | What::Duplicate { .. }
                    | What::Freeze { .. }
                    | What::Second { .. }
            )
        };
        if self.faults.iter().any(arrives_late) {
            // What was sent in time may arrive when the lease is over, or twice; a second process knows of no lease, and writes the same.
            let excused = [": C5:", ": C6:", ": C7:", "was refused with 422"];
            wrong.retain(|line| !excused.iter().any(|rule| line.contains(rule)));
        }
        let second = |fault: &Fault| matches!(fault.what, What::Second { .. });
        let late = |fault: &Fault| matches!(&fault.what, What::Lag { kind, .. } | What::Hold { kind, .. } if kind == "rollouts");
        if self.faults.iter().any(second) && self.faults.iter().any(late) {
            // One of two that know nothing of each other has promoted, and the other still sees the Rollout of before: it
            // leads the Services back until it sees more. Only a lease keeps them from that.
            wrong.retain(|line| !(line.contains(": T9:") && line.contains("goes from")));
        }
        let orphan =
            |trouble: &Trouble| matches!(trouble.what, trouble::What::Delete { orphan: true });
        if self.faults.iter().any(arrives_late) && self.troubles.iter().any(orphan) {
            // A ReplicaSet is given to the Rollout, which is deleted, and the write arrives when it is gone: what it has given away is garbage.
            wrong.retain(|line| !line.contains(": T21:"));
        }
        if self.faults.iter().any(second) {
            // Two that act at once and see different things write against each other until one of them is gone. Only a lease keeps them from that.
            wrong.retain(|line| !line.contains(": C14:"));
        }
        let node = |trouble: &Trouble| matches!(trouble.what, trouble::What::Node { .. });
        if self.troubles.iter().any(node) {
            // Pods that vanish with their node lose requests, and nobody can do anything about it. They go, and others come, long after.
            wrong.retain(|line| ![": T21:", ": L3:"].iter().any(|rule| line.contains(rule)));
        }
        let agent = |trouble: &Trouble| matches!(trouble.what, trouble::What::GitOps { .. });
        if self.troubles.iter().any(agent) {
            // That somebody has overwritten what is ours is told for some minutes, and then no more.
            wrong.retain(|line| !line.contains(": L3:"));
        }
        let image = |trouble: &Trouble| matches!(trouble.what, trouble::What::Image { .. });
        if self.troubles.iter().any(image) && !self.faults.is_empty() {
            // An image that was declared and taken back before the controller could see it has changed nothing.
            wrong.retain(|line| !line.contains(": D5:"));
        }
        if !self.troubles.is_empty() {
            // At the moment at which a pod has broken, or a size has changed, nobody can have done anything about it yet.
            let at_the_moment = |line: &str| {
                [": T1:", ": T2:", ": T3:"]
                    .iter()
                    .any(|rule| line.contains(rule))
            };
            wrong.retain(|line| !at_the_moment(line));
        }
        // Who missed a moment has not done what the story says.
        let same = |trouble: &Trouble| !trouble.what.may_change_the_end();
        if !self.endless && outcome.missed == 0 && self.troubles.iter().all(same) {
            wrong.extend(summary::differences(
                &undisturbed_end(&self.scenario()),
                &summary::essence(&outcome.end),
            ));
        }
        wrong
    }

    /// Whether anything is wrong, and what first.
    fn fails(&self) -> Option<String> {
        self.judge(&self.play()).first().map(|first| class(first))
    }

    /// The shortest that fails in the same way.
    pub(super) fn shortest(&self) -> Self {
        let Some(first) = self.fails() else {
            return self.clone();
        };
        let mut budget = 250;
        let fails = |draw: &Self| draw.fails().as_ref() == Some(&first);
        let with = |faults: &[Fault], troubles: &[Trouble]| Self {
            faults: faults.to_vec(),
            troubles: troubles.to_vec(),
            ..self.clone()
        };
        let troubles = shrink::shrink(&self.troubles, &mut budget, |some| {
            fails(&with(&self.faults, some))
        });
        let faults = shrink::shrink(&self.faults, &mut budget, |some| {
            fails(&with(some, &troubles))
        });
        let short = with(&faults, &troubles);
        let at = |until: u64| Self {
            until,
            ..short.clone()
        };
        let until = shrink::least(0, short.until, &mut 12, |until| fails(&at(until)));
        if fails(&at(until)) { at(until) } else { short }
    }
}

/// What kind of failure a complaint is about: its text without times, numbers and names.
pub(super) fn class(complaint: &str) -> String {
    let text = complaint
        .split_once(" ms: ")
        .map_or(complaint, |(_, text)| text);
    text.split_whitespace()
        .filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()))
        .take(6)
        .collect::<Vec<_>>()
        .join(" ")
}

type End = Arc<BTreeMap<String, Value>>;

/// How the scenario ends when nothing goes wrong.
fn undisturbed_end(scenario: &Scenario) -> End {
    static ENDS: Mutex<BTreeMap<&str, End>> = Mutex::new(BTreeMap::new());
    let known = ENDS.lock().expect("no panic").get(scenario.name).cloned();
    known.unwrap_or_else(|| {
        let end = Arc::new(summary::essence(&run::play(scenario, 1, false).end));
        ENDS.lock()
            .expect("no panic")
            .insert(scenario.name, end.clone());
        end
    })
}
