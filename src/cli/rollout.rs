//! A Rollout as commands look at it: read once, and put into words.
//!
//! Not here: how it got there (`cluster`) and how it is laid out (`get`, `explain`, `status`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::CliError;
use crate::api::{
    names::ApiNames,
    object::CachedObject,
    request::{self, Request},
    rollout::RolloutSpec,
    rollout_status::{Phase, RolloutStatus},
    steps::{CanaryScale, CanaryStep, StepKind},
    strategy::Declared,
};

/// A Rollout.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) created: Option<Timestamp>,
    pub(super) spec: RolloutSpec,
    pub(super) status: RolloutStatus,
    /// The request on it, where it can be read.
    pub(super) request: Option<Request>,
    /// The whole object, without managed fields.
    pub(super) object: Value,
    generation: Option<i64>,
}

impl Rollout {
    /// Reads the object.
    pub(super) fn read(names: &ApiNames, object: &CachedObject) -> Result<Self, CliError> {
        let value = object.value();
        let unreadable = |source| CliError::Unreadable {
            name: object.name().to_owned(),
            source,
        };
        let spec = value
            .get("spec")
            .cloned()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let status = match value.get("status") {
            Some(status) => serde_json::from_value(status.clone()).map_err(unreadable)?,
            None => RolloutStatus::default(),
        };
        Ok(Self {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            resource_version: object.resource_version().to_owned(),
            created: time(&value, "/metadata/creationTimestamp"),
            spec: serde_json::from_value(spec).map_err(unreadable)?,
            status,
            request: annotation(&value, &names.request)
                .and_then(|text| request::parse(&names.request, text).ok()),
            generation: value
                .pointer("/metadata/generation")
                .and_then(Value::as_i64),
            object: value,
        })
    }

    /// Whether the status speaks of the spec as it is now.
    pub(super) fn is_observed(&self) -> bool {
        self.status.observed_generation.is_some()
            && self.status.observed_generation == self.generation
    }

    /// The phase, which is unknown until the controller has seen the spec.
    pub(super) fn phase(&self) -> Phase {
        match self.status.phase {
            Some(phase) if self.is_observed() => phase,
            Some(_) | None => Phase::Progressing,
        }
    }

    /// Why it is in its phase.
    pub(super) fn message(&self) -> &str {
        if self.is_observed() {
            &self.status.message
        } else {
            "waiting for the controller to see the last change"
        }
    }

    /// `Paused: CanaryPauseStep`.
    pub(super) fn state(&self) -> String {
        match (self.phase().name(), self.message()) {
            (phase, "") => phase.to_owned(),
            (phase, message) => format!("{phase}: {message}"),
        }
    }

    /// The name of the strategy.
    pub(super) fn strategy(&self) -> &'static str {
        self.spec.strategy.declared().map_or("none", Declared::name)
    }

    fn steps(&self) -> &[CanaryStep] {
        self.spec
            .strategy
            .canary
            .as_ref()
            .map_or(&[], |canary| &canary.steps)
    }

    fn steps_done(&self) -> usize {
        let done = self.status.current_step_index.unwrap_or_default();
        usize::try_from(done)
            .unwrap_or_default()
            .min(self.steps().len())
    }

    /// `2/6`: the steps that are done, of all.
    pub(super) fn progress(&self) -> Option<String> {
        let total = self.steps().len();
        (total > 0).then(|| format!("{}/{total}", self.steps_done()))
    }

    /// `2/6 done, now pause 5m`, when there are steps.
    pub(super) fn steps_in_words(&self) -> Option<String> {
        let (progress, step) = (self.progress()?, self.steps().get(self.steps_done()));
        Some(match step {
            Some(step) if self.status.abort => {
                format!("{progress} done, stopped at {}", in_words(step))
            }
            Some(step) => format!("{progress} done, now {}", in_words(step)),
            None => format!("{progress} done"),
        })
    }

    /// The whole of the traffic.
    pub(super) fn max_weight(&self) -> i32 {
        self.spec
            .strategy
            .canary
            .as_ref()
            .map_or(100, crate::api::canary::CanaryStrategy::max_weight)
    }

    /// The weight that the steps ask for by now; `None` when nothing is being rolled out.
    pub(super) fn weight_asked(&self) -> Option<i32> {
        let done = self.steps_done();
        let status = &self.status;
        if status.current_pod_hash == status.stable_rs || self.steps().is_empty() {
            return None;
        }
        if status.abort {
            return Some(0);
        }
        if done == self.steps().len() {
            return Some(self.max_weight());
        }
        let mut begun = self.steps().iter().take(done + 1).rev();
        Some(begun.find_map(|step| step.set_weight).unwrap_or_default())
    }

    /// The weight that the new version has: as written to the router, else its share of the pods. A switch has no weights.
    pub(super) fn weight_given(&self) -> Option<i32> {
        let status = &self.status;
        self.spec.strategy.declared().and_then(Declared::canary)?;
        match &status.canary.weights {
            Some(weights) => Some(weights.canary.weight),
            None if self.has_router() || status.replicas == 0 => None,
            None => Some(status.updated_replicas * 100 / status.replicas),
        }
    }

    /// Whether a router splits the traffic.
    pub(super) fn has_router(&self) -> bool {
        self.spec
            .strategy
            .canary
            .as_ref()
            .is_some_and(|canary| canary.traffic_routing.is_some())
    }

    /// The request that the controller has not answered yet.
    pub(super) fn pending_request(&self) -> Option<&Request> {
        let handled = self
            .status
            .last_handled_request
            .as_ref()
            .map(|handled| handled.id.as_str());
        self.request
            .as_ref()
            .filter(|request| Some(request.id.as_str()) != handled)
    }
}

/// A step in a few words: `setWeight 25`, `pause 5m`.
fn in_words(step: &CanaryStep) -> String {
    match step.kind() {
        Some(StepKind::SetWeight(weight)) => format!("setWeight {weight}"),
        Some(StepKind::Pause(pause)) => match &pause.duration {
            Some(IntOrString::Int(seconds)) => format!("pause {seconds}s"),
            Some(IntOrString::String(duration)) => format!("pause {duration}"),
            None => "pause until promoted".to_owned(),
        },
        Some(StepKind::Analysis(analysis)) => {
            let names: Vec<&str> = analysis
                .templates
                .iter()
                .map(|template| template.template_name.as_str())
                .collect();
            format!("analysis {}", names.join(", "))
        }
        Some(StepKind::Experiment(step)) => {
            let templates = step.templates.iter();
            let names: Vec<&str> = templates.map(|template| template.name.as_str()).collect();
            format!("experiment {}", names.join(", "))
        }
        Some(StepKind::SetCanaryScale(step)) => match step.scale() {
            Some(CanaryScale::Weight(weight)) => {
                format!("setCanaryScale to the share of weight {weight}")
            }
            Some(CanaryScale::Replicas(replicas)) => format!("setCanaryScale to {replicas} pods"),
            Some(CanaryScale::MatchTrafficWeight) => {
                "setCanaryScale to the traffic weight".to_owned()
            }
            None => "setCanaryScale".to_owned(),
        },
        Some(StepKind::SetHeaderRoute(route)) if route.matches.is_empty() => {
            format!("setHeaderRoute: {} ends", route.name)
        }
        Some(StepKind::SetHeaderRoute(route)) => format!("setHeaderRoute {}", route.name),
        Some(StepKind::Unsupported(name)) => name.to_owned(),
        None => step.members().join(" and "),
    }
}

/// An annotation of an object.
pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// A time in an object.
pub(super) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}
