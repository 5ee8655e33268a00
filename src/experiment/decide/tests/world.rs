//! What an Experiment needs of a cluster: ReplicaSets whose pods come up when told, Services with the endpoints that were
//! set, AnalysisRuns with the phase that was set.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    analysis::templates::{TemplateKey, Templates},
    api::{
        analysis::AnalysisPhase,
        experiment::{ExperimentStatus, ExperimentTemplateStatus},
        names::ApiNames,
    },
    experiment::{
        decide::decide,
        snapshot::{ExperimentServiceView, ExperimentSnapshot, ExperimentView, Refused},
    },
    rollout::{
        decision::{Action, Next, Note},
        snapshot::{AnalysisRunView, ReplicaSetView},
    },
};

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) spec: Value,
    pub(super) status: ExperimentStatus,
    pub(super) sets: BTreeMap<String, ReplicaSetView>,
    pub(super) services: BTreeMap<String, ExperimentServiceView>,
    pub(super) runs: BTreeMap<String, AnalysisRunView>,
    pub(super) templates: Templates,
    pub(super) refusals: BTreeMap<String, Refused>,
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) notes: Vec<Note>,
    pub(super) next: Next,
    pub(super) actions: Vec<&'static str>,
}

pub(super) fn template(name: &str) -> Value {
    json!({
        "name": name,
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "demo:1", "ports": [{"containerPort": 8080}]}]},
        },
    })
}

/// An Experiment with one template, `one`, and what else `more` says.
pub(super) fn world(more: &Value) -> World {
    let mut spec = json!({"templates": [template("one")]});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    World {
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
        spec,
        status: ExperimentStatus::default(),
        sets: BTreeMap::new(),
        services: BTreeMap::new(),
        runs: BTreeMap::new(),
        templates: ["errors", "latency"].map(analysis_template).into(),
        refusals: BTreeMap::new(),
        objects: BTreeMap::new(),
        notes: Vec::new(),
        next: Next::OnChange,
        actions: Vec::new(),
    }
}

fn analysis_template(
    name: &str,
) -> (
    TemplateKey,
    Result<crate::api::analysis::AnalysisTemplateSpec, String>,
) {
    let key = TemplateKey {
        name: name.to_owned(),
        cluster_scope: false,
    };
    let spec = json!({
        "args": [{"name": "hash", "value": "none"}],
        "metrics": [{
            "name": name, "interval": "5s", "count": 2, "successCondition": "result[0] < 1",
            "provider": {"prometheus": {"address": "http://prometheus", "query": "q{{args.hash}}"}},
        }],
    });
    (key, Ok(serde_json::from_value(spec).unwrap()))
}

/// `analyses` of a spec: the names of the templates, required where they end with `!`.
pub(super) fn analyses(words: &str) -> Value {
    let analysis = |word: &str| {
        let name = word.trim_end_matches('!');
        json!({"name": name, "templateName": name, "requiredForCompletion": word.ends_with('!')})
    };
    words.split_whitespace().map(analysis).collect()
}

impl World {
    pub(super) fn snapshot(&self) -> ExperimentSnapshot {
        ExperimentSnapshot {
            now: self.now,
            names: ApiNames::default(),
            experiment: ExperimentView {
                name: "exp".to_owned(),
                namespace: "default".to_owned(),
                uid: "uid-exp".to_owned(),
                generation: 1,
                spec: serde_json::from_value(testbed::heard("Experiment", self.spec.clone()))
                    .map_err(|error| error.to_string()),
                object: json!({"metadata": {"name": "exp"}, "spec": self.spec}),
                status: self.status.clone(),
                deleting: false,
            },
            replica_sets: self.sets.values().cloned().collect(),
            services: self.services.clone(),
            templates: self.templates.clone(),
            analysis_runs: self.runs.values().cloned().collect(),
            refusals: self.refusals.clone(),
        }
    }

    /// One pass, with its writes.
    pub(super) fn reconcile(&mut self) {
        let decision = decide(&self.snapshot());
        for action in decision.actions {
            self.actions.push(action.name());
            self.apply(action);
        }
        // Every status must survive the API server.
        let text = serde_json::to_string(&decision.status).unwrap();
        self.status = serde_json::from_str(&text).unwrap();
        assert_eq!(self.status, decision.status);
        self.notes.extend(decision.notes);
        self.next = decision.next;
    }

