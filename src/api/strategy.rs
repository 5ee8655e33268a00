//! The two strategies by what they have in common: Services, delays, and what only one of them has.
//!
//! What they call by different names plays the same parts: the active Service is the one that leads to the stable version,
//! the preview Service the one that leads to the new one. Not here: the fields themselves (`canary`, `blue_green`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    analysis::RolloutAnalysis, bake::Bake, blue_green::BlueGreenStrategy, canary::CanaryStrategy,
    steps::CanaryStep, traffic_routing::TrafficRouting,
};

/// Exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// The new version takes traffic step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStrategy>,
    /// The new version takes all traffic at once, after it was tried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenStrategy>,
}

/// The one strategy that is declared.
#[derive(Clone, Copy, Debug)]
pub enum Declared<'a> {
    /// `spec.strategy.canary`.
    Canary(&'a CanaryStrategy),
    /// `spec.strategy.blueGreen`.
    BlueGreen(&'a BlueGreenStrategy),
}

/// What a Service is to a Rollout, as in its annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceRole {
    /// `stableService`.
    Stable,
    /// `canaryService`.
    Canary,
    /// `activeService`.
    Active,
    /// `previewService`.
    Preview,
}

impl ServiceRole {
    const ALL: [Self; 4] = [Self::Stable, Self::Canary, Self::Active, Self::Preview];

    /// As in the annotation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Preview => "preview",
        }
    }

    /// From the annotation.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it leads to what serves at rest, rather than to what is being tried out.
    pub const fn serves(self) -> bool {
        match self {
            Self::Stable | Self::Active => true,
            Self::Canary | Self::Preview => false,
        }
    }
}

/// Where the strategies name Services: below `spec.strategy`.
const SERVICES: [(&str, &str); 4] = [
    ("canary", "stableService"),
    ("canary", "canaryService"),
    ("blueGreen", "activeService"),
    ("blueGreen", "previewService"),
];

/// The Services that a Rollout's JSON names, also one whose spec cannot be read.
pub fn services_named(rollout: &Value) -> impl Iterator<Item = &str> {
    let strategy = rollout.pointer("/spec/strategy");
    SERVICES
        .into_iter()
        .filter_map(move |(kind, field)| strategy?.get(kind)?.get(field)?.as_str())
}

impl Strategy {
    /// The declared one; `None` when there is none, or both.
    pub fn declared(&self) -> Option<Declared<'_>> {
        match (&self.canary, &self.blue_green) {
            (Some(canary), None) => Some(Declared::Canary(canary)),
            (None, Some(blue_green)) => Some(Declared::BlueGreen(blue_green)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

impl<'a> Declared<'a> {
    /// As the field in `spec.strategy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canary(_) => "canary",
            Self::BlueGreen(_) => "blueGreen",
        }
    }

    /// The canary, if it is one.
    pub const fn canary(self) -> Option<&'a CanaryStrategy> {
        match self {
            Self::Canary(canary) => Some(canary),
            Self::BlueGreen(_) => None,
        }
    }

    /// The Service that leads to the stable version.
    pub fn stable_service(self) -> Option<&'a String> {
        match self {
            Self::Canary(canary) => canary.stable_service.as_ref(),
            Self::BlueGreen(blue_green) => Some(&blue_green.active_service),
        }
    }

    /// The Service that leads to the new version.
    pub fn canary_service(self) -> Option<&'a String> {
        match self {
            Self::Canary(canary) => canary.canary_service.as_ref(),
            Self::BlueGreen(blue_green) => blue_green.preview_service.as_ref(),
        }
    }

    /// Both Services with the names of their fields, where they are set.
    pub fn services(self) -> impl Iterator<Item = (&'static str, &'a String)> {
        let [stable, canary] = match self {
            Self::Canary(_) => ["stableService", "canaryService"],
            Self::BlueGreen(_) => ["activeService", "previewService"],
        };
        [
            (stable, self.stable_service()),
            (canary, self.canary_service()),
        ]
        .into_iter()
        .filter_map(|(field, name)| Some((field, name?)))
    }

    /// What happens in which order; a blue-green release has no steps.
    pub fn steps(self) -> &'a [CanaryStep] {
        self.canary().map_or(&[], |canary| &canary.steps)
    }

    /// Who splits the traffic.
    pub fn traffic_routing(self) -> Option<&'a TrafficRouting> {
        self.canary()?.traffic_routing.as_ref()
    }

    /// The whole of the traffic: weights are 0 to this.
    pub fn max_weight(self) -> i32 {
        self.canary().map_or(100, CanaryStrategy::max_weight)
    }

    /// Every analysis that it declares, with its path below `spec.strategy.<name>`.
    pub fn analyses(self) -> Vec<(String, RolloutAnalysis)> {
        match self {
            Self::Canary(canary) => {
                let steps = canary.steps.iter().enumerate().filter_map(|(index, step)| {
                    Some((format!("steps[{index}].analysis"), step.analysis.clone()?))
                });
                let background = canary
                    .analysis
                    .iter()
                    .map(|background| ("analysis".to_owned(), background.analysis.clone()));
                let bake = bake_analysis(self);
                steps.chain(background).chain(bake).collect()
            }
            Self::BlueGreen(blue_green) => [
                ("prePromotionAnalysis", &blue_green.pre_promotion_analysis),
                ("postPromotionAnalysis", &blue_green.post_promotion_analysis),
            ]
            .into_iter()
            .filter_map(|(field, analysis)| Some((field.to_owned(), analysis.clone()?)))
            .chain(bake_analysis(self))
            .collect(),
        }
    }

    /// What happens between all traffic and the promotion.
    pub const fn bake(self) -> Option<&'a Bake> {
        match self {
            Self::Canary(canary) => canary.bake.as_ref(),
            Self::BlueGreen(blue_green) => blue_green.bake.as_ref(),
        }
    }

    /// `scaleDownDelaySeconds`, if set.
    pub const fn scale_down_delay_seconds(self) -> Option<i32> {
        match self {
            Self::Canary(canary) => canary.scale_down_delay_seconds,
            Self::BlueGreen(blue_green) => blue_green.scale_down_delay_seconds,
        }
    }

    /// `scaleDownDelayRevisionLimit`, if set.
    pub const fn scale_down_delay_revision_limit(self) -> Option<i32> {
        match self {
            Self::Canary(canary) => canary.scale_down_delay_revision_limit,
            Self::BlueGreen(blue_green) => blue_green.scale_down_delay_revision_limit,
        }
    }

    /// `abortScaleDownDelaySeconds`, if set.
    pub const fn abort_scale_down_delay_seconds(self) -> Option<i32> {
        match self {
            Self::Canary(canary) => canary.abort_scale_down_delay_seconds,
            Self::BlueGreen(blue_green) => blue_green.abort_scale_down_delay_seconds,
        }
    }
}

fn bake_analysis(strategy: Declared<'_>) -> Option<(String, RolloutAnalysis)> {
    let analysis = strategy.bake()?.analysis.clone()?;
    Some(("bake.analysis".to_owned(), analysis))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::services_named;

    #[test]
    fn services_of_both_strategies_are_found() {
        for (strategy, expected) in [
            (
                json!({"canary": {"stableService": "s", "canaryService": "c"}}),
                vec!["s", "c"],
            ),
            (json!({"blueGreen": {"activeService": "a"}}), vec!["a"]),
            (json!({"canary": {"stableService": 1}}), vec![]),
        ] {
            let rollout = json!({"spec": {"strategy": strategy}});
            assert_eq!(services_named(&rollout).collect::<Vec<_>>(), expected);
        }
    }
}
