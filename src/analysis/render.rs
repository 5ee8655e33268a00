//! The AnalysisRun that a Rollout or an Experiment creates from templates. Pure; creating it is their concern.
//!
//! A run is a snapshot: it holds the metrics and the values of the arguments as they were, and later changes of a
//! template or of its owner do not reach it.

mod arguments;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use thiserror::Error;

use super::args::field_path::FieldPathError;
use super::plan::{self, FieldError};
use crate::api::analysis::{
    AnalysisRunMetadata, AnalysisRunSpec, AnalysisTemplateSpec, DryRun, MeasurementRetention,
    Metric, RolloutAnalysis,
};

pub use arguments::Given;

/// A template as it was found.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its kind and name for messages, such as `AnalysisTemplate "errors"`.
    pub shown: String,
    /// What it declares.
    pub spec: AnalysisTemplateSpec,
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
        args: arguments::arguments(request)?,
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

#[cfg(test)]
mod tests;
