//! Troubles as data: what goes wrong in the cluster itself, and what people and their programs do meanwhile. A list of them can
//! be printed, read again and played again, like one of `faults`.
//!
//! Not here: what goes wrong between the controller and the server (`faults`), and what each trouble is like (the actors).

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tidegate::{
    api::request::Verb,
    sim::{
        actors::{Due, nodes, person, turns::Turn},
        metrics::MetricFault,
        nature::{Mood, Nature, Span},
        store::Key,
        traffic::rate::Rate,
        world::World,
    },
};

/// One trouble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// When it begins, in milliseconds since the beginning.
    pub(super) at: u64,
    /// How long it lasts, in milliseconds; for what lasts.
    pub(super) lasts: u64,
    /// What it is.
    pub(super) what: What,
}

/// What may be. Times are milliseconds, shares are percents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum What {
    /// Pods lose their readiness about so often.
    Flaps { every: u64 },
    /// Containers crash about so often.
    Crashes { every: u64 },
    /// Pods take so much longer to start.
    SlowStart { by: u64 },
    /// A node is lost.
    Node { number: u32 },
    /// There is room for so many pods.
    Quota { pods: usize },
    /// EndpointSlices are so late.
    LateEndpoints { by: u64 },
    /// The Gateways' controller refuses every route, or says nothing.
    Gateway { silent: bool },
    /// Queries go wrong.
    Metrics { share: u8, how: Wrong },
    /// The metric server reads less often.
    Gaps { share: u8 },
    /// So many requests come in per second.
    Requests { rate: u32 },
    /// A person asks for something.
    Ask { verb: Verb },
    /// A person pauses the Rollout, and lets it go on.
    Pause,
    /// A person changes the image.
    Image { image: String },
    /// A person changes the size.
    Scale { replicas: i64 },
    /// A person deletes the Rollout, and creates it again.
    Delete { orphan: bool },
    /// A GitOps agent applies what there is when it comes, so often.
    GitOps { every: u64 },
}

/// How a query goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Wrong {
    Empty,
    NaN,
    Refused,
    NoAnswer,
    Unreachable,
    Slow,
    OtherType,
}

impl Wrong {
    const ALL: [Self; 7] = [
        Self::Empty,
        Self::NaN,
        Self::Refused,
        Self::NoAnswer,
        Self::Unreachable,
        Self::Slow,
        Self::OtherType,
    ];

    fn fault(self) -> MetricFault {
        match self {
            Self::Empty => MetricFault::Empty,
            Self::NaN => MetricFault::NaN,
            Self::Refused => MetricFault::Status(500),
            Self::NoAnswer => MetricFault::NoAnswer,
            Self::Unreachable => MetricFault::Unreachable,
            Self::Slow => MetricFault::Slow(Duration::from_secs(8)),
            Self::OtherType => MetricFault::WrongType,
        }
    }
}

impl What {
    /// Whether a version with traffic may be given fewer pods because of it: another size, or a version that still has the pods of
    /// its last release. Pods that are too many among their like have to go on for a while, or lose requests whoever asks.
    fn may_shrink(&self) -> bool {
        match self {
            Self::Ask { .. }
            | Self::Pause
            | Self::Image { .. }
            | Self::Scale { .. }
            | Self::GitOps { .. } => true,
            Self::Flaps { .. }
            | Self::Crashes { .. }
            | Self::SlowStart { .. }
            | Self::Node { .. }
            | Self::Quota { .. }
            | Self::LateEndpoints { .. }
            | Self::Gateway { .. }
            | Self::Metrics { .. }
            | Self::Gaps { .. }
            | Self::Requests { .. }
            | Self::Delete { .. } => false,
        }
    }

    /// Whether a release may come to another end because of it: people want something else, or nobody can say how good it is.
    pub(super) fn may_change_the_end(&self) -> bool {
        match self {
            Self::Flaps { .. }
            | Self::Crashes { .. }
            | Self::SlowStart { .. }
            | Self::Node { .. }
            | Self::Quota { .. }
            | Self::LateEndpoints { .. }
            | Self::Gateway { .. }
            | Self::Pause => false,
            Self::Metrics { .. }
            | Self::Gaps { .. }
            | Self::Requests { .. }
            | Self::Ask { .. }
            | Self::Image { .. }
            | Self::Scale { .. }
            | Self::Delete { .. }
            | Self::GitOps { .. } => true,
        }
    }
}

