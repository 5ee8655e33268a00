//! A cluster that behaves otherwise from some time on.

use std::time::Duration;

use super::{gateway, gitops};
use crate::sim::{
    metrics::MetricFault,
    nature::{Mood, Span},
    traffic::rate::Rate,
    world::World,
};

/// What is otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// How long ready pods stay so; for those that become ready from now on.
    Flaps(Option<Span>),
    /// How long containers run; for those that start from now on.
    Crashes(Option<Span>),
    /// How long pods take to start.
    Start(Span),
    /// How long pods go on serving after they were told to end, in milliseconds.
    Grace(u64),
    /// How many pods there may be.
    Quota(Option<usize>),
    /// How late EndpointSlices are.
    EndpointsLag(Span),
    /// What the Gateways' controller says.
    Gateway(Mood),
    /// What goes wrong with queries, and for which share of them.
    Metrics(Vec<(f64, MetricFault)>),
    /// The share of times at which the metric server reads nothing.
    Gaps(f64),
    /// How many requests come in.
    Load(Rate),
    /// A GitOps agent looks after what there is, so often; or none does.
    GitOps(Option<Duration>),
}

pub(super) fn take(world: &mut World, turn: Turn) {
    world.note(format_args!("from now on {turn:?}"));
    match turn {
        Turn::Flaps(span) => world.nature.flaps = span,
        Turn::Crashes(span) => world.nature.crashes = span,
        Turn::Start(span) => world.nature.start = span,
        Turn::Grace(millis) => world.nature.grace = Duration::from_millis(millis),
        Turn::Quota(most) => world.nature.quota = most,
        Turn::EndpointsLag(span) => world.nature.endpoints_lag = span,
        Turn::Gateway(mood) => gateway::turn(world, mood),
        Turn::Metrics(faults) => world.traffic.backend.metrics.faults = faults,
        Turn::Gaps(share) => {
            world.count_requests();
            world.traffic.backend.metrics.gaps = share;
        }
        Turn::Load(rate) => {
            world.count_requests();
            world.traffic.load.rate = rate;
        }
        Turn::GitOps(Some(every)) => gitops::adopt(world, every),
        Turn::GitOps(None) => gitops::end(world),
    }
}