    /// Passes until nothing changes any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            let (before, written) = (self.status.clone(), self.actions.len());
            self.reconcile();
            if self.status == before && self.actions.len() == written {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.actions);
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::CreateReplicaSet { name, object } => {
                let label = &object["metadata"]["labels"]["tidegate.dev/pod-template-hash"];
                let set = ReplicaSetView {
                    name: name.clone(),
                    pod_template_hash: label.as_str().unwrap().to_owned(),
                    replicas: i32::try_from(object["spec"]["replicas"].as_i64().unwrap()).unwrap(),
                    ..ReplicaSetView::default()
                };
                self.objects.insert(name.clone(), object);
                assert!(self.sets.insert(name, set).is_none(), "created twice");
            }
            Action::PatchReplicaSet {
                target, replicas, ..
            } => {
                let set = self.sets.get_mut(&target.name).unwrap();
                set.replicas = replicas.unwrap();
                set.current = set.current.min(set.replicas);
                set.available = set.available.min(set.replicas);
            }
            Action::CreateService { name, object } => {
                let service = ExperimentServiceView {
                    name: name.clone(),
                    owned: true,
                    ..ExperimentServiceView::default()
                };
                self.objects.insert(name.clone(), object);
                assert!(
                    self.services.insert(name, service).is_none(),
                    "created twice"
                );
            }
            Action::DeleteService { target } => {
                self.services.remove(&target.name).unwrap();
            }
            Action::CreateAnalysisRun { name, object } => {
                let run = AnalysisRunView {
                    name: name.clone(),
                    uid: String::new(),
                    resource_version: String::new(),
                    pod_template_hash: String::new(),
                    phase: AnalysisPhase::Running,
                    message: String::new(),
                    terminate: false,
                    created: None,
                    completed: None,
                    deleting: false,
                };
                self.objects.insert(name.clone(), object);
                assert!(self.runs.insert(name, run).is_none(), "created twice");
            }
            Action::TerminateAnalysisRun { target } => {
                self.runs.get_mut(&target.name).unwrap().terminate = true;
            }
            Action::AdoptReplicaSet { .. }
            | Action::RecogniseReplicaSet { .. }
            | Action::PatchPods { .. }
            | Action::EvictPod { .. }
            | Action::ScaleWorkload { .. }
            | Action::RestoreWorkload { .. }
            | Action::DeleteReplicaSet { .. }
            | Action::PinService { .. }
            | Action::CreateIngress { .. }
            | Action::PatchIngress { .. }
            | Action::PatchRoute { .. }
            | Action::DeleteIngress { .. }
            | Action::CreateExperiment { .. }
            | Action::TerminateExperiment { .. }
            | Action::DeleteExperiment { .. }
            | Action::ReadPodTemplate { .. }
            | Action::DeleteAnalysisRun { .. } => panic!("not an Experiment's: {action:?}"),
        }
    }

    /// So many pods of every ReplicaSet are available, and endpoints of every Service, at most all of them.
    pub(super) fn pods(&mut self, count: i32) {
        for set in self.sets.values_mut() {
            set.current = set.replicas;
            set.ready = count.min(set.replicas);
            set.available = count.min(set.replicas);
        }
        self.settle();
        for service in self.services.values_mut().filter(|service| service.owned) {
            service.ready_endpoints = count;
        }
        self.settle();
    }

    /// From the declaration to when all is available.
    pub(super) fn available(mut self) -> Self {
        self.settle();
        self.pods(100);
        assert!(self.status.available_at.is_some(), "{:?}", self.status);
        self
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.settle();
    }

    pub(super) fn ends(&mut self, analysis: &str, phase: AnalysisPhase) {
        let run = self.runs.get_mut(&format!("exp-{analysis}")).unwrap();
        run.phase = phase;
        run.message = "because".to_owned();
        self.settle();
    }

    pub(super) fn phase(&self) -> AnalysisPhase {
        self.status.phase.unwrap()
    }

    pub(super) fn sizes(&self) -> Vec<i32> {
        self.sets.values().map(|set| set.replicas).collect()
    }

    pub(super) fn template_status(&self, index: usize) -> &ExperimentTemplateStatus {
        &self.status.template_statuses[index]
    }

    pub(super) fn condition(&self, type_: &str) -> Option<(String, String)> {
        let mut all = self.status.conditions.iter();
        let found = all.find(|condition| condition.type_ == type_)?;
        Some((format!("{:?}", found.status), found.message.clone()))
    }
}