/// No container waits longer for its next start, in milliseconds.
const LONGEST_BACK_OFF: u64 = 300_000;

/// Troubles that are over at `until`, but for what nodes take.
pub(super) fn draw(random: &mut Rng, until: u64) -> Vec<Trouble> {
    // Swarm: what is always mixed with everything else hides what it does alone.
    let appetite = *random.choice([1, 2, 5].iter()).unwrap_or(&1);
    let active: Vec<u8> = (0..16).filter(|_| random.u8(0..16) < appetite).collect();
    let mut troubles = Vec::new();
    for kind in active {
        for _ in 0..random.usize(1..=3) {
            let at = random.u64(0..until.max(1));
            troubles.push(Trouble {
                at,
                lasts: random.u64(0..=until - at),
                what: one(random, kind),
            });
        }
    }
    troubles
}

fn one(random: &mut Rng, kind: u8) -> What {
    match kind {
        0 => What::Flaps {
            every: random.u64(5_000..60_000),
        },
        1 => What::Crashes {
            every: random.u64(20_000..120_000),
        },
        2 => What::SlowStart {
            by: random.u64(1_000..30_000),
        },
        3 => What::Node {
            number: random.u32(0..3),
        },
        4 => What::Quota {
            pods: random.usize(3..12),
        },
        5 => What::LateEndpoints {
            // With what a proxy is late, less than pods go on for where nothing else protects them.
            by: random.u64(100..1_500),
        },
        6 => What::Gateway {
            silent: random.bool(),
        },
        7 => What::Metrics {
            share: random.u8(10..=100),
            how: *random.choice(Wrong::ALL.iter()).unwrap_or(&Wrong::Empty),
        },
        8 => What::Gaps {
            share: random.u8(10..=100),
        },
        9 => What::Requests {
            rate: random.u32(0..200),
        },
        10 => What::Ask {
            verb: *random
                .choice([Verb::Promote, Verb::PromoteFull, Verb::Abort, Verb::Retry].iter())
                .unwrap_or(&Verb::Abort),
        },
        11 => What::Pause,
        12 => What::Image {
            image: format!("web:{}", random.u8(1..5)),
        },
        13 => What::Scale {
            replicas: random.i64(1..=8),
        },
        14 => What::Delete {
            orphan: random.bool(),
        },
        _ => What::GitOps {
            every: random.u64(5_000..40_000),
        },
    }
}

