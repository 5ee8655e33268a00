//! What the rules are about, read from the store: versions, where they are routed, and what the Rollout says of itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use tidegate::sim::{proxy::Shares, store::Objects};

const HASH: &str = "tidegate.dev/pod-template-hash";
const EXPERIMENT: &str = "tidegate.dev/experiment-name";

/// A version's ReplicaSet.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) replicas: i64,
    pub(super) available: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) replicas: i64,
    pub(super) max_surge: i64,
    pub(super) max_unavailable: i64,
    pub(super) steps: Vec<Value>,
    pub(super) stable: String,
    pub(super) current: String,
    pub(super) step: usize,
    pub(super) abort: bool,
    pub(super) promote_full: bool,
    pub(super) pause_since: Option<Timestamp>,
    pub(super) step_run: Option<String>,
    /// What has to be proven before a switch is.
    pub(super) proven: bool,
    /// All traffic goes over at once.
    pub(super) switched: bool,
    /// The stable version shrinks with its traffic.
    pub(super) dynamic: bool,
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) services: BTreeSet<String>,
    pub(super) stable_pin: Option<String>,
    pub(super) canary_pin: Option<String>,
    pub(super) shares: Shares,
    pub(super) canary_weight: i64,
    canary_service: String,
    stable_service: String,
}

impl Facts {
    pub(super) fn gather(store: &Objects, shares: Shares, now: Timestamp) -> Self {
        let Some((_, rollout)) = store.list("rollouts").next() else {
            return Self::default();
        };
        let (spec, status) = (&rollout["spec"], &rollout["status"]);
        let (canary, blue_green) = (&spec["strategy"]["canary"], &spec["strategy"]["blueGreen"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (stable_service, canary_service) = if blue_green.is_null() {
            (
                text(&canary["stableService"]),
                text(&canary["canaryService"]),
            )
        } else {
            (
                text(&blue_green["activeService"]),
                text(&blue_green["previewService"]),
            )
        };
        let services: BTreeMap<&str, &Value> = store
            .list("services")
            .map(|(key, service)| (key.name.as_str(), service))
            .collect();
        let pin = |name: &str| {
            services.get(name).and_then(|service| {
                service["spec"]["selector"][HASH]
                    .as_str()
                    .map(str::to_owned)
            })
        };
        let sets = store
            .list("replicasets")
            // What an Experiment tries out has no traffic of the Rollout's.
            .filter(|(_, set)| set["metadata"]["labels"][EXPERIMENT].is_null())
            .filter_map(|(_, set)| {
                let hash = set["metadata"]["labels"][HASH].as_str()?.to_owned();
                let counts = Set {
                    replicas: set["spec"]["replicas"].as_i64().unwrap_or(1),
                    available: set["status"]["availableReplicas"].as_i64().unwrap_or(0),
                };
                Some((hash, counts))
            })
            .collect();
        let step = usize::try_from(status["currentStepIndex"].as_i64().unwrap_or(0)).unwrap_or(0);
        let current = text(&status["currentPodHash"]);
        Self {
            now,
            replicas: spec["replicas"].as_i64().unwrap_or(1),
            max_surge: canary["maxSurge"].as_i64().unwrap_or(0),
            max_unavailable: canary["maxUnavailable"].as_i64().unwrap_or(0),
            steps: canary["steps"].as_array().cloned().unwrap_or_default(),
            stable: text(&status["stableRS"]),
            step,
            abort: status["abort"] == true,
            promote_full: status["promoteFull"] == true,
            pause_since: status["pauseConditions"][0]["startTime"]
                .as_str()
                .and_then(|time| time.parse().ok()),
            step_run: step_run(store, &current, step),
            proven: blue_green["prePromotionAnalysis"].is_null() || is_proven(store, &current),
            switched: !blue_green.is_null(),
            dynamic: canary["dynamicStableScale"] == true,
            current,
            sets,
            services: services.keys().map(|name| (*name).to_owned()).collect(),
            stable_pin: pin(&stable_service),
            canary_pin: pin(&canary_service),
            canary_weight: shares.get(&canary_service).copied().unwrap_or(0),
            shares,
            canary_service,
            stable_service,
        }
    }

    pub(super) fn total(&self) -> i64 {
        self.shares.values().sum::<i64>().max(1)
    }

    /// The weight of every version, by the Services that lead to it.
    pub(super) fn weights(&self) -> BTreeMap<String, i64> {
        let mut weights = BTreeMap::new();
        for (service, pin) in [
            (&self.stable_service, &self.stable_pin),
            (&self.canary_service, &self.canary_pin),
        ] {
            if let (Some(pin), Some(share)) = (pin, self.shares.get(service)) {
                *weights.entry(pin.clone()).or_default() += *share;
            }
        }
        weights
    }

    /// What an update that was given up still has: of a canary the weight of its Service, of a switch that of the version.
    pub(super) fn given_up_weight(&self) -> i64 {
        if self.switched {
            self.weights().get(&self.current).copied().unwrap_or(0)
        } else {
            self.canary_weight
        }
    }

    pub(super) fn available(&self, hash: &str) -> i64 {
        self.sets.get(hash).map_or(0, |set| set.available)
    }

    /// Pods that a weight takes, rounded up.
    pub(super) fn need(&self, weight: i64) -> i64 {
        let product = self.replicas * weight;
        product / self.total() + i64::from(product % self.total() != 0)
    }
}

/// The analysis before the switch has said yes.
fn is_proven(store: &Objects, current: &str) -> bool {
    store.list("analysisruns").any(|(_, run)| {
        let labels = &run["metadata"]["labels"];
        labels[HASH] == current
            && labels["tidegate.dev/rollout-type"] == "PrePromotion"
            && run["status"]["phase"] == "Successful"
    })
}

/// The phase of the analysis of a step, if there is one.
fn step_run(store: &Objects, current: &str, step: usize) -> Option<String> {
    store
        .list("analysisruns")
        .map(|(_, run)| run)
        .filter(|run| {
            let labels = &run["metadata"]["labels"];
            labels[HASH] == current
                && labels["tidegate.dev/step-index"].as_str() == Some(&*step.to_string())
        })
        .find_map(|run| run["status"]["phase"].as_str().map(str::to_owned))
}
