//! The AnalysisRun that a Rollout or an Experiment creates from templates. Pure; creating it is their concern.
//!
//! A run is a snapshot: it holds the metrics and the values of the arguments as they were, and later changes of a
//! template or of its owner do not reach it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use thiserror::Error;

use super::args::field_path::{self, FieldPathError};
use super::plan::{self, FieldError};
use crate::api::analysis::{
    AnalysisRunArgument, AnalysisRunMetadata, AnalysisRunSpec, AnalysisTemplateSpec, Argument,
    DryRun, FieldRef, MeasurementRetention, Metric, PodTemplateHashValue, RolloutAnalysis,
    SecretKeyRef, ValueFrom,
};

/// A template as it was found.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its kind and name for messages, such as `AnalysisTemplate "errors"`.
    pub shown: String,
    /// What it declares.
    pub spec: AnalysisTemplateSpec,
}

/// An argument that is given to templates. Without any source the template's own counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given {
    /// The name under which a template declares it.
    pub name: String,
    /// The value itself.
    pub value: Option<String>,
    /// The hash of a version.
    pub pod_template_hash: Option<PodTemplateHashValue>,
    /// A field of the run's owner.
    pub field: Option<FieldRef>,
    /// A Secret; the run reads it at each measurement.
    pub secret: Option<SecretKeyRef>,
    /// There is a `valueFrom` without a source.
    pub empty_source: bool,
}

impl From<&AnalysisRunArgument> for Given {
    fn from(argument: &AnalysisRunArgument) -> Self {
        let from = argument.value_from.clone();
        let (hash, field) = from
            .clone()
            .map(|from| (from.pod_template_hash_value, from.field_ref))
            .unwrap_or_default();
        Self {
            name: argument.name.clone(),
            value: argument.value.clone(),
            empty_source: from.is_some() && hash.is_none() && field.is_none(),
            pod_template_hash: hash,
            field,
            secret: None,
        }
    }
}

impl From<&Argument> for Given {
    fn from(argument: &Argument) -> Self {
        let from = argument.value_from.clone();
        let (secret, field) = from
            .clone()
            .map(|from| (from.secret_key_ref, from.field_ref))
            .unwrap_or_default();
        Self {
            name: argument.name.clone(),
            value: argument.value.clone(),
            empty_source: from.is_some() && secret.is_none() && field.is_none(),
            pod_template_hash: None,
            field,
            secret,
        }
    }
}

/// What whoever starts a run adds to the templates.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Arguments; those that no template declares are left out.
    pub args: Vec<Given>,
    /// Metrics that decide nothing.
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept; these rules win over those of templates.
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Labels and annotations of the run.
    pub metadata: AnalysisRunMetadata,
}

impl From<&RolloutAnalysis> for Additions {
    fn from(analysis: &RolloutAnalysis) -> Self {
        Self {
            args: analysis.args.iter().map(Given::from).collect(),
            dry_run: analysis.dry_run.clone(),
            measurement_retention: analysis.measurement_retention.clone(),
            metadata: analysis.analysis_run_metadata.clone().unwrap_or_default(),
        }
    }
}

/// What an AnalysisRun is made from.
#[derive(Clone, Debug)]
pub struct RunRequest<'a> {
    /// The API version of AnalysisRun, such as `tidegate.dev/v1alpha1`.
    pub api_version: &'a str,
    /// The name of the run.
    pub name: &'a str,
    /// The namespace of its owner.
    pub namespace: &'a str,
    /// The owner reference, as JSON.
    pub owner: Value,
    /// Labels the controller needs. They win over those of `analysisRunMetadata`.
    pub labels: BTreeMap<String, String>,
    /// Annotations the controller needs. They win too.
    pub annotations: BTreeMap<String, String>,
    /// What is added to the templates.
    pub additions: Additions,
    /// The templates it leads to, as [`super::templates::resolve`] orders them.
    pub templates: &'a [Template],
    /// The owner, for `fieldRef`.
    pub subject: &'a Value,
    /// The pod template hash of the stable version, once there is one.
    pub stable_hash: Option<&'a str>,
    /// The pod template hash of the version being rolled out. An Experiment has none.
    pub latest_hash: Option<&'a str>,
    /// Whether every metric must end by itself, as in a step.
    pub must_end: bool,
}

