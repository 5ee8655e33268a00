//! Where histories are told by hand: a store, the monitors, and the time as it is wanted.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tidegate::{
    api::names::Conventions,
    sim::store::{Author, By, Key, Store},
};

use crate::sim::{
    monitors::{Asked, Happened, Leniency, Monitors},
    scenarios::manifests,
};

pub(super) const HASH: &str = "tidegate.dev/pod-template-hash";
const MARK: &str = "tidegate.dev/managed-by-rollout";
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) now: Duration,
    monitors: Monitors,
    broken: Vec<String>,
}

impl Stand {
    /// Stable `one` and canary `two` of four pods, a quarter of the traffic, in the middle of a pause of a minute.
    pub(super) fn new() -> Self {
        let epoch = "2026-01-02T03:04:05Z".parse().expect("a time");
        let leniency = Leniency {
            lateness: Duration::from_millis(100),
            patience: Duration::from_secs(3),
        };
        let mut stand = Self {
            store: Store::new(epoch, Conventions::Tidegate),
            now: Duration::ZERO,
            monitors: Monitors::new(epoch, leniency),
            broken: Vec::new(),
        };
        stand.make(
            By::Person,
            "analysistemplates",
            manifests::template("errors"),
        );
        let steps = json!([
            {"setWeight": 25}, {"pause": {"duration": 60}},
            {"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}},
        ]);
        let canary = json!({
            "stableService": "web-stable", "canaryService": "web-canary", "steps": steps,
            "trafficRouting": {"nginx": {"stableIngress": "web"}},
        });
        let mut rollout = manifests::rollout(4, "web:2", &canary);
        rollout["status"] = json!({
            "stableRS": "one", "currentPodHash": "two", "currentStepIndex": 1, "observedGeneration": 1,
            "phase": "Paused", "message": "CanaryPauseStep", "waitingFor": "the pause to end", "revision": 2,
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-02T03:04:05Z"}],
            "controllerPause": true, "selector": "app=web", "HPAReplicas": 4,
        });
        stand.make(By::Cluster, "rollouts", rollout);
        for hash in ["one", "two"] {
            stand.set(hash, 4, 4);
        }
        for (name, hash) in [("web-stable", "one"), ("web-canary", "two")] {
            let mut service = manifests::service(name);
            service["spec"]["selector"][HASH] = json!(hash);
            service["metadata"]["labels"][MARK] = json!("web");
            stand.make(By::Cluster, "services", service);
        }
        stand.make(By::Cluster, "ingresses", manifests::ingress("web-stable"));
        let mut canary = manifests::ingress("web-canary");
        canary["metadata"] = json!({
            "name": "web-web-canary", "labels": {MARK: "web"}, "annotations": {
                "nginx.ingress.kubernetes.io/canary": "true", WEIGHT: "25",
            },
        });
        canary["metadata"]["ownerReferences"] = json!([stand.owner()]);
        stand.make(By::Cluster, "ingresses", canary);
        assert_eq!(stand.broken, Vec::<String>::new());
        stand.monitors.told.tested.clear();
        stand.wait(1_000);
        stand
    }

    /// What is broken, and which rules were put to the test.
    pub(super) fn judgement(mut self) -> (Vec<String>, BTreeSet<&'static str>) {
        let finished = self.monitors.finish(self.now, 0);
        self.broken.extend(finished);
        let tested = self.monitors.told.tested.iter();
        let tested = tested
            .filter(|(_, count)| **count > 0)
            .map(|(rule, _)| *rule)
            .collect();
        (self.broken, tested)
    }

    pub(super) fn owner(&self) -> Value {
        let rollout = self.get("rollouts", "web");
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": "web",
            "uid": rollout["metadata"]["uid"], "controller": true,
        })
    }

    /// Milliseconds pass.
    pub(super) fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    pub(super) fn get(&self, plural: &'static str, name: &str) -> Value {
        self.store
            .get(&Key::new(plural, "default", name))
            .cloned()
            .unwrap_or_default()
    }

    fn put(&mut self, by: By, key: &Key, object: Value) {
        let author = Author {
            by,
            manager: "test".to_owned(),
        };
        if let Some(change) = self.store.put(self.now, &author, key, object) {
            let broken = self.monitors.on(self.now, &Happened::Change(&change));
            self.broken.extend(broken);
        }
    }

    /// Somebody makes an object.
    pub(super) fn make(&mut self, by: By, plural: &'static str, mut object: Value) {
        object["metadata"]["namespace"] = json!("default");
        let key = Key::of(plural, &object);
        self.put(by, &key, object);
    }

    /// Somebody changes an object.
    pub(super) fn change(&mut self, by: By, plural: &'static str, name: &str, patch: &Value) {
        let mut object = self.get(plural, name);
        json_patch::merge(&mut object, patch);
        self.put(by, &Key::new(plural, "default", name), object);
    }

    /// The controller changes an object.
    pub(super) fn write(&mut self, plural: &'static str, name: &str, patch: &Value) {
        self.change(By::Controller, plural, name, patch);
    }

    pub(super) fn remove(&mut self, by: By, plural: &'static str, name: &str) {
        let author = Author {
            by,
            manager: "test".to_owned(),
        };
        let key = Key::new(plural, "default", name);
        if let Some(change) = self.store.remove(self.now, &author, &key) {
            let broken = self.monitors.on(self.now, &Happened::Change(&change));
            self.broken.extend(broken);
        }
    }

    /// The Rollout is deleted, and another one of its name is there, with its ReplicaSets.
    pub(super) fn create_again(&mut self) {
        let mut rollout = self.get("rollouts", "web");
        self.remove(By::Person, "rollouts", "web");
        rollout["metadata"] = json!({"name": "web"});
        self.make(By::Person, "rollouts", rollout);
        let owners = json!({"metadata": {"ownerReferences": [self.owner()]}});
        for hash in ["one", "two"] {
            self.change(By::Cluster, "replicasets", hash, &owners);
        }
    }

    /// The server has decided on a request of the controller, and the answer is there at once.
    pub(super) fn ask(&mut self, plural: &'static str, name: &str, asked: Asked) {
        let asked = Asked {
            key: Some(Key::new(plural, "default", name)),
            sent: self.now,
            ..asked
        };
        for event in [Happened::Request(&asked), Happened::Answered(&asked)] {
            let broken = self.monitors.on(self.now, &event);
            self.broken.extend(broken);
        }
    }

    pub(super) fn lose(&mut self, how: &str) {
        let broken = self.monitors.on(self.now, &Happened::Lost(how));
        self.broken.extend(broken);
    }

    pub(super) fn look(&mut self) {
        *self.monitors.told.tested.entry("T21").or_default() += 1;
    }

    /// A version with so many pods, of which so many are available.
    pub(super) fn set(&mut self, hash: &str, replicas: i64, available: i64) {
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": hash, "labels": {"app": "web", HASH: hash}, "ownerReferences": [self.owner()]},
            "spec": {"replicas": replicas}, "status": {"availableReplicas": available},
        });
        self.make(By::Cluster, "replicasets", set);
    }

    pub(super) fn available(&mut self, hash: &str, pods: i64) {
        self.change(
            By::Cluster,
            "replicasets",
            hash,
            &json!({"status": {"availableReplicas": pods}}),
        );
    }

    pub(super) fn size(&mut self, hash: &str, replicas: i64) {
        self.write(
            "replicasets",
            hash,
            &json!({"spec": {"replicas": replicas}}),
        );
    }

    pub(super) fn weight(&mut self, weight: &str) {
        self.write(
            "ingresses",
            "web-web-canary",
            &json!({"metadata": {"annotations": {WEIGHT: weight}}}),
        );
    }

    pub(super) fn pin(&mut self, service: &str, hash: &str) {
        self.write(
            "services",
            service,
            &json!({"spec": {"selector": {HASH: hash}}}),
        );
    }

    pub(super) fn status(&mut self, status: &Value) {
        self.write("rollouts", "web", &json!({ "status": status }));
    }

    /// The update is given up, and its traffic goes.
    pub(super) fn give_up(&mut self) {
        self.status(&json!({
            "abort": true, "currentStepIndex": 0, "pauseConditions": null, "controllerPause": null,
            "phase": "Degraded", "message": "RolloutAborted",
        }));
        self.weight("0");
    }

    pub(super) fn declare(&mut self, spec: &Value) {
        self.change(By::Person, "rollouts", "web", &json!({ "spec": spec }));
    }

    pub(super) fn request(&mut self, id: &str, verb: &str) {
        let request = json!({"id": id, "verb": verb}).to_string();
        let annotations = json!({"tidegate.dev/request": request});
        self.change(
            By::Person,
            "rollouts",
            "web",
            &json!({"metadata": {"annotations": annotations}}),
        );
    }

    /// The AnalysisRun of the fourth step, or one with another role, about a version.
    pub(super) fn run(&mut self, hash: &str, role: &str, phase: &str) {
        let suffix = match role {
            "Step" => "-3",
            "PrePromotion" => "-pre",
            _ => "",
        };
        let mut labels = json!({HASH: hash, "tidegate.dev/rollout-type": role});
        if role == "Step" {
            labels["tidegate.dev/step-index"] = json!("3");
        }
        let run = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisRun",
            "metadata": {
                "name": format!("web-{hash}-2{suffix}"), "labels": labels, "ownerReferences": [self.owner()],
            },
            "spec": {"metrics": [{"name": "errors", "provider": {"prometheus": {"query": "errors"}}}]},
            "status": {"phase": phase, "metricResults": [
                {"name": "errors", "phase": phase, "count": 1, "successful": i32::from(phase == "Successful")},
            ]},
        });
        self.make(By::Controller, "analysisruns", run);
    }

    /// What the run of the fourth step has found.
    pub(super) fn verdict(&mut self, phase: &str, metrics: &Value) {
        let mut metrics = metrics.clone();
        for metric in metrics.as_array_mut().into_iter().flatten() {
            if metric["measurements"].is_null() {
                let phase = metric["phase"].clone();
                let counted = metric["count"].as_i64().unwrap_or(0);
                let starts = (0..counted).map(|second| format!("2026-01-02T03:05:0{second}Z"));
                metric["measurements"] = starts
                    .map(|at| json!({"phase": phase, "startedAt": at, "finishedAt": at}))
                    .collect();
            }
        }
        let status = json!({"phase": phase, "metricResults": metrics});
        self.write("analysisruns", "web-two-2-3", &json!({ "status": status }));
    }

    /// At the fourth step with half of the traffic: the analysis.
    pub(super) fn at_the_analysis(&mut self) {
        self.wait(60_000);
        self.weight("50");
        self.status(&json!({
            "currentStepIndex": 3, "pauseConditions": null, "controllerPause": null,
            "phase": "Progressing", "message": "waiting for analysis to complete",
        }));
    }

    /// A release that is to be switched after an analysis.
    pub(super) fn before_the_switch(&mut self) {
        self.wait(10_000);
        let weight = json!({"metadata": {"annotations": {WEIGHT: "0"}}});
        self.change(By::Person, "ingresses", "web-web-canary", &weight);
        self.wait(10_000);
        self.declare(&json!({"strategy": {"canary": null, "blueGreen": {
            "activeService": "web-stable", "previewService": "web-canary",
            "prePromotionAnalysis": {"templates": [{"templateName": "errors"}]},
        }}}));
        self.status(&json!({"observedGeneration": 2, "currentStepIndex": null, "pauseConditions": null, "controllerPause": null}));
        self.wait(1_000);
    }
}
