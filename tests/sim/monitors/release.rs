//! A Rollout with everything that belongs to it, as it is at one moment: versions, where they are routed, what proves them.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::Value;
use tidegate::api::{
    analysis::{AnalysisPhase, AnalysisRunStatus},
    blue_green::BlueGreenStrategy,
    canary::{CanaryStrategy, ThresholdType},
    conditions::{self, ConditionType},
    names::{ARGO_GROUP, ApiNames},
    request::{Request, Verb},
    rollout::RolloutSpec,
    rollout_status::{Phase, RolloutStatus},
    steps::{CanaryScale, CanaryStep, SetCanaryScale},
    strategy::Declared,
};

use super::{
    routes::Routes,
    view::{View, owner},
};
use tidegate::sim::store::Change;

static OURS: LazyLock<ApiNames> = LazyLock::new(ApiNames::default);
static ARGOS: LazyLock<ApiNames> = LazyLock::new(ApiNames::argo_rollouts);

/// Labels and annotations of the group of an object.
pub(super) fn names_of(object: &Value) -> &'static ApiNames {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    if version.starts_with(ARGO_GROUP) {
        &ARGOS
    } else {
        &OURS
    }
}

/// Labels and annotations of both groups.
pub(super) fn all_names() -> [&'static ApiNames; 2] {
    [&OURS, &ARGOS]
}

/// How a Rollout moves its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Router {
    /// By weights on an Ingress or a route.
    Weights,
    /// All at once, by the active Service.
    Switch,
    /// By the numbers of pods.
    Pods,
}

/// Where a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Stable,
    Stepping,
    Full,
    Aborted,
}

/// A version's ReplicaSet.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) replicas: i64,
    /// Available pods, of those that are still wanted.
    pub(super) available: i64,
}

/// An AnalysisRun.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) hash: String,
    /// `Step`, `Background` and so on.
    pub(super) role: String,
    pub(super) step: Option<usize>,
    pub(super) phase: Option<AnalysisPhase>,
    pub(super) terminate: bool,
    pub(super) attempt: i32,
    pub(super) revision: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) keys: &'static ApiNames,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) deleted: bool,
    pub(super) object: Arc<Value>,
    pub(super) spec: Arc<RolloutSpec>,
    pub(super) status: Arc<RolloutStatus>,
    /// By hash.
    pub(super) sets: Arc<BTreeMap<String, Set>>,
    /// By name.
    pub(super) runs: Arc<BTreeMap<String, Run>>,
    /// Experiments by name.
    pub(super) experiments: Arc<BTreeMap<String, Option<AnalysisPhase>>>,
    pub(super) routes: Arc<Routes>,
    /// A person's request that waits for its answer.
    pub(super) asked: Option<Request>,
}

