//! Whether an object may be stored: metadata, our definitions, and what our controller relies on of built-in kinds.

use serde_json::{Value, json};

use super::Refused;
use crate::sim::{
    resources::Resource,
    schema::{self, Cause, Complaint},
};

/// Which part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Status,
}

/// Refuses what may not be stored. `found` is what is wrong with its metadata.
pub(super) fn judge(
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
    part: Part,
    mut found: Vec<Complaint>,
) -> Result<(), Refused> {
    let kind = object["kind"].as_str().unwrap_or(resource.kind);
    if let Some(definition) = schema::of(resource) {
        if kind != resource.kind {
            let says = format!("must be {}", resource.kind);
            let cause = Cause::Invalid(Some(json!(kind)));
            found.push(Complaint::new("kind", cause, says));
        }
        found = match part {
            Part::Whole => {
                let scale = resource.scale.then(|| replicas(object)).flatten();
                definition.judge(object, old, found, scale)
            }
            Part::Status => definition.judge_status(object, old, found),
        };
    } else if resource.plural == "replicasets" && part == Part::Whole {
        replica_set(&object["spec"], old.map(|old| &old["spec"]), &mut found);
    }
    if found.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Refused::invalid(resource, kind, name, &found))
}

/// What the scale subresource says about the size of an object.
fn replicas(object: &Value) -> Option<Complaint> {
    let says = |shown: Value, says: String| {
        Complaint::new(".spec.replicas", Cause::Invalid(Some(shown)), says)
    };
    let of = |type_: &str, shown: &str| {
        let text = format!(
            ".spec.replicas accessor error: {shown} is of the type {type_}, expected int64"
        );
        Some(says(json!(0), text))
    };
    match object.pointer("/spec/replicas")? {
        Value::Number(number) => match number.as_i64() {
            Some(count) if count < 0 => Some(says(
                json!(count),
                "should be a non-negative integer".to_owned(),
            )),
            Some(_) => None,
            None => of("float64", &number.as_f64().unwrap_or_default().to_string()),
        },
        Value::String(text) => of("string", text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn replica_set(spec: &Value, old: Option<&Value>, found: &mut Vec<Complaint>) {
    let selector = &spec["selector"];
    let wanted = selector["matchLabels"].as_object();
    let expressions = selector["matchExpressions"].as_array();
    if wanted.is_none_or(serde_json::Map::is_empty) && expressions.is_none_or(Vec::is_empty) {
        let says = "empty selector is invalid for deployment";
        let cause = Cause::Invalid(Some(selector.clone()));
        found.push(Complaint::new("spec.selector", cause, says));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if wanted
        .into_iter()
        .flatten()
        .any(|(key, value)| labels[key] != *value)
    {
        let says = "`selector` does not match template `labels`";
        let cause = Cause::Invalid(Some(labels.clone()));
        found.push(Complaint::new("spec.template.metadata.labels", cause, says));
    }
    let containers = spec["template"]["spec"]["containers"].as_array();
    if containers.is_none_or(Vec::is_empty) {
        let field = "spec.template.spec.containers";
        found.push(Complaint::new(field, Cause::Required, ""));
    }
    if old.is_some_and(|old| old["selector"] != *selector) {
        let cause = Cause::Invalid(Some(selector.clone()));
        found.push(Complaint::new("spec.selector", cause, "field is immutable"));
    }
}