/// Puts them on the agenda of a world that begins.
pub(super) fn begin(world: &mut World, troubles: &[Trouble]) {
    let (flaps, crashes, start, lag) = {
        let nature: &Nature = &world.nature;
        (
            nature.flaps,
            nature.crashes,
            nature.start,
            nature.endpoints_lag,
        )
    };
    let (quota, mood) = (world.nature.quota, world.nature.gateway.mood);
    let load = world.nature.load.rate;
    if troubles.iter().any(|trouble| trouble.what.may_shrink()) {
        be_graceful(world);
    }
    for trouble in troubles {
        let at = Duration::from_millis(trouble.at);
        let end = at + Duration::from_millis(trouble.lasts);
        let mut turn = |from: Turn, to: Turn| {
            world.plan(at, Due::Turn(from));
            world.plan(end, Due::Turn(to));
        };
        let about = |every: u64| Some(Span::millis(every / 2, every * 3 / 2));
        match &trouble.what {
            What::Flaps { every } => turn(Turn::Flaps(about(*every)), Turn::Flaps(flaps)),
            What::Crashes { every } => turn(Turn::Crashes(about(*every)), Turn::Crashes(crashes)),
            What::SlowStart { by } => turn(
                Turn::Start(Span::millis(*by, by + 2_000)),
                Turn::Start(start),
            ),
            What::Node { number } => world.plan(at, Due::Node(*number, nodes::Step::Lost)),
            What::Quota { pods } => turn(Turn::Quota(Some(*pods)), Turn::Quota(quota)),
            What::LateEndpoints { by } => turn(
                Turn::EndpointsLag(Span::millis(by / 2, *by)),
                Turn::EndpointsLag(lag),
            ),
            What::Gateway { silent } => {
                let other = if *silent { Mood::Silent } else { Mood::Refuses };
                turn(Turn::Gateway(other), Turn::Gateway(mood));
            }
            What::Metrics { share, how } => turn(
                Turn::Metrics(vec![(f64::from(*share) / 100.0, how.fault())]),
                Turn::Metrics(Vec::new()),
            ),
            What::Gaps { share } => {
                turn(Turn::Gaps(f64::from(*share) / 100.0), Turn::Gaps(0.0));
            }
            What::Requests { rate } => turn(
                Turn::Load(Rate::Constant(f64::from(*rate))),
                Turn::Load(load),
            ),
            What::Ask { verb } => wish(world, at, person::What::Request(*verb)),
            What::Pause => {
                wish(world, at, person::What::Pause(true));
                wish(world, end, person::What::Pause(false));
            }
            What::Image { image } => wish(world, at, person::What::Image(image.clone())),
            What::Scale { replicas } => wish(world, at, person::What::Scale(*replicas)),
            What::Delete { orphan } => {
                wish(world, at, person::What::Delete { orphan: *orphan });
                wish(world, end, person::What::CreateAgain);
            }
            What::GitOps { every } => turn(
                Turn::GitOps(Some(Duration::from_millis(*every))),
                Turn::GitOps(None),
            ),
        }
    }
}

/// Pods go on for a while after they were told to end.
pub(super) fn be_graceful(world: &mut World) {
    let grace = world.nature.grace.max(Duration::from_secs(3));
    let millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    world.plan(Duration::ZERO, Due::Turn(Turn::Grace(millis)));
}

/// When nothing comes of them any more. A container whose end was planned while they went on still crashes, and is started
/// again when its back-off is over.
pub(super) fn over(troubles: &[Trouble]) -> Duration {
    let end = |trouble: &Trouble| {
        let after = match trouble.what {
            What::Flaps { every } => every * 3 / 2,
            What::Crashes { every } => every * 3 / 2 + LONGEST_BACK_OFF,
            What::SlowStart { .. }
            | What::Node { .. }
            | What::Quota { .. }
            | What::LateEndpoints { .. }
            | What::Gateway { .. }
            | What::Metrics { .. }
            | What::Gaps { .. }
            | What::Requests { .. }
            | What::Ask { .. }
            | What::Pause
            | What::Image { .. }
            | What::Scale { .. }
            | What::Delete { .. }
            | What::GitOps { .. } => 0,
        };
        Duration::from_millis(trouble.at + trouble.lasts + after)
    };
    troubles.iter().map(end).max().unwrap_or_default()
}

fn wish(world: &mut World, at: Duration, what: person::What) {
    let rollout = Key::new("rollouts", "default", "web");
    person::plan(world, at, person::Wish { rollout, what });
}

#[test]
fn what_is_drawn_can_be_written_down_and_played_again() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let troubles = draw(&mut Rng::with_seed(seed), 90_000);
        let text = serde_json::to_string(&troubles).expect("JSON");
        let read: Vec<Trouble> = serde_json::from_str(&text).expect("troubles");
        assert_eq!(read, troubles);
        for trouble in &troubles {
            assert!(trouble.at + trouble.lasts <= 90_000);
            let shown = format!("{:?}", trouble.what);
            kinds.insert(shown.split(' ').next().unwrap_or_default().to_owned());
        }
        let mut world = World::new(seed, jiff::Timestamp::UNIX_EPOCH, Nature::default());
        begin(&mut world, &troubles);
        assert_eq!(world.next_due().is_none(), troubles.is_empty());
    }
    assert_eq!(kinds.len(), 16, "{kinds:?}");
}