impl Release {
    /// What it is now. What the change has nothing to do with is as it was before.
    pub(super) fn of(
        view: &View,
        object: &Arc<Value>,
        before: Option<&Self>,
        change: &Change,
    ) -> Self {
        let text = |field: &str| {
            object["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let keys = names_of(object);
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
        let plural = change.key.plural;
        let itself = plural == "rollouts";
        let same_spec = before.filter(|before| before.object["spec"] == object["spec"]);
        let spec = match (same_spec, itself) {
            (Some(before), _) => before.spec.clone(),
            (None, _) => Arc::new(parsed(&object["spec"])),
        };
        let status = match (before, itself) {
            (Some(before), false) => before.status.clone(),
            (_, true) | (None, _) => Arc::new(parsed(&object["status"])),
        };
        let (namespace, uid) = (text("namespace"), text("uid"));
        let kept = |kind: &str| before.filter(|_| plural != kind);
        let sets = kept("replicasets").map_or_else(
            || Arc::new(sets(view, keys, &namespace, &uid)),
            |before| before.sets.clone(),
        );
        let runs = kept("analysisruns").map_or_else(
            || Arc::new(runs(view, keys, &namespace, &uid)),
            |before| before.runs.clone(),
        );
        let experiments = kept("experiments").map_or_else(
            || Arc::new(experiments(view, &namespace, &uid)),
            |before| before.experiments.clone(),
        );
        let routes = match before {
            Some(before)
                if matches!(plural, "replicasets" | "analysisruns" | "experiments")
                    || (itself && same_spec.is_some()) =>
            {
                before.routes.clone()
            }
            Some(_) | None => Arc::new(Routes::of(view, keys, &namespace, &spec)),
        };
        let status: Arc<RolloutStatus> = status;
        let asked = request(object, keys, &status);
        Self {
            keys,
            generation,
            deleted: false,
            object: object.clone(),
            spec,
            status,
            sets,
            runs,
            experiments,
            routes,
            asked,
            namespace,
            uid,
        }
    }

    /// Whether an object that others may share has to do with it.
    pub(super) fn names(&self, plural: &str, name: &str, change: &Change) -> bool {
        match plural {
            "services" => {
                self.stable_service() == Some(name) || self.canary_service() == Some(name)
            }
            "analysistemplates" => self.declared().is_some_and(|declared| {
                declared.analyses().iter().any(|(_, analysis)| {
                    analysis
                        .templates
                        .iter()
                        .any(|one| one.template_name == name)
                })
            }),
            _ => self.routes.names(plural, name) || is_ours(change, &self.uid),
        }
    }

    pub(super) fn declared(&self) -> Option<Declared<'_>> {
        self.spec.strategy.declared()
    }

    pub(super) fn canary(&self) -> Option<&CanaryStrategy> {
        self.declared()?.canary()
    }

    pub(super) fn blue_green(&self) -> Option<&BlueGreenStrategy> {
        match self.declared()? {
            Declared::BlueGreen(strategy) => Some(strategy),
            Declared::Canary(_) => None,
        }
    }

    pub(super) fn stable_service(&self) -> Option<&str> {
        self.declared()?.stable_service().map(String::as_str)
    }

    pub(super) fn canary_service(&self) -> Option<&str> {
        self.declared()?.canary_service().map(String::as_str)
    }

    pub(super) fn router(&self) -> Router {
        match self.declared() {
            Some(Declared::BlueGreen(_)) => Router::Switch,
            Some(Declared::Canary(canary)) if canary.traffic_routing.is_some() => Router::Weights,
            Some(Declared::Canary(_)) | None => Router::Pods,
        }
    }

    pub(super) fn dynamic(&self) -> bool {
        self.canary()
            .is_some_and(|canary| canary.dynamic_stable_scale)
    }

    pub(super) fn steps(&self) -> &[CanaryStep] {
        self.declared().map_or(&[], Declared::steps)
    }

    pub(super) fn step(&self) -> usize {
        usize::try_from(self.status.current_step_index.unwrap_or(0)).unwrap_or(0)
    }

    pub(super) fn stable(&self) -> &str {
        &self.status.stable_rs
    }

    pub(super) fn current(&self) -> &str {
        &self.status.current_pod_hash
    }

    pub(super) fn mode(&self) -> Mode {
        if self.current() == self.stable() {
            Mode::Stable
        } else if self.status.abort {
            Mode::Aborted
        } else if self.status.promote_full {
            Mode::Full
        } else {
            Mode::Stepping
        }
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.status.phase
    }

    pub(super) fn replicas(&self) -> i64 {
        i64::from(self.spec.desired_replicas())
    }

    pub(super) fn total(&self) -> i64 {
        i64::from(self.declared().map_or(100, Declared::max_weight)).max(1)
    }

    pub(super) fn available(&self, hash: &str) -> i64 {
        self.sets.get(hash).map_or(0, |set| set.available)
    }

    pub(super) fn size(&self, hash: &str) -> i64 {
        self.sets.get(hash).map_or(0, |set| set.replicas)
    }

    /// The weight of what is behind the canary Service; with a switch there is none.
    pub(super) fn canary_weight(&self) -> i64 {
        self.routes.canary_weight
    }

    /// The weight of every version, by the Services that lead to it.
    pub(super) fn weights(&self) -> BTreeMap<&str, i64> {
        let mut weights = BTreeMap::new();
        let (total, canary) = (self.total(), self.canary_weight());
        let parts = match self.router() {
            Router::Weights => [total - canary, canary],
            Router::Switch => [total, 0],
            Router::Pods => [0, 0],
        };
        for (pin, part) in [&self.routes.stable_pin, &self.routes.canary_pin]
            .into_iter()
            .zip(parts)
        {
            if let Some(pin) = pin {
                *weights.entry(pin.as_str()).or_default() += part;
            }
        }
        weights
    }

    pub(super) fn weight(&self, hash: &str) -> i64 {
        self.weights().get(hash).copied().unwrap_or(0)
    }

    /// What leads to the version: a share of the traffic, or requests with a header.
    pub(super) fn is_routed(&self, hash: &str) -> bool {
        self.weight(hash) > 0
            || (self.routes.by_header && self.routes.canary_pin.as_deref() == Some(hash))
    }

    /// Pods that a weight takes in a step, rounded up: of the pods that the step asks for, where it says how many.
    pub(super) fn need(&self, hash: &str, weight: i64) -> i64 {
        let all = ceil(self.replicas() * weight, self.total());
        let of_step = || {
            if hash != self.current() || hash == self.stable() {
                return None;
            }
            let goal = i64::from(
                self.steps()[..=self.step().min(self.steps().len().checked_sub(1)?)]
                    .iter()
                    .rev()
                    .find_map(|step| step.set_weight)?,
            );
            let pods = match self.scale()? {
                CanaryScale::Replicas(pods) => i64::from(pods),
                CanaryScale::Weight(weight) => {
                    ceil(self.replicas() * i64::from(weight), self.total())
                }
                CanaryScale::MatchTrafficWeight => return None,
            };
            (goal > 0).then(|| ceil(pods * weight, goal).min(all))
        };
        self.enough(of_step().unwrap_or(all))
    }

    fn scale(&self) -> Option<CanaryScale> {
        let steps = self.steps();
        let last = self.step().min(steps.len().checked_sub(1)?);
        steps[..=last]
            .iter()
            .rev()
            .find_map(|step| step.set_canary_scale.as_ref())
            .and_then(SetCanaryScale::scale)
    }

    fn enough(&self, want: i64) -> i64 {
        let Some(threshold) = self
            .canary()
            .and_then(|canary| canary.replica_progress_threshold.as_ref())
        else {
            return want;
        };
        let value = i64::from(threshold.value);
        match ThresholdType::named(&threshold.type_) {
            Some(ThresholdType::Percent) => ceil(want * value, 100).min(want),
            Some(ThresholdType::Pods) => value.min(want),
            None => want,
        }
    }

    pub(super) fn holds(&self, condition: ConditionType) -> bool {
        conditions::holds(&self.status.conditions, condition)
    }

    /// Whether a person has asked for this, and was not answered yet.
    pub(super) fn is_asked(&self, verb: Verb) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.verb == verb)
    }

    /// Whether the answer to a person has just been given, and it was yes.
    pub(super) fn granted(&self, before: &Self, verb: Verb) -> bool {
        let (was, is) = (
            &before.status.last_handled_request,
            &self.status.last_handled_request,
        );
        is.as_ref().is_some_and(|is| {
            is.verb == verb && is.accepted && was.as_ref().is_none_or(|was| was.id != is.id)
        })
    }

    /// Something says no to the update, or somebody has asked for an abort.
    pub(super) fn is_to_be_given_up(&self) -> bool {
        let bad = |phase: Option<AnalysisPhase>| {
            matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error))
        };
        let experiment = self.status.canary.current_experiment.as_ref();
        self.is_asked(Verb::Abort)
            || self.spec.progress_deadline_abort
            || self.runs_of(self.current()).any(|(_, run)| bad(run.phase))
            || experiment.is_some_and(|name| bad(self.experiments.get(name).copied().flatten()))
    }

    /// What an update that was given up still has: of a canary the weight of its Service, of a switch that of the version.
    pub(super) fn given_up_weight(&self) -> i64 {
        match self.router() {
            Router::Weights if self.routes.canary_pin.as_deref() == Some(self.current()) => {
                self.canary_weight()
            }
            Router::Switch => self.weight(self.current()),
            Router::Weights | Router::Pods => 0,
        }
    }

    /// Pods without which nothing is `Healthy`.
    pub(super) fn enough_replicas(&self) -> i64 {
        self.enough(self.replicas())
    }

    /// The runs that judge the version in this attempt.
    pub(super) fn runs_of(&self, hash: &str) -> impl Iterator<Item = (&String, &Run)> {
        let attempt = self.status.attempt;
        self.runs
            .iter()
            .filter(move |(_, run)| run.hash == hash && run.attempt == attempt)
    }

    /// The run of a step in this attempt: of a version that is released again, the one of its last revision.
    pub(super) fn run_of_step(&self, hash: &str, step: usize) -> Option<&Run> {
        self.runs_of(hash)
            .map(|(_, run)| run)
            .filter(|run| run.role == "Step" && run.step == Some(step))
            .max_by_key(|run| run.revision)
    }

    /// The run with this role in this attempt.
    pub(super) fn run_for(&self, hash: &str, role: &str) -> Option<&Run> {
        self.runs_of(hash)
            .map(|(_, run)| run)
            .filter(|run| run.role == role)
            .max_by_key(|run| run.revision)
    }
}