/// Why no run can be made. It stays so until somebody changes the Rollout or a template.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum RenderError {
    /// No template is named.
    #[error("the analysis names no template; no data is never a success: name one in templates")]
    NoTemplate,
    /// Two templates have a metric of the same name.
    #[error(
        "metric \"{metric}\" is in {first} and in {second}; metric names are unique in an analysis, rename one"
    )]
    DuplicateMetric {
        /// The metric.
        metric: String,
        /// A template that has it.
        first: String,
        /// The other one.
        second: String,
    },
    /// Two templates declare the same argument in different ways.
    #[error(
        "argument \"{argument}\" has different defaults in {first} and {second}; make them the same, or rename one"
    )]
    ConflictingArgument {
        /// The argument.
        argument: String,
        /// A template that declares it.
        first: String,
        /// The other one.
        second: String,
    },
    /// An argument has no value.
    #[error(
        "argument \"{argument}\" of {template} has no value; give it one in the args of whatever uses the template"
    )]
    Unresolved {
        /// The argument.
        argument: String,
        /// The template.
        template: String,
    },
    /// A version's hash is asked for before there is such a version.
    #[error(
        "argument \"{argument}\" asks for the pod template hash of the {whose} version, but there is none yet"
    )]
    NoVersion {
        /// The argument.
        argument: String,
        /// Which version.
        whose: &'static str,
    },
    /// An argument is taken from a field that gives no value.
    #[error("argument \"{argument}\" cannot be read: {source}")]
    Field {
        /// The argument.
        argument: String,
        /// The field's path.
        path: String,
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
    #[error("{}", shown(.0))]
    Invalid(Vec<TemplateErrors>),
    /// The run cannot be written as JSON.
    #[error("the AnalysisRun cannot be written as JSON: {0}")]
    Json(String),
}

/// What is wrong with one template.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateErrors {
    /// The template, or whatever else the fields belong to.
    pub template: String,
    /// The fields, by their paths in the template.
    pub errors: Vec<FieldError>,
}

fn shown(templates: &[TemplateErrors]) -> String {
    let lines = templates.iter().map(|template| {
        let errors: Vec<String> = template.errors.iter().map(ToString::to_string).collect();
        format!(
            "{} cannot be used: {}",
            template.template,
            errors.join("; ")
        )
    });
    lines.collect::<Vec<_>>().join(". ")
}

/// The AnalysisRun as JSON, checked so far that it will run.
pub fn analysis_run(request: &RunRequest<'_>) -> Result<Value, RenderError> {
    if request.templates.is_empty() {
        return Err(RenderError::NoTemplate);
    }
    let metrics = Metrics::of(request.templates)?;
    let specs = || request.templates.iter().map(|template| &template.spec);
    let spec = AnalysisRunSpec {
        metrics: metrics.all.clone(),
        args: arguments(request)?,
        terminate: None,
        dry_run: merged(
            specs()
                .flat_map(|spec| &spec.dry_run)
                .chain(&request.additions.dry_run),
            |rule: &DryRun| &rule.metric_name,
        ),
        measurement_retention: merged(
            request
                .additions
                .measurement_retention
                .iter()
                .chain(specs().flat_map(|spec| &spec.measurement_retention)),
            |rule: &MeasurementRetention| &rule.metric_name,
        ),
        ttl_strategy: None,
    };
    let plans =
        plan::plan(&spec).map_err(|errors| RenderError::Invalid(metrics.attributed(errors)))?;
    let endless = plans
        .iter()
        .enumerate()
        .find(|(_, plan)| plan.count.is_none() && plan.consecutive_success_limit.is_none());
    if let (true, Some((index, plan))) = (request.must_end, endless) {
        return Err(RenderError::Endless {
            metric: plan.name.clone(),
            template: metrics.template(index).to_owned(),
        });
    }
    let spec = serde_json::to_value(&spec).map_err(|error| RenderError::Json(error.to_string()))?;
    let metadata = &request.additions.metadata;
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

/// The metrics of all templates, and whose they are.
struct Metrics<'a> {
    all: Vec<Metric>,
    /// Of each metric its template, and its index there.
    origin: Vec<(&'a str, usize)>,
    /// What fields belong to that are not a metric's.
    whole: String,
}

impl<'a> Metrics<'a> {
    fn of(templates: &'a [Template]) -> Result<Self, RenderError> {
        let shown = |template: &'a Template| template.shown.as_str();
        let mut metrics = Self {
            all: Vec::new(),
            origin: Vec::new(),
            whole: templates.iter().map(shown).collect::<Vec<_>>().join(", "),
        };
        for template in templates {
            for (index, metric) in template.spec.metrics.iter().enumerate() {
                let known = metrics.all.iter().position(|one| one.name == metric.name);
                let first = known.map(|known| metrics.template(known));
                // Twice in one template: the plan says so, with its place.
                if let Some(first) = first.filter(|first| *first != template.shown) {
                    return Err(RenderError::DuplicateMetric {
                        metric: metric.name.clone(),
                        first: first.to_owned(),
                        second: template.shown.clone(),
                    });
                }
                metrics.all.push(metric.clone());
                metrics.origin.push((&template.shown, index));
            }
        }
        Ok(metrics)
    }

    /// The template of a metric.
    fn template(&self, index: usize) -> &'a str {
        self.origin.get(index).map_or("", |(template, _)| template)
    }

    /// Errors of the run's spec as errors of the templates it was made from.
    fn attributed(&self, errors: Vec<FieldError>) -> Vec<TemplateErrors> {
        let mut attributed: Vec<TemplateErrors> = Vec::new();
        for mut error in errors {
            let mut template = self.whole.as_str();
            if let Some((index, rest)) = metric_index(&error.path)
                && let Some((of, there)) = self.origin.get(index)
            {
                template = of;
                error.path = format!("{METRICS}{there}{rest}");
            }
            match attributed.iter_mut().find(|one| one.template == template) {
                Some(one) => one.errors.push(error),
                None => attributed.push(TemplateErrors {
                    template: template.to_owned(),
                    errors: vec![error],
                }),
            }
        }
        attributed
    }
}

