//! `metadata.managedFields`, as far as the controller reads it: who last wrote a Service's selector and an Ingress's annotations.

use serde_json::{Value, json};

const TRACKED: [(&str, &str); 2] = [("spec", "selector"), ("metadata", "annotations")];

/// Notes in `object` what `manager` has changed of the tracked fields.
pub fn note(object: &mut Value, before: Option<&Value>, manager: &str, time: &str) {
    for (part, field) in TRACKED {
        let new = &object[part][field];
        if *new == Value::Null || before.is_some_and(|before| before[part][field] == *new) {
            continue;
        }
        let path = json!({ format!("f:{part}"): { format!("f:{field}"): {} } });
        let entry = json!({"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": path});
        let entries = &mut object["metadata"]["managedFields"];
        if !entries.is_array() {
            *entries = json!([]);
        }
        if let Some(entries) = entries.as_array_mut() {
            entries.retain(|old| old["fieldsV1"] != path);
            entries.push(entry);
        }
    }
}
