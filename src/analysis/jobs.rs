//! Jobs that measure: their names, how they look, and how they stand. Pure.
//!
//! When one is started or stopped is decided in `decide`; writing is in `act`.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::JobPlan;
use super::text;
use crate::api::names::{ApiNames, Kind};

/// The longest name of a Job: its pods carry it in a label.
const MAX_NAME: usize = 63;
/// Whatever a name is cut to, so much of its hash stands in it.
const HASH: usize = 8;
/// Where a measurement says which Job it is.
pub const JOB_NAME: &str = "job-name";
/// Reasons for which a container waits for its image, beyond a first failed attempt.
const NO_IMAGE: [&str; 3] = ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

/// An AnalysisRun by which its Jobs are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RunIdentity {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
}

/// A Job of a run as observed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// How it stands.
    pub state: JobState,
}

/// How a Job stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobState {
    /// It goes on.
    Active,
    /// It goes on, and will not end: a pod gets no image.
    NoImage(String),
    /// It is done.
    Complete,
    /// It has failed, and why.
    Failed(String),
    /// Somebody deletes it.
    Deleting,
}

impl JobState {
    /// Whether it may still have pods at work.
    pub const fn is_active(&self) -> bool {
        match self {
            Self::Active | Self::NoImage(_) => true,
            Self::Complete | Self::Failed(_) | Self::Deleting => false,
        }
    }
}

/// The name of a metric's `number`th Job, the same whoever asks: `<run-uid>.<metric>.<number>`. A metric name that is not
/// fit for it, or too long, is replaced by what fits and a hash.
pub fn name(run_uid: &str, metric: &str, number: i32) -> String {
    let number = number.to_string();
    let room = MAX_NAME.saturating_sub(run_uid.len() + number.len() + 2);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let metric = if metric.len() <= room
        && metric.chars().all(fits)
        && ends(metric.chars().next())
        && ends(metric.chars().last())
    {
        metric.to_owned()
    } else {
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, metric.as_bytes()).simple();
        let hash = hash.to_string();
        let hash = hash.get(..HASH.min(room)).unwrap_or_default();
        let plain: String = metric
            .to_ascii_lowercase()
            .chars()
            .filter(|c| fits(*c))
            .collect();
        let plain = plain.trim_start_matches('-');
        let plain = plain
            .get(..plain.len().min(room.saturating_sub(HASH + 1)))
            .unwrap_or_default()
            .trim_end_matches('-');
        if plain.is_empty() {
            hash.to_owned()
        } else {
            format!("{plain}-{hash}")
        }
    };
    format!("{run_uid}.{metric}.{number}")
}

/// The Job as JSON: what the metric says, owned by the run, and with the marks by which it is found.
pub fn object(
    names: &ApiNames,
    run: &RunIdentity,
    metric: &str,
    name: &str,
    plan: &JobPlan,
) -> Value {
    let mut labels = plan.labels.clone();
    labels.insert(names.analysis_run_uid.clone(), run.uid.clone());
    let mut annotations = plan.annotations.clone();
    for (key, value) in [
        (&names.analysis_run_name, run.name.as_str()),
        (&names.analysis_run_namespace, run.namespace.as_str()),
        (&names.metric_name, metric),
    ] {
        annotations.insert(key.clone(), value.to_owned());
    }
    let mut spec = plan.spec.clone();
    // Anything but an object the server refuses with words of its own.
    if let Some(template) = spec
        .get_mut("template")
        .filter(|template| template.is_object())
    {
        let mark = json!({"metadata": {"labels": {(names.analysis_run_uid.clone()): run.uid}}});
        json_patch::merge(template, &mark);
    }
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": run.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": names.api_version(),
                "kind": Kind::AnalysisRun.name(),
                "name": run.name,
                "uid": run.uid,
                "controller": true,
                "blockOwnerDeletion": false,
            }],
        },
        "spec": spec,
    })
}

/// How a Job stands, with its pods.
pub fn view(job: &Value, pods: &[Value]) -> JobView {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str);
    JobView {
        name: text("/metadata/name").unwrap_or_default().to_owned(),
        uid: text("/metadata/uid").unwrap_or_default().to_owned(),
        created: text("/metadata/creationTimestamp").and_then(|time| time.parse().ok()),
        state: state(job, pods),
    }
}

fn state(job: &Value, pods: &[Value]) -> JobState {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let of = |kind: &str| {
        conditions?
            .iter()
            .find(|one| one["type"] == kind && one["status"] == "True")
    };
    if of("Complete").is_some() {
        return JobState::Complete;
    }
    if let Some(failed) = of("Failed") {
        let words = ["reason", "message"].map(|field| failed[field].as_str().unwrap_or_default());
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        return JobState::Failed(text::one_line(&words.join(": "), text::MEASUREMENT_MESSAGE));
    }
    if job.pointer("/metadata/deletionTimestamp").is_some() {
        return JobState::Deleting;
    }
    match pods.iter().find_map(without_image) {
        Some(why) => JobState::NoImage(why),
        None => JobState::Active,
    }
}

/// Why a container of the pod gets no image, if so.
fn without_image(pod: &Value) -> Option<String> {
    let statuses = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|field| pod.get("status")?.get(field)?.as_array())
        .flatten();
    statuses
        .filter_map(|status| status.pointer("/state/waiting"))
        .find(|waiting| {
            waiting["reason"]
                .as_str()
                .is_some_and(|reason| NO_IMAGE.contains(&reason))
        })
        .map(|waiting| {
            let reason = waiting["reason"].as_str().unwrap_or_default();
            let message = waiting["message"].as_str().unwrap_or_default();
            text::one_line(&format!("{reason}: {message}"), text::MEASUREMENT_MESSAGE)
        })
}

