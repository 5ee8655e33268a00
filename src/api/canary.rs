//! The canary strategy as declared.
//!
//! Not here: its steps (`steps`) and routers (`traffic_routing`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    analysis::RolloutAnalysisBackground,
    anti_affinity::AntiAffinity,
    bake::Bake,
    rollout::{Amount, is_false},
    steps::CanaryStep,
    traffic_routing::TrafficRouting,
};

/// The new version takes traffic step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStrategy {
    /// Service that selects only the new version's pods. Needed by a router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_service: Option<String>,
    /// Service that selects only the stable version's pods. Needed by a router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_service: Option<String>,
    /// What happens in which order. Without steps the Rollout is a rolling update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub steps: Vec<CanaryStep>,
    /// Who splits the traffic. Without it the share of pods is the share of traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_routing: Option<TrafficRouting>,
    /// Pods above `replicas` during an update without a router: a number or a percentage. Defaults to 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<Amount>,
    /// Pods below `replicas` during an update without a router: a number or a percentage. Defaults to 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Amount>,
    /// An analysis that goes on during the whole update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<RolloutAnalysisBackground>,
    /// Keeps the new version's pods away from the stable version's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<AntiAffinity>,
    /// Labels and annotations of pods while they are the canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_metadata: Option<PodTemplateMetadata>,
    /// Labels and annotations of pods while they are stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_metadata: Option<PodTemplateMetadata>,
    /// Seconds that the old version's pods stay after the last traffic left them. Defaults to 30; only with `trafficRouting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub scale_down_delay_seconds: Option<i32>,
    /// How many old versions may be kept alive by that delay. Defaults to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub scale_down_delay_revision_limit: Option<i32>,
    /// Seconds that an aborted version's pods stay. Defaults to 30; 0 keeps them; only with `trafficRouting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub abort_scale_down_delay_seconds: Option<i32>,
    /// Shrinks the stable version as traffic leaves it. Defaults to false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dynamic_stable_scale: bool,
    /// Two Services that take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_pong: Option<PingPong>,
    /// Least number of pods of each version that has traffic, at most `spec.replicas`. Only with `trafficRouting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_pods_per_replica_set: Option<i32>,
    /// How many pods must be available before a step counts as scaled. Defaults to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_progress_threshold: Option<ReplicaProgressThreshold>,
    /// How many pods of the new version may be not yet available at one time: a number or a percentage of `spec.replicas`,
    /// at least one. Defaults to no bound; only with `trafficRouting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pending_pods: Option<Amount>,
    /// Keeps the old version whole for a while after the new one has all traffic, and goes back to it if an analysis fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake: Option<Bake>,
}

/// Labels and annotations added to pods for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodTemplateMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Two Services that take turns in being the stable one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PingPong {
    /// One Service.
    pub ping_service: String,
    /// The other.
    pub pong_service: String,
}

/// When a step counts as scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaProgressThreshold {
    /// Percent or Pods.
    #[serde(rename = "type")]
    pub type_: String,
    /// The percentage or number of pods.
    pub value: i32,
}

/// The types of a `replicaProgressThreshold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdType {
    /// `value` is a percentage of the pods that there should be.
    Percent,
    /// `value` is a number of pods.
    Pods,
}

impl ThresholdType {
    /// From the field.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "Percent" => Some(Self::Percent),
            "Pods" => Some(Self::Pods),
            _ => None,
        }
    }
}

impl CanaryStrategy {
    /// The whole of the traffic: weights are 0 to this.
    pub fn max_weight(&self) -> i32 {
        self.traffic_routing
            .as_ref()
            .and_then(|routing| routing.max_traffic_weight)
            .unwrap_or(100)
    }
}
