//! The AnalysisRun a Rollout creates from its templates. Pure; creating it is the Rollout's concern.
//!
//! A run is a snapshot: it holds the metrics and the values of the arguments as they were, and later changes of a
//! template or of the Rollout do not reach it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use thiserror::Error;

use super::args::field_path::{self, FieldPathError};
use super::plan::{self, FieldError};
use crate::api::analysis::{
    AnalysisRunMetadata, AnalysisRunSpec, AnalysisTemplateSpec, Argument, DryRun, FieldRef,
    MeasurementRetention, PodTemplateHashValue, RolloutAnalysis, ValueFrom,
};

/// A template as it was found.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its kind and name for messages, such as `AnalysisTemplate "errors"`.
    pub shown: String,
    /// What it declares.
    pub spec: AnalysisTemplateSpec,
}

/// What an AnalysisRun is made from.
#[derive(Clone, Debug)]
pub struct RunRequest<'a> {
    /// The API version of AnalysisRun, such as `tidegate.dev/v1alpha1`.
    pub api_version: &'a str,
    /// The name of the run.
    pub name: &'a str,
    /// The namespace of the Rollout.
    pub namespace: &'a str,
    /// The owner reference to the Rollout, as JSON.
    pub owner: Value,
    /// Labels the controller needs. They win over those of `analysisRunMetadata`.
    pub labels: BTreeMap<String, String>,
    /// Annotations the controller needs. They win too.
    pub annotations: BTreeMap<String, String>,
    /// The analysis as the Rollout has it.
    pub analysis: &'a RolloutAnalysis,
    /// The templates it names, in its order.
    pub templates: &'a [Template],
    /// The Rollout, for `fieldRef`.
    pub rollout: &'a Value,
    /// The pod template hash of the stable version, once there is one.
    pub stable_hash: Option<&'a str>,
    /// The pod template hash of the version being rolled out.
    pub latest_hash: &'a str,
    /// Whether every metric must end by itself, as in a step.
    pub must_end: bool,
}

/// Why no run can be made. It stays so until somebody changes the Rollout or a template.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum RenderError {
    /// No template is named.
    #[error("the analysis names no template; no data is never a success: name one in templates")]
    NoTemplate,
    /// More than one template is named.
    #[error(
        "the analysis names {0} templates; this release supports one, put the metrics into one template"
    )]
    SeveralTemplates(usize),
    /// A template refers to other templates.
    #[error(
        "{0} refers to other templates (spec.templates); this release does not support that, put the metrics into one template"
    )]
    NestedTemplates(String),
    /// An argument has no value.
    #[error(
        "argument \"{argument}\" of {template} has no value; give it one in the Rollout's args"
    )]
    Unresolved {
        /// The argument.
        argument: String,
        /// The template.
        template: String,
    },
    /// The stable version's hash is asked for before there is a stable version.
    #[error(
        "argument \"{0}\" asks for the pod template hash of the stable version, but there is none yet"
    )]
    NoStable(String),
    /// An argument is taken from a field that gives no value.
    #[error("argument \"{argument}\" cannot be read from the Rollout: {source}")]
    Field {
        /// The argument.
        argument: String,
        /// Why.
        source: FieldPathError,
    },
    /// An argument has both `value` and `valueFrom`, or an empty `valueFrom`.
    #[error("argument \"{0}\" needs exactly one of value and valueFrom with one source")]
    Ambiguous(String),
    /// A metric would never end.
    #[error(
        "metric \"{metric}\" of {template} has an interval but no count, so this analysis would never end; set count (or consecutiveSuccessLimit)"
    )]
    Endless {
        /// The metric.
        metric: String,
        /// The template.
        template: String,
    },
    /// The run's spec would be refused.
    #[error("{template} cannot be used: {}", shown(.errors))]
    Invalid {
        /// The template.
        template: String,
        /// What is wrong.
        errors: Vec<FieldError>,
    },
    /// The run cannot be written as JSON.
    #[error("the AnalysisRun cannot be written as JSON: {0}")]
    Json(String),
}

