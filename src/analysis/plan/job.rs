//! Which Job a metric runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;
use crate::analysis::args::{ArgText, Args, json::ArgJson};
use crate::api::analysis::{JobMetric, Metric};

/// Which Job a metric runs. No Secret is in it: whoever may read Jobs could read it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPlan {
    /// Labels of the Job.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Job.
    pub annotations: BTreeMap<String, String>,
    /// Its spec, with arguments in place.
    pub spec: Value,
}

pub(super) fn plan(
    path: &str,
    metric: &Metric,
    job: &JobMetric,
    args: &Args,
    errors: &mut Fields,
) -> Option<JobPlan> {
    let whole = path.trim_end_matches(".provider.job");
    for (field, set) in [
        ("successCondition", metric.success_condition.as_deref()),
        ("failureCondition", metric.failure_condition.as_deref()),
    ] {
        if set.is_some_and(|text| !text.trim().is_empty()) {
            errors.add(
                format!("{whole}.{field}"),
                "a Job has no result to judge: it is good when it completes and bad when it fails; remove it",
            );
        }
    }
    let Some(spec) = job.spec.as_ref().filter(|spec| !spec.0.is_empty()) else {
        errors.add(
            format!("{path}.spec"),
            "it is missing; give the spec of a Job",
        );
        return None;
    };
    if spec.0.get("suspend") == Some(&Value::Bool(true)) {
        errors.add(
            format!("{path}.spec.suspend"),
            "a Job that does not run measures nothing; remove it",
        );
    }
    let metadata = job.metadata.clone().unwrap_or_default();
    Some(JobPlan {
        labels: texts(
            &format!("{path}.metadata.labels"),
            &metadata.labels,
            args,
            errors,
        )?,
        annotations: texts(
            &format!("{path}.metadata.annotations"),
            &metadata.annotations,
            args,
            errors,
        )?,
        spec: plain(
            &format!("{path}.spec"),
            &Value::Object(spec.0.clone()),
            args,
            errors,
        )?,
    })
}

fn texts(
    path: &str,
    texts: &BTreeMap<String, String>,
    args: &Args,
    errors: &mut Fields,
) -> Option<BTreeMap<String, String>> {
    texts
        .iter()
        .map(|(key, text)| {
            let text = args
                .substitute_plain(text)
                .map_err(|error| errors.add(format!("{path}.{key}"), error.to_string()))
                .ok()?;
            Some((key.clone(), text))
        })
        .collect()
}

/// The value with its arguments, none of them secret.
fn plain(path: &str, value: &Value, args: &Args, errors: &mut Fields) -> Option<Value> {
    let json = ArgJson::new(value, args)
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()?;
    if let Some((argument, _)) = json.texts().into_iter().flat_map(ArgText::secrets).next() {
        errors.add(
            path,
            format!(
                "argument \"{argument}\" comes from a Secret, and everybody who may read Jobs would see it; refer to the Secret in the container's env (valueFrom.secretKeyRef)"
            ),
        );
        return None;
    }
    json.fill(&|_| None)
}
