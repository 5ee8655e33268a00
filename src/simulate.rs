//! What a Rollout will do, played without a cluster: the same decisions, on the simulated cluster, in discrete time.
//!
//! [`simulate`] takes manifests and a scenario and gives a [`Simulation`]: what happens when, how traffic and pods go, what each
//! analysis says, and what it comes to. There is no clock and no I/O: the same input gives the same answer.
//!
//! Not here: how it is shown (`cli::simulate`), and the cluster itself (`sim`).

pub mod error;
pub mod manifests;
mod metrics;
mod play;
pub mod scenario;
pub mod story;
mod traffic;

use std::{collections::BTreeMap, time::Duration};

pub use error::SimulateError;
use manifests::Manifests;
pub use metrics::overrides::{MetricOverride, NamedOverride, NoOverride};
use scenario::Scenario;
use story::Simulation;

/// What is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the new version is like, and what happens to it.
    pub scenario: Scenario,
    /// The image of the new version: `image`, or `container=image`. `None`: the image with another tag.
    pub image: Option<String>,
    /// Requests of users per second.
    pub rps: f64,
    /// The share of a bad version's answers that are errors, 0 to 1.
    pub error_rate: f64,
    /// When a fault comes that does not come with the start.
    pub after: Duration,
    /// How long a pod takes until its container runs, give or take a fifth.
    pub pod_start: Duration,
    /// When a person lets a pause end that waits for one; `None`: nobody does.
    pub promote_after: Option<Duration>,
    /// How long to play at most.
    pub limit: Duration,
    /// What chance follows from.
    pub seed: u64,
    /// Values of metrics, by their names, instead of what would be assumed.
    pub metrics: BTreeMap<String, MetricOverride>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scenario: Scenario::Good,
            image: None,
            rps: 50.0,
            error_rate: 0.5,
            after: Duration::from_secs(30),
            pod_start: Duration::from_secs(5),
            promote_after: Some(Duration::from_mins(1)),
            limit: Duration::from_hours(168),
            seed: 1,
            metrics: BTreeMap::new(),
        }
    }
}

/// Plays the release of a new version: the version before it is deployed first, which is not told.
pub fn simulate(manifests: &Manifests, options: &Options) -> Result<Simulation, SimulateError> {
    let mut play = play::Play::begin(manifests, options)?;
    play.deploy()?;
    play.release()?;
    Ok(play.end())
}