fn shown(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The AnalysisRun as JSON, checked so far that it will run.
pub fn analysis_run(request: &RunRequest<'_>) -> Result<Value, RenderError> {
    let template = match request.templates {
        [] => return Err(RenderError::NoTemplate),
        [template] => template,
        several => return Err(RenderError::SeveralTemplates(several.len())),
    };
    if !template.spec.templates.is_empty() {
        return Err(RenderError::NestedTemplates(template.shown.clone()));
    }
    let spec = AnalysisRunSpec {
        metrics: template.spec.metrics.clone(),
        args: arguments(request, template)?,
        terminate: None,
        dry_run: merged(
            &template.spec.dry_run,
            &request.analysis.dry_run,
            |rule: &DryRun| &rule.metric_name,
        ),
        measurement_retention: merged(
            &request.analysis.measurement_retention,
            &template.spec.measurement_retention,
            |rule: &MeasurementRetention| &rule.metric_name,
        ),
        ttl_strategy: None,
    };
    let plans = plan::plan(&spec).map_err(|errors| RenderError::Invalid {
        template: template.shown.clone(),
        errors,
    })?;
    let endless = plans
        .iter()
        .find(|plan| plan.count.is_none() && plan.consecutive_success_limit.is_none());
    if let (true, Some(endless)) = (request.must_end, endless) {
        return Err(RenderError::Endless {
            metric: endless.name.clone(),
            template: template.shown.clone(),
        });
    }
    let spec = serde_json::to_value(&spec).map_err(|error| RenderError::Json(error.to_string()))?;
    let default = AnalysisRunMetadata::default();
    let metadata = request
        .analysis
        .analysis_run_metadata
        .as_ref()
        .unwrap_or(&default);
    let mut run = json!({
        "apiVersion": request.api_version,
        "kind": "AnalysisRun",
        "metadata": {
            "name": request.name,
            "namespace": request.namespace,
            "ownerReferences": [request.owner],
            "labels": over(&metadata.labels, &request.labels),
        },
        "spec": spec,
    });
    let annotations = over(&metadata.annotations, &request.annotations);
    if !annotations.is_empty() {
        run["metadata"]["annotations"] = json!(annotations);
    }
    Ok(run)
}

/// `winners` laid over `base`.
fn over(
    base: &BTreeMap<String, String>,
    winners: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = base.clone();
    all.extend(winners.clone());
    all
}

/// Both lists without doubles; the first rule that matches a metric wins, so the first list goes first.
fn merged<T: Clone>(first: &[T], second: &[T], key: impl Fn(&T) -> &String) -> Vec<T> {
    let mut seen = BTreeSet::new();
    first
        .iter()
        .chain(second)
        .filter(|rule| seen.insert(key(rule).clone()))
        .cloned()
        .collect()
}

/// The template's arguments with their values: the Rollout's where it gives one, else the template's own.
fn arguments(request: &RunRequest<'_>, template: &Template) -> Result<Vec<Argument>, RenderError> {
    template
        .spec
        .args
        .iter()
        .map(|declared| {
            let name = &declared.name;
            let given = request
                .analysis
                .args
                .iter()
                .find(|given| &given.name == name);
            let Some(given) = given else {
                return own(request, template, declared);
            };
            let value = match (&given.value, &given.value_from) {
                (Some(value), None) => value.clone(),
                (None, Some(from)) => match (from.pod_template_hash_value, &from.field_ref) {
                    (Some(whose), None) => hash(request, name, whose)?,
                    (None, Some(field)) => read(request, name, field)?,
                    (Some(_), Some(_)) | (None, None) => {
                        return Err(RenderError::Ambiguous(name.clone()));
                    }
                },
                (Some(_), Some(_)) => return Err(RenderError::Ambiguous(name.clone())),
                (None, None) => return own(request, template, declared),
            };
            Ok(valued(name, value))
        })
        .collect()
}

/// The value the template itself gives. A Secret stays a reference: the run reads it at each measurement.
fn own(
    request: &RunRequest<'_>,
    template: &Template,
    declared: &Argument,
) -> Result<Argument, RenderError> {
    let name = &declared.name;
    match (&declared.value, &declared.value_from) {
        (Some(value), None) => Ok(valued(name, value.clone())),
        (
            None,
            Some(ValueFrom {
                secret_key_ref: Some(_),
                field_ref: None,
            }),
        ) => Ok(declared.clone()),
        (
            None,
            Some(ValueFrom {
                secret_key_ref: None,
                field_ref: Some(field),
            }),
        ) => Ok(valued(name, read(request, name, field)?)),
        (None, None) => Err(RenderError::Unresolved {
            argument: name.clone(),
            template: template.shown.clone(),
        }),
        (Some(_) | None, Some(_)) => Err(RenderError::Ambiguous(name.clone())),
    }
}

fn valued(name: &str, value: String) -> Argument {
    Argument {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

fn hash(
    request: &RunRequest<'_>,
    argument: &str,
    whose: PodTemplateHashValue,
) -> Result<String, RenderError> {
    match whose {
        PodTemplateHashValue::Latest => Ok(request.latest_hash.to_owned()),
        PodTemplateHashValue::Stable => request
            .stable_hash
            .map(str::to_owned)
            .ok_or_else(|| RenderError::NoStable(argument.to_owned())),
    }
}

fn read(request: &RunRequest<'_>, argument: &str, field: &FieldRef) -> Result<String, RenderError> {
    field_path::read(request.rollout, &field.field_path).map_err(|source| RenderError::Field {
        argument: argument.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