pub(super) fn ceil(product: i64, by: i64) -> i64 {
    product.div_euclid(by) + i64::from(product.rem_euclid(by) != 0)
}

fn parsed<T: Default + serde::de::DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

fn request(object: &Value, keys: &ApiNames, status: &RolloutStatus) -> Option<Request> {
    let text = object["metadata"]["annotations"][&keys.request].as_str()?;
    let request: Request = serde_json::from_str(text).ok()?;
    let handled = status.last_handled_request.as_ref();
    handled
        .is_none_or(|handled| handled.id != request.id)
        .then_some(request)
}

fn is_ours(change: &Change, uid: &str) -> bool {
    owner(&change.object, "Rollout").is_some_and(|(_, of)| of == uid)
}

/// The objects of a kind that the Rollout owns.
fn owned<'a>(
    view: &'a View,
    plural: &'static str,
    namespace: &'a str,
    uid: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    view.list_in(plural, namespace)
        .filter(move |(_, object)| owner(object, "Rollout").is_some_and(|(_, of)| of == uid))
        .map(|(key, object)| (key.name.as_str(), object.as_ref()))
}

fn sets(view: &View, keys: &ApiNames, namespace: &str, uid: &str) -> BTreeMap<String, Set> {
    owned(view, "replicasets", namespace, uid)
        .filter_map(|(name, set)| {
            let hash = set["metadata"]["labels"][&keys.pod_template_hash].as_str()?;
            let replicas = set["spec"]["replicas"].as_i64().unwrap_or(1);
            let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0);
            let set = Set {
                name: name.to_owned(),
                replicas,
                available: available.min(replicas),
            };
            Some((hash.to_owned(), set))
        })
        .collect()
}

