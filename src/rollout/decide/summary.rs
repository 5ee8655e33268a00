//! The counts in the status.
//!
//! Not here: conditions and phase (`conditions`).

use super::{autoscaling, pass::Pass};

/// Counts pods, and prints the selector for autoscalers.
pub(super) fn count(pass: &mut Pass<'_>) {
    let sets = pass
        .snapshot
        .replica_sets
        .iter()
        .filter(|set| !set.deleting);
    let (mut replicas, mut ready, mut available) = (0, 0, 0);
    for set in sets {
        replicas += set.current;
        ready += set.ready;
        available += set.available;
    }
    let (selector, for_autoscalers) = (selector(pass), autoscaling::replicas(pass, replicas));
    let status = &mut pass.status;
    status.replicas = replicas;
    status.ready_replicas = ready;
    status.available_replicas = available;
    status.updated_replicas = pass.revisions.new.map_or(0, |new| new.current);
    status.hpa_replicas = for_autoscalers;
    status.selector = selector;
}

fn selector(pass: &Pass<'_>) -> String {
    let Some(selector) = &pass.spec.selector else {
        return String::new();
    };
    let labels = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"));
    let expressions = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|requirement| {
            let values = requirement.values.clone().unwrap_or_default().join(",");
            match requirement.operator.as_str() {
                "In" => format!("{} in ({values})", requirement.key),
                "NotIn" => format!("{} notin ({values})", requirement.key),
                "DoesNotExist" => format!("!{}", requirement.key),
                _ => requirement.key.clone(),
            }
        });
    let version = autoscaling::measured(pass)
        .map(|hash| format!("{}={hash}", pass.snapshot.names.pod_template_hash));
    // Pods of an Experiment have the same labels, and are none of the Rollout's.
    let steps = pass.strategy.steps();
    let experiments = steps
        .iter()
        .any(|step| step.experiment.is_some())
        .then(|| format!("!{}", pass.snapshot.names.experiment_name));
    labels
        .chain(expressions)
        .chain(version)
        .chain(experiments)
        .collect::<Vec<_>>()
        .join(",")
}
