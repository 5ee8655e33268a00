//! Whether an object fits the shipped CustomResourceDefinitions: a field that they do not have would be lost on a real server.
//!
//! Not here: CEL rules, bounds, defaults.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use crate::api::{crds, names::ApiNames};

#[expect(
    clippy::expect_used,
    reason = "the definitions are constants of the program, and tests write them"
)]
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    crds::crds(&ApiNames::default())
        .expect("the definitions of this program")
        .into_iter()
        .filter_map(|crd| serde_json::to_value(crd).ok())
        .filter_map(|crd| {
            let plural = crd["spec"]["names"]["plural"].as_str()?.to_owned();
            let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
            Some((plural, schema.clone()))
        })
        .collect()
});

/// The first place at which `object` does not fit, if its kind is one of ours.
pub fn misfit(plural: &str, object: &Value) -> Option<String> {
    let schema = SCHEMAS.get(plural)?;
    let fields = object.as_object()?;
    ["spec", "status"].into_iter().find_map(|part| {
        let value = fields.get(part)?;
        at(schema.pointer(&format!("/properties/{part}"))?, value, part)
    })
}

fn at(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if schema["x-kubernetes-preserve-unknown-fields"] == true
        || schema["x-kubernetes-int-or-string"] == true
    {
        return None;
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(_) | None => true,
    };
    if !(fits || value.is_null() && schema["nullable"] == true) {
        return Some(format!("{path} is {value}, not {}", schema["type"]));
    }
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let below = format!("{path}.{name}");
            match schema
                .pointer("/properties")
                .and_then(|properties| properties.get(name))
                .or_else(|| schema.get("additionalProperties"))
            {
                Some(schema) => at(schema, value, &below),
                None => Some(format!("{below} is not declared")),
            }
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| at(&schema["items"], item, &format!("{path}[{index}]"))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[test]
fn finds_fields_that_a_server_would_drop() {
    use serde_json::json;
    let misfits = [
        json!({"status": {"phase": "Healthy", "conditions": [{"type": "Ready", "extra": 1}]}}),
        json!({"status": {"replicas": "3"}}),
        json!({"spec": {"template": {"spec": {"anything": {"goes": true}}}}}),
    ]
    .map(|object| misfit("rollouts", &object));
    assert_eq!(
        misfits,
        [
            Some("status.conditions[0].extra is not declared".to_owned()),
            Some("status.replicas is \"3\", not \"integer\"".to_owned()),
            None
        ]
    );
}
