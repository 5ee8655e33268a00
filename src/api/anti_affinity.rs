//! `antiAffinity`: how strongly a new version's pods are kept away from the stable version's nodes.
//!
//! Not here: the rule in the pod template (`rollout::decide::anti_affinity`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AntiAffinity {
    /// A node without pods of the stable version is preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_during_scheduling_ignored_during_execution: Option<PreferredAntiAffinity>,
    /// Only a node without pods of the stable version will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<RequiredAntiAffinity>,
}

/// How much it weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredAntiAffinity {
    /// 1 to 100, against other preferences of the pod.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
}

/// Has no members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequiredAntiAffinity {}
