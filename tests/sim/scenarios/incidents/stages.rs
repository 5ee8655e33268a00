//! What people apply, do and see in these releases.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::analysis::judge::MetricValue;

use crate::sim::{
    process::Answers,
    run::{Get, Stage},
    scenarios::{manifests, stories},
};

/// The canary with an analysis among its steps.
pub(super) fn canary(stage: &Stage) {
    canary_with(stage, &json!({}));
}

/// The same with these fields instead.
pub(super) fn canary_with(stage: &Stage, fields: &Value) {
    let mut strategy = stories::strategy();
    json_patch::merge(&mut strategy, fields);
    stories::apply(stage, &json!({ "canary": strategy }));
}

/// The canary with these steps.
pub(super) fn steps(stage: &Stage, steps: &Value) {
    canary_with(stage, &json!({ "steps": steps }));
}

/// Blue-green with these fields too.
pub(super) fn blue_green(stage: &Stage, fields: &Value) {
    let mut strategy = json!({
        "activeService": "web-stable", "previewService": "web-canary",
        "scaleDownDelaySeconds": 10, "abortScaleDownDelaySeconds": 10,
    });
    json_patch::merge(&mut strategy, fields);
    stories::apply(stage, &json!({ "blueGreen": strategy }));
}

/// A canary of four pods whose weights are numbers of pods.
pub(super) fn by_pods(stage: &Stage, fields: &Value) {
    let mut strategy = json!({
        "maxSurge": 1, "maxUnavailable": 0,
        "steps": [{"setWeight": 25}, {"pause": {"duration": 5}}, {"setWeight": 75}, {"pause": {"duration": 5}}],
    });
    json_patch::merge(&mut strategy, fields);
    stage.create(manifests::service("web"));
    stage.create(manifests::template("errors"));
    stage.create(manifests::rollout(4, "web:1", &strategy));
}

/// All pods that are declared are endpoints of the stable Service.
pub(super) fn serves(get: Get<'_>) -> bool {
    let replicas = get("rollouts/web")["spec"]["replicas"]
        .as_u64()
        .unwrap_or(0);
    let ready = get("endpointslices/web-stable-slice")["endpoints"]
        .as_array()
        .map_or(0, |all| {
            all.iter()
                .filter(|one| one["conditions"]["ready"] == true)
                .count()
        });
    u64::try_from(ready) == Ok(replicas)
}

/// As `kubectl apply` with these fields of the spec.
pub(super) fn spec(stage: &Stage, fields: &Value) {
    stage.patch("rollouts", "web", &json!({ "spec": fields }));
}

/// The pod template's image, back or forth.
pub(super) fn image(stage: &Stage, image: &str) {
    stage.patch("rollouts", "web", &manifests::image(image));
}

/// A request with an id of its own.
pub(super) fn ask(stage: &Stage, id: &str, verb: &str) {
    let request = json!({"id": id, "verb": verb, "by": "somebody"}).to_string();
    let patch = json!({"metadata": {"annotations": {"tidegate.dev/request": request}}});
    stage.patch("rollouts", "web", &patch);
}

pub(super) fn handled(get: Get<'_>, id: &str) -> bool {
    get("rollouts/web")["status"]["lastHandledRequest"]["id"] == id
}

pub(super) fn is_aborted(get: Get<'_>) -> bool {
    get("rollouts/web")["status"]["abort"] == true
}

pub(super) fn is_paused(get: Get<'_>) -> bool {
    get("rollouts/web")["status"]["phase"] == "Paused"
}

/// An abort has taken all weight back.
pub(super) fn is_taken_back(get: Get<'_>) -> bool {
    is_aborted(get) && stories::weight(get) == 0
}

/// The queries named so find what this says; all others find no errors.
pub(super) fn one_query(name: &'static str, says: &'static [f64]) -> Answers {
    Arc::new(move |query| {
        let found = if query == name { says } else { &[0.0] };
        Ok(MetricValue::Vector(found.to_vec()))
    })
}

/// A template with these metrics.
pub(super) fn template(stage: &Stage, name: &str, metrics: &Value) {
    stage.create(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {"metrics": metrics},
    }));
}

/// A metric of this query.
pub(super) fn metric(name: &str, more: &Value) -> Value {
    let mut metric = json!({
        "name": name, "interval": "5s", "count": 2, "successCondition": "result[0] < 0.05",
        "provider": {"prometheus": {"query": name}},
    });
    json_patch::merge(&mut metric, more);
    metric
}

/// Somebody ends the analysis of the step.
pub(super) fn terminate(stage: &Stage) {
    let run = stage.get("rollouts/web")["status"]["canary"]["currentStepAnalysisRunStatus"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.patch("analysisruns", &run, &json!({"spec": {"terminate": true}}));
}

/// Somebody annotates everything that the controller writes to.
pub(super) fn touch_everything(stage: &Stage) {
    let sets = stage.names("replicasets");
    let named = [
        ("rollouts", "web"),
        ("services", "web-stable"),
        ("services", "web-canary"),
        ("ingresses", "web"),
    ];
    let all = named
        .into_iter()
        .chain(sets.iter().map(|name| ("replicasets", name.as_str())));
    let number = stage.get("rollouts/web")["metadata"]["resourceVersion"].clone();
    for (plural, name) in all {
        let patch = json!({"metadata": {"annotations": {"touched": number}}});
        stage.patch(plural, name, &patch);
    }
}