fn runs(view: &View, keys: &ApiNames, namespace: &str, uid: &str) -> BTreeMap<String, Run> {
    owned(view, "analysisruns", namespace, uid)
        .map(|(name, run)| {
            let label = |key: &str| run["metadata"]["labels"][key].as_str().unwrap_or_default();
            let status: AnalysisRunStatus = parsed(&run["status"]);
            let (stem, attempt) = name
                .rsplit_once('.')
                .and_then(|(stem, attempt)| Some((stem, attempt.parse().ok()?)))
                .unwrap_or((name, 0));
            let hash = label(&keys.pod_template_hash);
            let run = Run {
                hash: hash.to_owned(),
                role: label(&keys.rollout_type).to_owned(),
                step: label(&keys.step_index).parse().ok(),
                phase: status.phase,
                terminate: run["spec"]["terminate"] == true,
                attempt,
                revision: stem
                    .split_once(&format!("{hash}-"))
                    .and_then(|(_, rest)| rest.split('-').next()?.parse().ok())
                    .unwrap_or(0),
            };
            (name.to_owned(), run)
        })
        .collect()
}

fn experiments(view: &View, namespace: &str, uid: &str) -> BTreeMap<String, Option<AnalysisPhase>> {
    owned(view, "experiments", namespace, uid)
        .map(|(name, experiment)| {
            let phase = parsed(&experiment["status"]["phase"]);
            (name.to_owned(), phase)
        })
        .collect()
}