/// How the path of a metric's field begins.
const METRICS: &str = "spec.metrics[";

/// The index in `spec.metrics[3].interval`, and what comes after it.
fn metric_index(path: &str) -> Option<(usize, &str)> {
    let rest = path.strip_prefix(METRICS)?;
    let end = rest.find(']')?;
    Some((rest.get(..end)?.parse().ok()?, rest.get(end..)?))
}

/// The rules without doubles; the first rule that matches a metric wins.
fn merged<'a, T: Clone + 'a>(
    rules: impl Iterator<Item = &'a T>,
    key: impl Fn(&T) -> &String,
) -> Vec<T> {
    let mut seen = BTreeSet::new();
    rules
        .filter(|rule| seen.insert(key(rule).clone()))
        .cloned()
        .collect()
}

/// The arguments that the templates declare, each once, with the template to name.
fn declared(templates: &[Template]) -> Result<Vec<(&Argument, &Template)>, RenderError> {
    let mut all: Vec<(&Argument, &Template)> = Vec::new();
    let has_default =
        |argument: &Argument| argument.value.is_some() || argument.value_from.is_some();
    for template in templates {
        for argument in &template.spec.args {
            let known = all
                .iter_mut()
                .find(|(known, _)| known.name == argument.name);
            match known {
                None => all.push((argument, template)),
                Some((known, _)) if *known == argument || !has_default(argument) => {}
                Some(known) if !has_default(known.0) => *known = (argument, template),
                Some((_, first)) => {
                    return Err(RenderError::ConflictingArgument {
                        argument: argument.name.clone(),
                        first: first.shown.clone(),
                        second: template.shown.clone(),
                    });
                }
            }
        }
    }
    Ok(all)
}

/// The templates' arguments with their values: the one that is given, else the template's own.
fn arguments(request: &RunRequest<'_>) -> Result<Vec<Argument>, RenderError> {
    declared(request.templates)?
        .into_iter()
        .map(|(declared, template)| {
            let name = &declared.name;
            let given = request.additions.args.iter().find(|one| &one.name == name);
            match given {
                Some(given) => from_outside(request, given)?,
                None => None,
            }
            .map_or_else(|| own(request, template, declared), Ok)
        })
        .collect()
}

/// The value that is given. `None`: it is only named, so that the template's own counts.
fn from_outside(request: &RunRequest<'_>, given: &Given) -> Result<Option<Argument>, RenderError> {
    let name = &given.name;
    let (value, hash_of) = (given.value.as_ref(), given.pod_template_hash);
    Ok(Some(match (value, hash_of, &given.field, &given.secret) {
        (Some(value), None, None, None) if !given.empty_source => valued(name, value.clone()),
        (None, Some(whose), None, None) => valued(name, hash(request, name, whose)?),
        (None, None, Some(field), None) => valued(name, read(request, name, field)?),
        (None, None, None, Some(secret)) => Argument {
            name: name.clone(),
            value: None,
            value_from: Some(ValueFrom {
                secret_key_ref: Some(secret.clone()),
                field_ref: None,
            }),
        },
        (None, None, None, None) if !given.empty_source => return Ok(None),
        _ => return Err(RenderError::Ambiguous(name.clone())),
    }))
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
    let (found, whose) = match whose {
        PodTemplateHashValue::Latest => (request.latest_hash, "latest"),
        PodTemplateHashValue::Stable => (request.stable_hash, "stable"),
    };
    found
        .map(str::to_owned)
        .ok_or_else(|| RenderError::NoVersion {
            argument: argument.to_owned(),
            whose,
        })
}

fn read(request: &RunRequest<'_>, argument: &str, field: &FieldRef) -> Result<String, RenderError> {
    field_path::read(request.subject, &field.field_path).map_err(|source| RenderError::Field {
        argument: argument.to_owned(),
        path: field.field_path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
