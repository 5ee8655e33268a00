//! What the Experiment of a step is made from: pod templates as they were declared, and arguments with their values.
//!
//! Not here: when one is made (`experiments`).

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use crate::{
    analysis::args::field_path,
    api::{
        analysis::{AnalysisRunArgument, Argument, PodTemplateHashValue},
        experiment::{
            ExperimentAnalysis, ExperimentSpec, ExperimentTemplate,
            step::{ExperimentStep, ExperimentStepTemplate, SpecRef},
        },
        names::Kind,
        pod_template::PodTemplate,
        rollout::RolloutSpec,
    },
    experiment::decide::validate,
    rollout::decide::{pass::Pass, replica_set},
};

/// The ReplicaSets whose pod templates are taken.
pub(super) fn sources(pass: &Pass<'_>, step: &ExperimentStep) -> Result<BTreeSet<String>, String> {
    let templates = step.templates.iter();
    templates
        .map(|template| source(pass, template.spec_ref))
        .collect()
}

fn source(pass: &Pass<'_>, spec_ref: SpecRef) -> Result<String, String> {
    let (set, which) = match spec_ref {
        SpecRef::Stable => (pass.revisions.stable(), "stable"),
        SpecRef::Canary => (pass.revisions.new, "new"),
    };
    let set = set.ok_or_else(|| format!("the ReplicaSet of the {which} version to exist"))?;
    Ok(set.name.clone())
}

/// The Experiment as JSON, or what it lacks.
pub(super) fn experiment(
    pass: &Pass<'_>,
    step: &ExperimentStep,
    index: usize,
    name: &str,
) -> Result<Value, String> {
    let names = &pass.snapshot.names;
    let pods = |spec_ref| {
        let set = source(pass, spec_ref)?;
        let declared = pass.snapshot.pod_templates.get(&set);
        let declared = declared.ok_or_else(|| format!("the pod template of {set} to be read"))?;
        Ok(PodTemplate(declared.clone()))
    };
    let argument = |argument: &AnalysisRunArgument| resolved(pass, argument);
    let hash_label = &names.pod_template_hash;
    let spec = spec(pass.spec, step, hash_label, pods, argument)?;
    if let Err(errors) = validate(&spec) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let path = format!("spec.strategy.canary.steps[{index}].experiment");
        return Err(format!(
            "{path} makes an Experiment that cannot run: {}",
            errors.join("; ")
        ));
    }
    let mut object = json!({
        "apiVersion": names.api_version(),
        "kind": Kind::Experiment.name(),
        "metadata": {
            "name": name,
            "namespace": pass.snapshot.rollout.namespace,
            "labels": {
                (names.pod_template_hash.clone()): pass.revisions.new_hash,
                (names.rollout_type.clone()): "Step",
                (names.step_index.clone()): index.to_string(),
            },
            "annotations": {
                (names.revision.clone()): pass.status.revision.unwrap_or(0).to_string(),
            },
            "ownerReferences": [replica_set::owner(pass)],
        },
        "spec": spec,
    });
    if let Some((key, instance)) = names.instance_label() {
        object["metadata"]["labels"][key] = instance.into();
    }
    Ok(object)
}

/// The Experiment that a step asks for, with the same pod template for every version and no values of arguments: what can
/// be checked before there is any ReplicaSet.
pub(in crate::rollout::decide) fn declared(
    rollout: &RolloutSpec,
    step: &ExperimentStep,
    template: &PodTemplate,
) -> Result<ExperimentSpec, String> {
    let value = |argument: &AnalysisRunArgument| {
        let both = argument.value.is_some() && argument.value_from.is_some();
        let neither = argument.value.is_none() && argument.value_from.is_none();
        Ok(Argument {
            name: argument.name.clone(),
            // What is told of an argument without a value, or with two, is the Experiment's.
            value: (!neither).then(String::new),
            value_from: both.then(Default::default),
        })
    };
    spec(rollout, step, "", |_| Ok(template.clone()), value)
}

fn spec(
    rollout: &RolloutSpec,
    step: &ExperimentStep,
    hash_label: &str,
    pods: impl Fn(SpecRef) -> Result<PodTemplate, String>,
    argument: impl Fn(&AnalysisRunArgument) -> Result<Argument, String>,
) -> Result<ExperimentSpec, String> {
    let templates: Result<_, String> = step
        .templates
        .iter()
        .map(|declared| {
            let template = with_metadata(pods(declared.spec_ref)?, declared, hash_label);
            let selector = declared.selector.clone().unwrap_or_else(|| LabelSelector {
                match_labels: Some(template.labels()),
                match_expressions: None,
            });
            let seconds = rollout.min_ready_seconds;
            Ok(ExperimentTemplate {
                name: declared.name.clone(),
                replicas: declared.replicas,
                min_ready_seconds: (seconds > 0).then_some(seconds),
                selector,
                template,
                service: declared.service.clone(),
            })
        })
        .collect();
    let analyses: Result<_, String> = step
        .analyses
        .iter()
        .map(|declared| {
            let args: Result<_, String> = declared.args.iter().map(&argument).collect();
            Ok(ExperimentAnalysis {
                name: declared.name.clone(),
                template_name: declared.template_name.clone(),
                cluster_scope: declared.cluster_scope,
                args: args?,
                required_for_completion: declared.required_for_completion,
            })
        })
        .collect();
    Ok(ExperimentSpec {
        templates: templates?,
        duration: step.duration.clone(),
        progress_deadline_seconds: Some(rollout.progress_deadline_seconds()),
        terminate: false,
        analyses: analyses?,
        scale_down_delay_seconds: step.scale_down_delay_seconds,
        dry_run: step.dry_run.clone(),
        measurement_retention: Vec::new(),
        analysis_run_metadata: step.analysis_run_metadata.clone(),
    })
}

/// The pod template without the hash of its version, and with the labels and annotations of the step.
fn with_metadata(
    mut template: PodTemplate,
    declared: &ExperimentStepTemplate,
    hash_label: &str,
) -> PodTemplate {
    let mut labels = template.labels();
    labels.remove(hash_label);
    let metadata = declared.metadata.clone().unwrap_or_default();
    labels.extend(metadata.labels);
    if !template.0.is_object() {
        template.0 = json!({});
    }
    template.0["metadata"]["labels"] = json!(labels);
    for (key, value) in metadata.annotations {
        template.0["metadata"]["annotations"][key] = json!(value);
    }
    template
}

/// An argument with its value as it is now.
fn resolved(pass: &Pass<'_>, argument: &AnalysisRunArgument) -> Result<Argument, String> {
    let name = &argument.name;
    let from = argument.value_from.clone().unwrap_or_default();
    let value = match (
        &argument.value,
        from.pod_template_hash_value,
        from.field_ref,
    ) {
        (Some(value), None, None) => value.clone(),
        (None, Some(PodTemplateHashValue::Latest), None) => pass.revisions.new_hash.clone(),
        (None, Some(PodTemplateHashValue::Stable), None) => pass.status.stable_rs.clone(),
        (None, None, Some(field)) => {
            field_path::read(&pass.snapshot.rollout.object, &field.field_path).map_err(|why| {
                format!("argument \"{name}\" cannot be read from the Rollout: {why}")
            })?
        }
        (None, None, None) | (Some(_) | None, Some(_) | None, Some(_) | None) => {
            return Err(format!(
                "argument \"{name}\" needs exactly one of value and valueFrom with one source"
            ));
        }
    };
    Ok(Argument {
        name: name.clone(),
        value: Some(value),
        value_from: None,
    })
}
