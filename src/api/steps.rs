//! The steps of a canary as declared.
//!
//! Not here: when a step is done (`rollout::decide::steps`).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{analysis::RolloutAnalysis, experiment::step::ExperimentStep, pod_template::FreeForm};

/// One step: exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// The share of traffic for the new version, 0 to `maxTrafficWeight` (100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub set_weight: Option<i32>,
    /// Waits for a time, or without `duration` until promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<PauseStep>,
    /// Waits until an analysis is successful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<RolloutAnalysis>,
    /// Runs an Experiment, and waits until it is successful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentStep>,
    /// Sets the number of canary pods apart from the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_canary_scale: Option<SetCanaryScale>,
    /// Sends requests with certain headers to the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_header_route: Option<SetHeaderRoute>,
    /// Copies requests to the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_mirror_route: Option<FreeForm>,
    /// Runs a plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<FreeForm>,
}

/// A pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseStep {
    /// How long: seconds as a number, or a duration such as `5m`. Absent: until promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<IntOrString>,
}

/// The number of canary pods until the next such step: exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetCanaryScale {
    /// As many pods as this weight would need: its share of `spec.replicas`, a percentage unless `maxTrafficWeight` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub weight: Option<i32>,
    /// So many pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// `true`: as many pods as the traffic weight needs, as without this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_traffic_weight: Option<bool>,
}

/// A route for requests with certain headers, to the new version alone, until the same step without `match`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetHeaderRoute {
    /// Its name: one of `trafficRouting.managedRoutes`.
    pub name: String,
    /// What a request must have, all of it. None: the route of this name is removed.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub matches: Vec<HeaderMatch>,
}

/// What a request must have in one header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// The name of the header.
    pub header_name: String,
    /// Its value.
    pub header_value: StringMatch,
}

/// The value of a header: exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StringMatch {
    /// This value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exact: String,
    /// A value that begins with this.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// A value that this regular expression matches, as the proxy reads it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub regex: String,
}

/// How a header's value is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueMatch<'a> {
    /// This value.
    Exact(&'a str),
    /// A value that begins with this.
    Prefix(&'a str),
    /// A regular expression.
    Regex(&'a str),
}

impl StringMatch {
    /// The one member. `None` when there is none or more than one; an empty text is none.
    pub fn kind(&self) -> Option<ValueMatch<'_>> {
        match (&*self.exact, &*self.prefix, &*self.regex) {
            ("", "", "") => None,
            (exact, "", "") => Some(ValueMatch::Exact(exact)),
            ("", prefix, "") => Some(ValueMatch::Prefix(prefix)),
            ("", "", regex) => Some(ValueMatch::Regex(regex)),
            _ => None,
        }
    }
}

/// How many pods a `setCanaryScale` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryScale {
    /// Those that this weight needs.
    Weight(i32),
    /// So many.
    Replicas(i32),
    /// Those that the traffic weight needs.
    MatchTrafficWeight,
}

impl SetCanaryScale {
    /// The one member. `None` when there is none or more than one.
    pub const fn scale(&self) -> Option<CanaryScale> {
        match self {
            Self {
                weight: Some(weight),
                replicas: None,
                match_traffic_weight: None,
            } => Some(CanaryScale::Weight(*weight)),
            Self {
                weight: None,
                replicas: Some(replicas),
                match_traffic_weight: None,
            } => Some(CanaryScale::Replicas(*replicas)),
            Self {
                weight: None,
                replicas: None,
                match_traffic_weight: Some(true),
            } => Some(CanaryScale::MatchTrafficWeight),
            Self { .. } => None,
        }
    }
}

/// A step with its one member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepKind<'a> {
    /// Weight for the new version.
    SetWeight(i32),
    /// Timed or open pause.
    Pause(&'a PauseStep),
    /// Analysis that must be successful.
    Analysis(&'a RolloutAnalysis),
    /// Experiment that must be successful.
    Experiment(&'a ExperimentStep),
    /// Number of canary pods.
    SetCanaryScale(&'a SetCanaryScale),
    /// Header route, set or removed.
    SetHeaderRoute(&'a SetHeaderRoute),
    /// Not available in this release; refused by `validate`. The name is the member's.
    Unsupported(&'static str),
}

impl CanaryStep {
    /// The names of the members that are set.
    pub fn members(&self) -> Vec<&'static str> {
        let Self {
            set_weight,
            pause,
            analysis,
            experiment,
            set_canary_scale,
            set_header_route,
            set_mirror_route,
            plugin,
        } = self;
        [
            ("setWeight", set_weight.is_some()),
            ("pause", pause.is_some()),
            ("analysis", analysis.is_some()),
            ("experiment", experiment.is_some()),
            ("setCanaryScale", set_canary_scale.is_some()),
            ("setHeaderRoute", set_header_route.is_some()),
            ("setMirrorRoute", set_mirror_route.is_some()),
            ("plugin", plugin.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }

    /// The one member. `None` when there is none or more than one.
    pub fn kind(&self) -> Option<StepKind<'_>> {
        let members = self.members();
        let [name] = members[..] else { return None };
        Some(match self {
            Self {
                set_weight: Some(weight),
                ..
            } => StepKind::SetWeight(*weight),
            Self {
                pause: Some(pause), ..
            } => StepKind::Pause(pause),
            Self {
                analysis: Some(analysis),
                ..
            } => StepKind::Analysis(analysis),
            Self {
                experiment: Some(experiment),
                ..
            } => StepKind::Experiment(experiment),
            Self {
                set_canary_scale: Some(scale),
                ..
            } => StepKind::SetCanaryScale(scale),
            Self {
                set_header_route: Some(route),
                ..
            } => StepKind::SetHeaderRoute(route),
            Self { .. } => StepKind::Unsupported(name),
        })
    }
}
