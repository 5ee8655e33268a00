//! What an `experiment` step must fulfil.
//!
//! Not here: what an Experiment must fulfil by itself (`experiment::decide::validate`), which is asked too.

use super::Errors;
use crate::{
    api::{canary::CanaryStrategy, experiment::step::ExperimentStep, rollout::RolloutSpec},
    experiment,
    rollout::decide::experiments,
};

pub(super) fn check(spec: &RolloutSpec, canary: &CanaryStrategy, errors: &mut Errors) {
    for (index, step) in canary.steps.iter().enumerate() {
        if let Some(step) = &step.experiment {
            let path = format!("spec.strategy.canary.steps[{index}].experiment");
            check_step(spec, canary, step, &path, errors);
        }
    }
}

fn check_step(
    spec: &RolloutSpec,
    canary: &CanaryStrategy,
    step: &ExperimentStep,
    path: &str,
    errors: &mut Errors,
) {
    let mut analyses = step.analyses.iter();
    if step.duration.is_none() && !analyses.any(|analysis| analysis.required_for_completion) {
        errors.add(
            path,
            "would never end: set duration, or requiredForCompletion of an analysis",
        );
    }
    for (index, template) in step.templates.iter().enumerate() {
        let weighted = format!("{path}.templates[{index}].weight");
        errors.unsupported(&weighted, template.weight.is_some());
    }
    check_services(spec, canary, step, path, errors);
    let Some(template) = &spec.template else {
        return;
    };
    let declared = experiments::declared(spec, step, template);
    let wrong = declared.map(|declared| experiment::decide::validate(&declared).err());
    for error in wrong.into_iter().flatten().flatten() {
        let field = error.path.strip_prefix("spec").unwrap_or(&error.path);
        errors.add(format!("{path}{field}"), error.message);
    }
}

/// Services that no version is pinned in select every pod with the Rollout's labels: those of an Experiment must have
/// others.
fn check_services(
    spec: &RolloutSpec,
    canary: &CanaryStrategy,
    step: &ExperimentStep,
    path: &str,
    errors: &mut Errors,
) {
    if canary.stable_service.is_some() {
        return;
    }
    let selector = spec.selector.as_ref();
    let selected = selector.and_then(|selector| selector.match_labels.clone());
    let selected = selected.unwrap_or_default();
    for (index, template) in step.templates.iter().enumerate() {
        let metadata = template.metadata.clone().unwrap_or_default();
        let differs = metadata
            .labels
            .iter()
            .any(|(key, value)| selected.get(key).is_some_and(|own| own != value));
        if !differs {
            let keys: Vec<&str> = selected.keys().map(String::as_str).collect();
            errors.add(
                format!("{path}.templates[{index}].metadata.labels"),
                format!(
                    "must give one of the labels in spec.selector ({}) another value: without stableService, a Service in front of the Rollout would send live traffic to these pods too",
                    keys.join(", ")
                ),
            );
        }
    }
}
