//! What becomes of an object before it is judged: unknown fields and nulls go, defaults come.

use serde_json::Value;

use super::structural::Structural;

const ALWAYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Takes unknown fields out and returns their paths, sorted.
pub(super) fn unknown(root: &Structural, object: &mut Value) -> Vec<String> {
    let mut found = Vec::new();
    prune(root, object, "", &mut found);
    found.sort();
    found
}

fn prune(schema: &Structural, value: &mut Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let below = || {
                if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                }
            };
            if path.is_empty() && ALWAYS.contains(&name.as_str()) {
                true
            } else if let Some(schema) = schema.field(name) {
                if !value.is_object() && !value.is_array() {
                    return true;
                }
                prune(schema, value, &below(), found);
                true
            } else if schema.preserves {
                true
            } else {
                found.push(below());
                false
            }
        }),
        Value::Array(items) => {
            let Some(each) = schema.item() else { return };
            for (index, item) in items.iter_mut().enumerate() {
                prune(each, item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes out null where it may not be, unless there is a default for it.
pub(super) fn nulls(schema: &Structural, value: &mut Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let Some(schema) = schema.field(name) else {
                return true;
            };
            if value.is_null() && !schema.nullable && schema.default.is_none() {
                return false;
            }
            nulls(schema, value);
            true
        }),
        Value::Array(items) => {
            if let Some(each) = schema.item() {
                for item in items {
                    nulls(each, item);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Puts defaults in.
pub(super) fn defaults(schema: &Structural, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, schema) in &schema.properties {
                let Some(default) = &schema.default else {
                    continue;
                };
                let there = fields.get(name);
                if there.is_none_or(|value| value.is_null() && !schema.nullable) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(schema) = schema.field(name) {
                    defaults(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(each) = schema.item() {
                for item in items {
                    defaults(each, item);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
