//! One ReplicaSet per template: created when the Experiment starts, of the declared size until it ends, and without pods
//! some time after.
//!
//! Never one of somebody else: a name that is taken is waited for. Not here: whether pods are available (`templates`).

use serde_json::{Value, json};

use super::pass::{Pass, after, label_value};
use crate::{
    api::{experiment::ExperimentTemplate, rollout_status::NextAction},
    experiment::snapshot::Refused,
    rollout::{
        decision::{Action, Target},
        snapshot::ReplicaSetView,
    },
};

/// Seconds that proxies get to learn that a Service is gone before its pods are.
const MIN_DRAIN: i32 = 5;

/// Creates and sizes the ReplicaSets.
pub(super) fn settle(pass: &mut Pass<'_>) {
    if pass.is_over() {
        return scale_down(pass);
    }
    if pass.has_ended() {
        return;
    }
    if pass.hold.is_some() && !pass.has_started() {
        return;
    }
    pass.status.started_at.get_or_insert(pass.snapshot.now);
    for template in &pass.spec.templates {
        match pass.set(template) {
            Some(set) => size(pass, set, template.desired_replicas()),
            None => create(pass, template),
        }
    }
    let gone: Vec<&ReplicaSetView> = pass
        .snapshot
        .replica_sets
        .iter()
        .filter(|set| {
            let mut templates = pass.spec.templates.iter();
            !templates.any(|template| pass.set_name(template) == set.name)
        })
        .collect();
    for set in gone {
        // Of a template that was taken out of the spec.
        size(pass, set, 0);
    }
}

fn size(pass: &mut Pass<'_>, set: &ReplicaSetView, replicas: i32) {
    if set.replicas != replicas && !set.deleting {
        pass.actions.push(Action::PatchReplicaSet {
            target: Target {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            },
            replicas: Some(replicas),
            annotations: Vec::new(),
            template: Value::Null,
        });
    }
}

fn create(pass: &mut Pass<'_>, template: &ExperimentTemplate) {
    let name = pass.set_name(template);
    let mut sets = pass.snapshot.replica_sets.iter();
    if sets.any(|set| set.name == name) {
        // Somebody deletes it: its name is not free yet.
        return;
    }
    if matches!(pass.snapshot.refusals.get(&name), Some(Refused::Invalid(_))) {
        return;
    }
    let object = render(pass, template, &name);
    pass.actions.push(Action::CreateReplicaSet { name, object });
}

fn render(pass: &Pass<'_>, template: &ExperimentTemplate, name: &str) -> Value {
    let names = &pass.snapshot.names;
    let experiment = &pass.snapshot.experiment;
    let hash = pass.hash(template);
    let mut pods = template.template.clone();
    if !pods.0.is_object() {
        pods.0 = json!({});
    }
    let mut labels = pods.labels();
    labels.insert(names.pod_template_hash.clone(), hash.clone());
    labels.insert(names.experiment_name.clone(), label_value(&experiment.name));
    labels.insert(
        names.experiment_template.clone(),
        label_value(&template.name),
    );
    pods.0["metadata"]["labels"] = json!(labels);
    let mut selector = serde_json::to_value(&template.selector).unwrap_or_else(|_| json!({}));
    if !selector.is_object() {
        selector = json!({});
    }
    selector["matchLabels"][names.pod_template_hash.as_str()] = json!(hash);
    let mut spec = json!({
        "replicas": template.desired_replicas(), "selector": selector, "template": pods,
    });
    if let Some(seconds) = template.min_ready_seconds.filter(|seconds| *seconds > 0) {
        spec["minReadySeconds"] = seconds.into();
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": experiment.namespace,
            "labels": labels,
            "ownerReferences": [pass.owner()],
        },
        "spec": spec,
    })
}

/// Pods stay for the delay, and until their Services are gone and proxies know.
fn scale_down(pass: &mut Pass<'_>) {
    let left: Vec<&ReplicaSetView> = pass
        .snapshot
        .replica_sets
        .iter()
        .filter(|set| set.replicas > 0 && !set.deleting)
        .collect();
    let Some(ended) = pass.status.completed_at.filter(|_| !left.is_empty()) else {
        return;
    };
    let had_services = pass
        .spec
        .templates
        .iter()
        .any(|template| template.service.is_some());
    let delay = pass.spec.scale_down_delay_seconds();
    let at = after(ended, delay.max(if had_services { MIN_DRAIN } else { 0 }));
    let service_left = pass.snapshot.services.values().any(|service| service.owned);
    if pass.now() < at || service_left {
        pass.status.next = Some(NextAction {
            action: "remove the pods".to_owned(),
            at: Some(at),
        });
        if pass.now() < at {
            pass.look_again(at);
        }
        return;
    }
    for set in left {
        size(pass, set, 0);
    }
}
