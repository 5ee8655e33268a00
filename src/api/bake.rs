//! The bake of a release: all traffic is on the new version, and the old one is kept whole in case it is needed.
//!
//! Not here: what is done with it (`rollout::decide::bake`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::{apis::meta::v1::Time, util::intstr::IntOrString};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{analysis::RolloutAnalysis, rollout::is_false, rollout_status::AnalysisRunReference};

/// What happens between all traffic and the promotion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bake {
    /// How long the old version stays warm at its full size: seconds as a number, or a duration such as `1h`. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<IntOrString>,
    /// Measures during that time. A failure puts all traffic back to the old version at once; what still runs at the end is
    /// ended, and must have found something good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<RolloutAnalysis>,
}

/// State of a bake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BakeStatus {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub started_at: Option<Timestamp>,
    /// A person has ended it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub promoted: bool,
    /// Its AnalysisRun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_run_status: Option<AnalysisRunReference>,
}

impl BakeStatus {
    /// For serde: nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
