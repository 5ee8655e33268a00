//! Definitions of a group whose objects are there already: none of them may be refused, and no field dropped.
//!
//! Types stay, for `kubectl explain` and for what clients expect. What cannot work is said in a condition, not here.

use serde_json::{Value, json};

use crate::api::names::Kind;

/// What would refuse a value that has the right type.
const LIMITS: [&str; 14] = [
    "required",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "uniqueItems",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
];

/// Takes all limits out of the schema of a kind, and lets fields through that it does not know.
pub(super) fn apply(kind: Kind, root: &mut Value) {
    loosen(root);
    if kind == Kind::Rollout
        && let Some(generation) =
            root.pointer_mut("/properties/status/properties/observedGeneration")
    {
        // A number to us, text to the clients of Argo Rollouts.
        generation["type"] = json!("string");
        if let Some(generation) = generation.as_object_mut() {
            generation.remove("format");
        }
    }
}

fn loosen(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    for limit in LIMITS {
        schema.remove(limit);
    }
    schema.remove("x-kubernetes-list-map-keys");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(loosen);
        schema.insert(
            "x-kubernetes-preserve-unknown-fields".to_owned(),
            json!(true),
        );
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner) {
            loosen(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    /// Every schema inside one, with its path.
    fn each(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Map<String, Value>)) {
        let Some(schema) = schema.as_object() else {
            return;
        };
        look(path, schema);
        for (name, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            each(&format!("{path}.{name}"), inner, look);
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(inner) {
                each(&format!("{path}[]"), inner, look);
            }
        }
    }

    #[test]
    fn nothing_is_refused_and_nothing_dropped() {
        for kind in Kind::ALL {
            let mut root = super::super::schema::of(kind);
            apply(kind, &mut root);
            each(kind.name(), &root, &mut |path, schema| {
                for limit in LIMITS {
                    assert!(!schema.contains_key(limit), "{path} has {limit}");
                }
                if schema.contains_key("properties") {
                    let keeps = schema.get("x-kubernetes-preserve-unknown-fields");
                    assert_eq!(keeps, Some(&json!(true)), "{path}");
                }
            });
        }
    }
}