/// The Jobs that a status waits for, by name.
pub fn awaited(run: &Value) -> Vec<String> {
    let results = run
        .pointer("/status/metricResults")
        .and_then(Value::as_array);
    let newest = results
        .into_iter()
        .flatten()
        .filter_map(|result| result.get("measurements")?.as_array()?.last());
    newest
        .filter(|measurement| measurement["phase"] == "Running")
        .filter_map(|measurement| measurement.pointer("/metadata/job-name")?.as_str())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b7e7a2e-6a5e-4b57-9a62-6d0d2c7a3f11";

    #[test]
    fn a_job_has_a_name_that_is_always_the_same_and_always_fits() {
        for (metric, number, expected) in [
            ("smoke", 1, "smoke.1"),
            ("smoke", 12, "smoke.12"),
            ("Smoke Test", 1, "smoketest-HASH.1"),
            ("a-name-that-is-much-too-long", 1, "a-name-that-is-HASH.1"),
            ("a.b", 123_456, "ab-HASH.123456"),
            ("…", 1, "HASH.1"),
        ] {
            let found = name(UID, metric, number);
            assert!(found.len() <= MAX_NAME, "{found}");
            assert_eq!(found, name(UID, metric, number));
            let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, metric.as_bytes())
                .simple()
                .to_string();
            let expected = expected.replace("HASH", &hash[..HASH]);
            assert_eq!(found, format!("{UID}.{expected}"), "{metric}");
        }
        assert_ne!(
            name(UID, "a-name-that-is-much-too-long", 1),
            name(UID, "a-name-that-is-much-too-long-2", 1)
        );
    }

    #[test]
    fn a_job_is_the_runs_own_and_can_be_found() {
        let names = ApiNames::default();
        let run = RunIdentity {
            name: "run".into(),
            namespace: "shop".into(),
            uid: UID.into(),
        };
        let plan = JobPlan {
            labels: [
                ("team".to_owned(), "a".to_owned()),
                (names.analysis_run_uid.clone(), "mine".into()),
            ]
            .into(),
            annotations: [("note".to_owned(), "x".to_owned())].into(),
            spec: json!({"backoffLimit": 1, "template": {"metadata": {"labels": {"b": "c"}}, "spec": {}}}),
        };
        let job = object(&names, &run, "smoke", "j", &plan);
        let marks = json!({"team": "a", "analysisrun.tidegate.dev/uid": UID});
        assert_eq!(job["metadata"]["labels"], marks);
        assert_eq!(
            job["metadata"]["annotations"],
            json!({
                "note": "x", "analysisrun.tidegate.dev/name": "run", "analysisrun.tidegate.dev/namespace": "shop",
                "analysisrun.tidegate.dev/metric-name": "smoke",
            })
        );
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], UID);
        let pods = json!({"b": "c", "analysisrun.tidegate.dev/uid": UID});
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], pods);
        assert_eq!(job["spec"]["backoffLimit"], 1);
    }

    #[test]
    fn a_job_stands_as_it_and_its_pods_say() {
        let condition = |kind: &str| {
            json!({"status": {"conditions": [
                {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"},
            ]}})
        };
        let waiting = |reason: &str| {
            json!({"status": {"containerStatuses": [
                {"state": {"running": {}}}, {"state": {"waiting": {"reason": reason, "message": "not found"}}},
            ]}})
        };
        for (job, pod, state) in [
            (json!({}), json!({}), JobState::Active),
            (condition("Complete"), json!({}), JobState::Complete),
            (condition("SuccessCriteriaMet"), json!({}), JobState::Active),
            (condition("Suspended"), json!({}), JobState::Active),
            (
                condition("Failed"),
                json!({}),
                JobState::Failed("BackoffLimitExceeded: too often".into()),
            ),
            (
                json!({"metadata": {"deletionTimestamp": "x"}}),
                json!({}),
                JobState::Deleting,
            ),
            (json!({}), waiting("ErrImagePull"), JobState::Active),
            (json!({}), waiting("CrashLoopBackOff"), JobState::Active),
            (
                json!({}),
                waiting("ImagePullBackOff"),
                JobState::NoImage("ImagePullBackOff: not found".into()),
            ),
            (
                json!({}),
                waiting("InvalidImageName"),
                JobState::NoImage("InvalidImageName: not found".into()),
            ),
            (
                condition("Complete"),
                waiting("ImagePullBackOff"),
                JobState::Complete,
            ),
        ] {
            assert_eq!(
                view(&job, std::slice::from_ref(&pod)).state,
                state,
                "{job} {pod}"
            );
        }
    }

    #[test]
    fn only_measurements_that_run_wait_for_a_job() {
        let measured = |phase: &str, job: &str| {
            json!({"measurements": [
                {"phase": "Running", "metadata": {"job-name": "older"}}, {"phase": phase, "metadata": {"job-name": job}},
            ]})
        };
        let run = json!({"status": {"metricResults": [
            measured("Running", "a"), measured("Successful", "b"), {"measurements": []}, {},
        ]}});
        assert_eq!(awaited(&run), ["a"]);
    }
}
