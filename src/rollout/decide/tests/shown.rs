//! Actions in a few words, for tables.

use super::{
    routes,
    world::{World, names, weight_of},
};
use crate::rollout::{
    decision::{Action, Decision},
    snapshot::IngressView,
};

impl World {
    pub(super) fn shown(&self, action: &Action) -> String {
        let short = |name: &str| name.trim_start_matches("demo-").to_owned();
        let version = |name: &str| {
            let hash = name.trim_start_matches("demo-");
            self.version_or_declared(hash)
        };
        match action {
            Action::CreateReplicaSet { name, object } => {
                format!(
                    "create {} with {}",
                    version(name),
                    object["spec"]["replicas"]
                )
            }
            Action::PatchReplicaSet {
                target,
                replicas,
                annotations,
                template: _,
            } => {
                let revision = annotations
                    .iter()
                    .find(|(key, _)| *key == names().revision)
                    .and_then(|(_, value)| value.clone())
                    .map_or_else(String::new, |revision| format!(", revision {revision}"));
                let size = replicas.map_or_else(String::new, |size| format!(" to {size}"));
                format!("scale {}{size}{revision}", version(&target.name))
            }
            Action::AdoptReplicaSet { target, owner: _ } => {
                format!("adopt {}", version(&target.name))
            }
            Action::RecogniseReplicaSet { hash, .. } => format!("recognise {}", version(hash)),
            Action::DeleteReplicaSet { target } => format!("delete {}", version(&target.name)),
            Action::PinService {
                target,
                pod_template_hash,
                ..
            } => format!(
                "pin {} to {}",
                short(&target.name),
                self.version_or_declared(pod_template_hash)
            ),
            Action::CreateIngress { object, .. } => format!("weight {}", weight_in(object)),
            Action::PatchIngress { patch, .. } => format!("weight {}", weight_in(patch)),
            Action::PatchRoute { target, patch, .. } => {
                let weight = routes::written(&self.snapshot(), &target.name, patch);
                format!("weight {weight}")
            }
            Action::DeleteIngress { target } => format!("delete Ingress {}", target.name),
            Action::CreateExperiment { name, .. } => format!("try out {}", self.short_run(name)),
            Action::TerminateExperiment { target } => {
                format!("end trying out {}", self.short_run(&target.name))
            }
            Action::DeleteExperiment { target } => {
                format!("forget trying out {}", self.short_run(&target.name))
            }
            Action::ReadPodTemplate { name } => format!("read {}", version(name)),
            Action::CreateService { name, .. } => format!("create Service {name}"),
            Action::DeleteService { target } => format!("delete Service {}", target.name),
            Action::CreateAnalysisRun { name, .. } => format!("measure {}", self.short_run(name)),
            Action::TerminateAnalysisRun { target } => {
                format!("end measuring {}", self.short_run(&target.name))
            }
            Action::DeleteAnalysisRun { target } => {
                format!("forget measuring {}", self.short_run(&target.name))
            }
            Action::PatchPods { target, .. } => format!("mark pods of {}", version(&target.name)),
            Action::EvictPod { target } => format!("evict {}", target.name),
            Action::ScaleWorkload {
                target, at_rest, ..
            } => format!("scale {} to {}", target.name, at_rest.scaled_to),
            Action::RestoreWorkload { target, .. } => format!("restore {}", target.name),
        }
    }

    pub(super) fn version_or_declared(&self, hash: &str) -> String {
        ["v1", "v2", "v3", "v4"]
            .into_iter()
            .find(|version| self.hash(version) == hash)
            .map_or_else(|| hash.to_owned(), str::to_owned)
    }

    /// `v2-2-1` for `demo-<hash of v2>-2-1`.
    pub(super) fn short_run(&self, name: &str) -> String {
        let rest = name.trim_start_matches("demo-");
        let (hash, rest) = rest.split_once('-').unwrap_or((rest, ""));
        format!("{}-{rest}", self.version_or_declared(hash))
    }

    /// What a decision does, in words.
    pub(super) fn all_shown(&self, decision: &Decision) -> Vec<String> {
        decision
            .actions
            .iter()
            .map(|action| self.shown(action))
            .collect()
    }

    /// What would be done now.
    pub(super) fn would(&self) -> Vec<String> {
        self.all_shown(&self.decide())
    }

    /// What was done since `mark` actions.
    pub(super) fn done_since(&self, mark: usize) -> Vec<String> {
        self.actions[mark..]
            .iter()
            .map(|action| self.shown(action))
            .collect()
    }
}

fn weight_in(object: &serde_json::Value) -> i32 {
    weight_of(Some(&IngressView {
        object: object.clone(),
        ..IngressView::default()
    }))
}
