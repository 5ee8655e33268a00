//! C9: only what is ours, or was given to us, is written; what is made has its owner, and what is deleted is the one that was seen.

use serde_json::Value;
use tidegate::sim::store::{By, Change};

use crate::sim::monitors::{Happened, Monitor, Told, View, release::all_names, view::owner};

#[derive(Clone)]
pub(super) struct OnlyOurs;

/// Kinds that are there for all.
const BESIDE: [&str; 2] = ["events", "leases"];

fn is_owned(object: &Value) -> bool {
    ["Rollout", "AnalysisRun", "Experiment"]
        .into_iter()
        .any(|kind| owner(object, kind).is_some())
}

fn is_marked(object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    all_names()
        .iter()
        .any(|names| !labels[&names.managed_by_rollout].is_null())
}

impl Monitor for OnlyOurs {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        match event {
            Happened::Request(asked) => {
                if asked.verb == "delete" {
                    let same = asked.uid.is_some() || asked.version.is_some();
                    told.check("C9", same, || {
                        format!("{:?} is deleted, whoever it is", asked.key)
                    });
                }
            }
            Happened::Change(change)
                if change.by == By::Controller && !BESIDE.contains(&change.key.plural) =>
            {
                judge(change, view, told);
            }
            Happened::Change(_) | Happened::Answered(_) | Happened::Lost(_) => {}
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}

fn judge(change: &Change, view: &View, told: &mut Told) {
    let Some(before) = &change.before else {
        told.check("C9", is_owned(&change.object), || {
            format!("{} is made without an owner of ours", change.key)
        });
        return;
    };
    if matches!(
        change.key.plural,
        "rollouts" | "analysisruns" | "experiments"
    ) {
        return;
    }
    let adopted = owner(before, "Rollout").is_none()
        && is_owned(&change.object)
        && change.key.plural == "replicasets";
    // Pods are those of ReplicaSets of ours.
    let pod = change.key.plural == "pods"
        && owner(before, "ReplicaSet").is_some_and(|(set, _)| {
            view.get("replicasets", &change.key.namespace, set)
                .is_none_or(|set| is_owned(set))
        });
    let named = view.any_lately(|release| {
        let workload = release.spec.workload_ref.as_ref();
        let is_workload = change.key.plural == "deployments"
            && workload.is_some_and(|workload| workload.name.as_deref() == Some(&*change.key.name));
        release.namespace == change.key.namespace
            && (is_workload || release.names(change.key.plural, &change.key.name, change))
    });
    let ours = is_owned(before) || is_marked(before) || adopted || pod || named;
    told.check("C9", ours, || {
        format!("{} is written, and nobody gave it to us", change.key)
    });
}
