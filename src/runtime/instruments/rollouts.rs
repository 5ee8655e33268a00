//! The series about single Rollouts. They are rendered from what is live when somebody asks, so none outlives its
//! Rollout.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// What is shown of a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolloutSample {
    /// `canary` or `blueGreen`
    pub strategy: &'static str,
    /// `status.phase`
    pub phase: &'static str,
    /// Percent of the traffic meant for the new version.
    pub weight: u32,
    /// `status.*replicas`
    pub replicas: ReplicaCounts,
}

/// Pods of a Rollout, all versions together, but for `updated`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplicaCounts {
    /// As many as there should be.
    pub desired: u32,
    /// Of the newest version.
    pub updated: u32,
    /// Ready.
    pub ready: u32,
    /// Ready for `minReadySeconds`.
    pub available: u32,
}

impl ReplicaCounts {
    fn by_state(self) -> [(&'static str, u32); 4] {
        let Self {
            desired,
            updated,
            ready,
            available,
        } = self;
        [
            ("desired", desired),
            ("updated", updated),
            ("ready", ready),
            ("available", available),
        ]
    }
}

#[derive(Debug, Default)]
pub(super) struct Rollouts(Mutex<Live>);

type Live = BTreeMap<(String, String), RolloutSample>;

impl Rollouts {
    pub(super) fn upsert(&self, namespace: &str, name: &str, sample: RolloutSample) {
        self.live()
            .insert((namespace.to_owned(), name.to_owned()), sample);
    }

    pub(super) fn remove(&self, namespace: &str, name: &str) {
        self.live().remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub(super) fn retain(&self, is_live: impl Fn(&str, &str) -> bool) {
        self.live()
            .retain(|(namespace, name), _| is_live(namespace, name));
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Rollouts {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        // A copy, so that nobody who is scraped waits for a slow scraper.
        let live = self.live().clone();
        if live.is_empty() {
            return Ok(());
        }
        let mut info = encoder.encode_descriptor(
            "rollout",
            "A Rollout and where it stands",
            None,
            MetricType::Info,
        )?;
        for ((namespace, name), sample) in &live {
            info.encode_info(&[
                ("namespace", namespace.as_str()),
                ("name", name),
                ("strategy", sample.strategy),
                ("phase", sample.phase),
            ])?;
        }
        let help = "Percent of the traffic meant for the new version";
        let mut weight =
            encoder.encode_descriptor("rollout_weight", help, None, MetricType::Gauge)?;
        for ((namespace, name), sample) in &live {
            let labels = [("namespace", namespace.as_str()), ("name", name)];
            ConstGauge::new(sample.weight).encode(weight.encode_family(&labels)?)?;
        }
        let help =
            "Pods of a Rollout; updated counts the newest version, the others count all versions";
        let mut replicas =
            encoder.encode_descriptor("rollout_replicas", help, None, MetricType::Gauge)?;
        for ((namespace, name), sample) in &live {
            for (state, count) in sample.replicas.by_state() {
                let labels = [
                    ("namespace", namespace.as_str()),
                    ("name", name),
                    ("state", state),
                ];
                ConstGauge::new(count).encode(replicas.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
