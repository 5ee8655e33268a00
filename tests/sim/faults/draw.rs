//! Which faults a seed meets: first which kinds there are at all, then how many of each, then each of them.
//!
//! Not here: the rest of what a seed draws (`random`).

use fastrand::Rng;

use super::plan::{Cut, Fault, Moment, Request, Verb, What, When};

/// The kinds that a controller watches, most of which something follows from.
pub(in crate::sim) const WATCHED: [&str; 9] = [
    "rollouts",
    "replicasets",
    "services",
    "endpointslices",
    "ingresses",
    "httproutes",
    "analysisruns",
    "experiments",
    "analysistemplates",
];

/// The kinds that a controller writes.
const WRITTEN: [&str; 7] = [
    "rollouts",
    "replicasets",
    "services",
    "ingresses",
    "httproutes",
    "analysisruns",
    "experiments",
];

/// A kind of fault: how one of it is drawn, in a run whose faults end at `until`.
type Family = fn(&mut Rng, u64) -> Fault;

const FAMILIES: [Family; 11] = [
    crash, broken, duplicate, delay, refusal, hold, cut, lag, compaction, clock, process,
];

/// How many writes of a release there are to strike.
const WRITES: u32 = 60;

/// The faults of a run in which none strikes after `until` milliseconds.
pub(in crate::sim) fn faults(random: &mut Rng, until: u64) -> Vec<Fault> {
    // Swarm: what is always mixed with everything else hides what it does alone.
    let appetite = *random.choice([1, 2, 4, 8].iter()).unwrap_or(&1);
    let active: Vec<Family> = FAMILIES
        .into_iter()
        .filter(|_| random.u8(0..11) < appetite)
        .collect();
    let mut faults = Vec::new();
    for family in active {
        let most = *random.choice([1, 3, 10].iter()).unwrap_or(&1);
        for _ in 0..random.usize(1..=most) {
            faults.push(family(random, until));
        }
    }
    faults
}

fn time(random: &mut Rng, until: u64) -> When {
    When::At(random.u64(0..until.max(1)))
}

/// A write: any, or one of a kind.
fn write(random: &mut Rng, until: u64) -> When {
    if random.u8(0..4) == 0 {
        return time(random, until);
    }
    let kind = random
        .bool()
        .then(|| random.choice(WRITTEN.iter()).map(|kind| (*kind).to_owned()))
        .flatten();
    let most = if kind.is_some() { WRITES / 4 } else { WRITES };
    When::Request(Request {
        n: random.u32(1..=most),
        verb: None,
        kind,
        name: None,
    })
}

/// A write, or seldom a list: of a write more can follow.
fn request(random: &mut Rng, until: u64) -> When {
    if random.u8(0..8) > 0 {
        return write(random, until);
    }
    When::Request(Request {
        n: random.u32(1..=30),
        verb: Some(if random.bool() {
            Verb::List
        } else {
            Verb::Watch
        }),
        kind: None,
        name: None,
    })
}

fn watched(random: &mut Rng) -> String {
    (*random.choice(WATCHED.iter()).unwrap_or(&"rollouts")).to_owned()
}

fn moment(random: &mut Rng) -> Moment {
    if random.bool() {
        Moment::Before
    } else {
        Moment::After
    }
}

/// From instants to longer than any deadline of ours.
fn while_(random: &mut Rng) -> u64 {
    let magnitude = *random
        .choice([100, 1_000, 6_000, 40_000].iter())
        .unwrap_or(&100);
    random.u64(1..=magnitude)
}

fn crash(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: write(random, until),
        what: What::Crash(moment(random)),
    }
}

fn broken(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: request(random, until),
        what: What::Break(moment(random)),
    }
}

fn duplicate(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: write(random, until),
        what: What::Duplicate {
            after: while_(random),
        },
    }
}

fn delay(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: request(random, until),
        what: What::Delay { by: while_(random) },
    }
}

fn refusal(random: &mut Rng, until: u64) -> Fault {
    let code = *random
        .choice([409, 410, 429, 500, 503, 504].iter())
        .unwrap_or(&500);
    Fault {
        when: request(random, until),
        what: What::Refuse {
            code,
            moment: if code == 504 {
                moment(random)
            } else {
                Moment::Before
            },
            retry_after: (code == 429).then(|| random.u64(1..=5)),
        },
    }
}

fn hold(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: time(random, until),
        what: What::Hold {
            kind: watched(random),
            by: while_(random),
        },
    }
}

fn cut(random: &mut Rng, until: u64) -> Fault {
    let how = *random
        .choice([Cut::Clean, Cut::MidLine, Cut::Gone].iter())
        .unwrap_or(&Cut::Clean);
    Fault {
        when: time(random, until),
        what: What::Cut {
            kind: watched(random),
            how,
        },
    }
}

fn lag(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: time(random, until),
        what: What::Lag {
            kind: watched(random),
            by: random.u64(50..=5_000),
        },
    }
}

fn compaction(random: &mut Rng, until: u64) -> Fault {
    Fault {
        when: time(random, until),
        what: What::Compact,
    }
}

fn clock(random: &mut Rng, until: u64) -> Fault {
    let by = i64::try_from(while_(random)).unwrap_or(0);
    Fault {
        when: time(random, until),
        what: What::Step {
            by: if random.bool() { by } else { -by },
        },
    }
}

/// The process hangs, or a second one acts.
fn process(random: &mut Rng, until: u64) -> Fault {
    let by = while_(random);
    let what = if random.bool() {
        What::Freeze { by }
    } else {
        What::Second { by }
    };
    Fault {
        when: write(random, until),
        what,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a fault is called.
    fn called(fault: &Fault) -> String {
        let what = serde_json::to_value(&fault.what).expect("JSON");
        what.as_str()
            .map_or_else(
                || what.as_object().and_then(|all| all.keys().next().cloned()),
                |name| Some(name.to_owned()),
            )
            .unwrap_or_default()
    }

    #[test]
    fn every_kind_is_drawn_and_often_alone() {
        let mut alone = BTreeSet::new();
        for seed in 0..300 {
            let faults = faults(&mut Rng::with_seed(seed), 60_000);
            let kinds: BTreeSet<String> = faults.iter().map(called).collect();
            if kinds.len() == 1 {
                alone.extend(kinds);
            }
        }
        let all = [
            "break",
            "compact",
            "crash",
            "cut",
            "delay",
            "duplicate",
            "freeze",
            "hold",
            "lag",
            "refuse",
            "second",
            "step",
        ];
        assert_eq!(alone.iter().map(String::as_str).collect::<Vec<_>>(), all);
    }

    #[test]
    fn the_same_numbers_draw_the_same() {
        let drawn = [1, 1, 2].map(|seed| faults(&mut Rng::with_seed(seed), 60_000));
        assert_eq!((drawn[0] == drawn[1], drawn[0] == drawn[2]), (true, false));
    }
}
