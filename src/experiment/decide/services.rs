//! A Service per template that asks for one: it exists only while the template's pods can serve, and it selects no others.
//!
//! Not here: sending live traffic to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::pass::{Pass, label_value, service_name};
use crate::{
    api::experiment::ExperimentTemplate,
    experiment::snapshot::Refused,
    rollout::{
        decision::{Action, Target},
        snapshot::ReplicaSetView,
    },
};

/// Creates Services for pods that are available, and takes all away when the Experiment has ended: before its pods go.
pub(super) fn settle(pass: &mut Pass<'_>) {
    if pass.has_ended() && !pass.is_over() {
        return;
    }
    let mut wanted = BTreeSet::new();
    if !pass.is_over() {
        for template in &pass.spec.templates {
            let Some(name) = service_name(&pass.snapshot.experiment.name, template) else {
                continue;
            };
            create(pass, template, &name);
            wanted.insert(name);
        }
    }
    let surplus: Vec<Action> = pass
        .snapshot
        .services
        .values()
        .filter(|service| service.owned && !service.deleting && !wanted.contains(&service.name))
        .map(|service| Action::DeleteService {
            target: Target {
                name: service.name.clone(),
                uid: service.uid.clone(),
                resource_version: service.resource_version.clone(),
            },
        })
        .collect();
    pass.actions.extend(surplus);
}

fn create(pass: &mut Pass<'_>, template: &ExperimentTemplate, name: &str) {
    if pass.snapshot.services.contains_key(name) {
        return;
    }
    if matches!(pass.snapshot.refusals.get(name), Some(Refused::Invalid(_))) {
        return;
    }
    let Some(set) = pass.set(template) else {
        return;
    };
    // Nobody is to be led to pods that do not serve yet.
    if set.available >= template.desired_replicas() && set.replicas == template.desired_replicas() {
        let object = render(pass, template, set, name);
        pass.actions.push(Action::CreateService {
            name: name.to_owned(),
            object,
        });
    }
}

fn render(
    pass: &Pass<'_>,
    template: &ExperimentTemplate,
    set: &ReplicaSetView,
    name: &str,
) -> Value {
    let names = &pass.snapshot.names;
    let mut selector = template.selector.match_labels.clone().unwrap_or_default();
    selector.insert(
        names.pod_template_hash.clone(),
        set.pod_template_hash.clone(),
    );
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": pass.snapshot.experiment.namespace,
            "labels": {
                (names.experiment_name.clone()): label_value(&pass.snapshot.experiment.name),
                (names.experiment_template.clone()): label_value(&template.name),
            },
            "ownerReferences": [pass.owner()],
        },
        "spec": { "selector": selector, "ports": ports(template) },
    })
}

/// The ports that the containers declare, each once.
pub(super) fn ports(template: &ExperimentTemplate) -> Vec<Value> {
    let containers = template.template.0.pointer("/spec/containers");
    let declared = containers
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten();
    let mut seen = BTreeSet::new();
    declared
        .filter_map(|port| {
            let number = port.get("containerPort")?.as_i64()?;
            let protocol = port
                .get("protocol")
                .and_then(Value::as_str)
                .unwrap_or("TCP");
            let name = format!("{}-{number}", protocol.to_lowercase());
            let name = port.get("name").and_then(Value::as_str).unwrap_or(&name);
            seen.insert((protocol, number)).then(|| {
                json!({ "name": name, "port": number, "targetPort": number, "protocol": protocol })
            })
        })
        .collect()
}
