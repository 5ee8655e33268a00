//! The structural schema of a kind, from its Rust types.
//!
//! Not here: rules that span fields (`rules`).

use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::{
    JsonSchema,
    generate::SchemaSettings,
    transform::{AddNullable, RecursiveTransform},
};
use serde_json::{Map, Value, json};

use crate::api::{
    analysis::{AnalysisRunSpec, AnalysisRunStatus, AnalysisTemplateSpec},
    experiment::{ExperimentSpec, ExperimentStatus},
    names::Kind,
    rollout::RolloutSpec,
    rollout_status::RolloutStatus,
};

/// The schema of the whole object.
pub(super) fn of(kind: Kind) -> Value {
    let (spec, status) = match kind {
        Kind::Rollout => (part::<RolloutSpec>(), part::<RolloutStatus>()),
        Kind::AnalysisTemplate | Kind::ClusterAnalysisTemplate => {
            (part::<AnalysisTemplateSpec>(), no_status())
        }
        Kind::AnalysisRun => (part::<AnalysisRunSpec>(), part::<AnalysisRunStatus>()),
        Kind::Experiment => (part::<ExperimentSpec>(), part::<ExperimentStatus>()),
    };
    json!({
        "type": "object",
        "description": about(kind),
        "required": ["spec"],
        "properties": { "spec": spec, "status": status },
    })
}

fn about(kind: Kind) -> &'static str {
    match kind {
        Kind::Rollout => {
            "A workload whose new versions are brought in step by step, and put back by themselves when they are bad."
        }
        Kind::AnalysisTemplate => "Metrics to measure about a version, in one namespace.",
        Kind::ClusterAnalysisTemplate => {
            "Metrics to measure about a version, for Rollouts of all namespaces."
        }
        Kind::AnalysisRun => "One run of an analysis: what was measured and what it means.",
        Kind::Experiment => {
            "Short-lived versions side by side, with Services and analyses, to a verdict."
        }
    }
}

fn no_status() -> Value {
    json!({ "type": "object", "description": "Templates have no state." })
}

/// The schema of a type, with everything inline.
fn part<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .with_transform(RecursiveTransform(|schema: &mut schemars::Schema| {
            if let Some(schema) = schema.as_object_mut() {
                tidy(schema);
            }
        }))
        .into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// Takes out what would mean something else to Kubernetes than it does in Rust.
fn tidy(schema: &mut Map<String, Value>) {
    schema.remove("title");
    // An absent value and `null` are the same to us; the API server drops `null` where it is not `nullable`.
    schema.remove("nullable");
    // Defaults are the controller's, so that they are not written into people's objects. `spec.replicas` is the
    // exception that the scale subresource needs; it is the only one that is not a default of its Rust type.
    if schema.get("default").is_some_and(is_rust_default) {
        schema.remove("default");
    }
    // Kubernetes knows only signed formats.
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.remove("format");
    }
}

fn is_rust_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_rust_default),
    }
}
