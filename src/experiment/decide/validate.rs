//! What a spec must fulfil before the first pod starts, and whether what it names exists.
//!
//! Not here: the pod templates, which the API server checks.

use std::collections::BTreeSet;

use super::{analyses, pass::Pass, services};
use crate::{
    api::{
        duration,
        experiment::{ExperimentAnalysis, ExperimentSpec, ExperimentTemplate},
    },
    rollout::decide::FieldError,
};

/// Everything that is wrong with `spec` by itself.
pub fn validate(spec: &ExperimentSpec) -> Result<(), Vec<FieldError>> {
    let mut errors = Errors(Vec::new());
    if spec.templates.is_empty() {
        errors.add(
            "spec.templates",
            "is empty; name at least one version to run",
        );
    }
    if let Some(text) = &spec.duration {
        match duration::parse(text) {
            Ok(length) if length.is_zero() => {
                errors.add(
                    "spec.duration",
                    "must be longer than 0; remove it or set one",
                );
            }
            Ok(_) => {}
            Err(error) => errors.add("spec.duration", error.to_string()),
        }
    }
    if spec.progress_deadline_seconds() < 1 {
        errors.add("spec.progressDeadlineSeconds", "must be at least 1");
    }
    if spec.scale_down_delay_seconds() < 0 {
        errors.add("spec.scaleDownDelaySeconds", "must be at least 0");
    }
    let mut services = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (index, template) in spec.templates.iter().enumerate() {
        let path = format!("spec.templates[{index}]");
        check_name(&template.name, &path, &mut names, &mut errors);
        check_template(spec, template, &path, &mut errors);
        let service = template.service.as_ref();
        if let Some(name) = service.and_then(|service| service.name.as_ref())
            && !services.insert(name)
        {
            errors.add(
                format!("{path}.service.name"),
                format!("\"{name}\" is another template's Service too; each needs its own"),
            );
        }
    }
    let mut names = BTreeSet::new();
    for (index, analysis) in spec.analyses.iter().enumerate() {
        let path = format!("spec.analyses[{index}]");
        check_name(&analysis.name, &path, &mut names, &mut errors);
        check_analysis(analysis, &path, &mut errors);
    }
    if errors.0.is_empty() {
        Ok(())
    } else {
        Err(errors.0)
    }
}

struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            path: path.into(),
            message: message.into(),
        });
    }
}

/// Names become parts of names of objects.
fn check_name<'a>(name: &'a str, path: &str, known: &mut BTreeSet<&'a str>, errors: &mut Errors) {
    let path = format!("{path}.name");
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
    let bytes = name.as_bytes();
    if name.len() > 63
        || !bytes.iter().all(|byte| fits(*byte))
        || !ends(bytes.first())
        || !ends(bytes.last())
    {
        errors.add(
            &path,
            format!("\"{name}\" must be 1 to 63 lower case letters, digits and dashes"),
        );
    }
    if !known.insert(name) {
        errors.add(
            &path,
            format!("\"{name}\" is there twice; names are unique"),
        );
    }
}

fn check_template(
    spec: &ExperimentSpec,
    template: &ExperimentTemplate,
    path: &str,
    errors: &mut Errors,
) {
    if template.desired_replicas() < 0 {
        errors.add(format!("{path}.replicas"), "must be at least 0");
    }
    if template.min_ready_seconds.unwrap_or(0) >= spec.progress_deadline_seconds() {
        errors.add(
            format!("{path}.minReadySeconds"),
            "must be less than spec.progressDeadlineSeconds (600 when absent), or it is never available in time",
        );
    }
    let wanted = template.selector.match_labels.clone().unwrap_or_default();
    let expressions = template.selector.match_expressions.as_ref();
    if wanted.is_empty() && expressions.is_none_or(Vec::is_empty) {
        errors.add(
            format!("{path}.selector"),
            "is empty and would select every pod; set matchLabels",
        );
    }
    let labels = template.template.labels();
    for (key, value) in wanted {
        if labels.get(&key) != Some(&value) {
            errors.add(
                format!("{path}.template.metadata.labels"),
                format!("must have {key}: {value}, as {path}.selector says"),
            );
        }
    }
    if template.service.is_some() && services::ports(template).is_empty() {
        errors.add(
            format!("{path}.service"),
            "has no port: declare ports in the template's containers, or remove it",
        );
    }
}

fn check_analysis(analysis: &ExperimentAnalysis, path: &str, errors: &mut Errors) {
    if analysis.template_name.is_empty() {
        errors.add(
            format!("{path}.templateName"),
            "is empty; an analysis without a template would prove nothing",
        );
    }
    let mut names = BTreeSet::new();
    for (index, argument) in analysis.args.iter().enumerate() {
        let path = format!("{path}.args[{index}]");
        if argument.value.is_some() == argument.value_from.is_some() {
            errors.add(&path, "set exactly one of value and valueFrom");
        }
        if !names.insert(&argument.name) {
            errors.add(&path, format!("\"{}\" is there twice", argument.name));
        }
    }
}

/// Keeps the Experiment from starting where the spec, or what it names, is not right.
pub(super) fn check(pass: &mut Pass<'_>) {
    if pass.has_ended() {
        return;
    }
    let mut wrong = match validate(pass.spec) {
        Ok(()) => Vec::new(),
        Err(errors) => errors,
    };
    if wrong.is_empty() && !pass.has_started() {
        let (missing, problems) = analyses::problems(pass);
        pass.missing = missing;
        wrong.extend(
            problems
                .into_iter()
                .map(|(path, message)| FieldError { path, message }),
        );
    }
    for (index, template) in pass.spec.templates.iter().enumerate() {
        let changed = pass
            .set(template)
            .is_some_and(|set| set.pod_template_hash != pass.hash(template));
        if changed {
            wrong.push(FieldError {
                path: format!("spec.templates[{index}].template"),
                message: "was changed after its pods were started, and they stay what they are; create another Experiment for it".to_owned(),
            });
        }
    }
    if !wrong.is_empty() {
        let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        let message = all.join("; ");
        let why = format!("the spec to be corrected: {message}");
        pass.wait(why.clone(), None);
        pass.hold = Some(why);
        pass.invalid = Some(message);
    } else if !pass.missing.is_empty() {
        let why = format!("{} to exist", pass.missing.join(", "));
        pass.wait(why.clone(), None);
        pass.hold = Some(why);
    }
}
