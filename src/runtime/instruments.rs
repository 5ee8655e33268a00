//! The metrics of the process. What they mean is in their help texts.
//!
//! Every label is a word from the program or from a fixed list, so the number of series is bounded. Only the series
//! about Rollouts carry names, and they exist only as long as their Rollout (`instruments/rollouts`).

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

pub mod requests;
pub mod rollouts;

pub use requests::CountRequests;
use requests::RequestLabels;
use rollouts::Rollouts;
pub use rollouts::{ReplicaCounts, RolloutSample};

/// The content type of [`Instruments::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// 5 ms to 10 s and beyond: a reconcile without writes to one that waits for a slow API server.
const RECONCILE_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// 10 ms to 60 s: a measurement may wait for its provider as long as its timeout allows.
const MEASUREMENT_BUCKETS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: &'static str,
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MeasurementLabels {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    outcome: &'static str,
}

/// All metrics of the process. Cheap to clone; clones count into the same series.
#[derive(Clone)]
pub struct Instruments {
    registry: Arc<Registry>,
    reconciles: Histograms<ReconcileLabels>,
    reconcile_errors: Family<ErrorLabels, Counter>,
    actions: Family<ActionLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    measurements: Histograms<MeasurementLabels>,
    events: Family<EventLabels, Counter>,
    leader: Gauge,
    rollouts: Arc<Rollouts>,
}

impl Default for Instruments {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Instruments")
            .finish_non_exhaustive()
    }
}

impl Instruments {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        let reconciles: Histograms<ReconcileLabels> =
            Family::new_with_constructor(|| Histogram::new(RECONCILE_BUCKETS));
        let measurements: Histograms<MeasurementLabels> =
            Family::new_with_constructor(|| Histogram::new(MEASUREMENT_BUCKETS));
        let reconcile_errors = Family::default();
        let actions = Family::default();
        let requests = Family::default();
        let events = Family::default();
        let leader = Gauge::default();
        let rollouts = Arc::new(Rollouts::default());

        let mut registry = Registry::with_prefix("tidegate");
        registry.register(
            "build",
            "The version that runs",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_with_unit(
            "reconcile",
            "How long one pass over one object took, from reading the caches to the last write",
            Unit::Seconds,
            reconciles.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Passes that ended with an error",
            reconcile_errors.clone(),
        );
        registry.register(
            "actions",
            "Decided actions that were carried out or failed",
            actions.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the Kubernetes API by the code of the answer; error: no answer came, \
             cancelled: given up at its deadline",
            requests.clone(),
        );
        registry.register_with_unit(
            "measurement",
            "How long one measurement took at its provider",
            Unit::Seconds,
            measurements.clone(),
        );
        registry.register(
            "events",
            "Kubernetes Events; dropped: more came than could be sent, and none is worth delaying a release",
            events.clone(),
        );
        registry.register(
            "leader",
            "1 if this replica acts, 0 if it stands by",
            leader.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&rollouts)));

        let registry = Arc::new(registry);
        Self {
            registry,
            reconciles,
            reconcile_errors,
            actions,
            requests,
            measurements,
            events,
            leader,
            rollouts,
        }
    }

    /// Notes one pass over an object of `kind`.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels { kind, outcome })
            .observe(took.as_secs_f64());
    }

    /// Counts a pass over an object of `kind` that ended with an error of this category.
    pub fn reconcile_failed(&self, kind: &'static str, category: &'static str) {
        self.reconcile_errors
            .get_or_create(&ErrorLabels { kind, category })
            .inc();
    }

    /// Counts an action.
    pub fn acted(&self, action: &'static str, outcome: &'static str) {
        self.actions
            .get_or_create(&ActionLabels { action, outcome })
            .inc();
    }

    /// Notes one measurement.
    pub fn measured(&self, provider: &'static str, outcome: &'static str, took: Duration) {
        self.measurements
            .get_or_create(&MeasurementLabels { provider, outcome })
            .observe(took.as_secs_f64());
    }

    /// Counts an Event: published, failed or dropped.
    pub(super) fn event(&self, outcome: &'static str) {
        self.events.get_or_create(&EventLabels { outcome }).inc();
    }

    /// Says whether this replica acts.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Shows a live Rollout as it is now.
    pub fn upsert(&self, namespace: &str, name: &str, sample: RolloutSample) {
        self.rollouts.upsert(namespace, name, sample);
    }

    /// Ends the series of a Rollout that is gone.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.rollouts.remove(namespace, name);
    }

    /// Ends the series of all Rollouts that `is_live(namespace, name)` does not know: for after a list.
    pub fn retain(&self, is_live: impl Fn(&str, &str) -> bool) {
        self.rollouts.retain(is_live);
    }

    /// A layer for a client which counts its requests.
    pub fn count_requests<B>(&self) -> requests::CountLayer<B> {
        requests::CountLayer::new(self.requests.clone())
    }

    /// Everything in OpenMetrics text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
