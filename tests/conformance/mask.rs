//! Answers without what differs from server to server: versions and uids by the order in which they appear, times, counts of versions
//! in messages, generated names, the namespace.

use regex::Regex;
use serde_json::{Map, Value, json};

/// Kinds of which a server knows more than is modelled: their metadata count, and what a step asks for.
const PARTLY: [&str; 8] = [
    "ReplicaSet",
    "Service",
    "Pod",
    "Ingress",
    "Job",
    "Deployment",
    "EndpointSlice",
    "PodDisruptionBudget",
];

pub struct Mask {
    namespace: String,
    versions: Vec<String>,
    uids: Vec<String>,
    uid: Regex,
    time: Regex,
    number: Regex,
}

impl Mask {
    pub fn new(namespace: &str) -> Self {
        let regex = |text| Regex::new(text).unwrap();
        Self {
            namespace: namespace.to_owned(),
            versions: Vec::new(),
            uids: Vec::new(),
            uid: regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            time: regex(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"),
            number: regex(r"\b\d{2,}\b"),
        }
    }

    /// What counts of an object, a list or a `Status`.
    pub fn object(&mut self, value: &Value, show: &[String]) -> Value {
        let kind = value["kind"].as_str().unwrap_or_default();
        if let Some(items) = value["items"].as_array() {
            let items: Vec<Value> = items.iter().map(|item| self.object(item, show)).collect();
            let mut metadata = value["metadata"].clone();
            if metadata["continue"] == "" {
                metadata.as_object_mut().unwrap().remove("continue");
            }
            for field in ["resourceVersion", "continue"] {
                if let Some(text) = metadata.get_mut(field) {
                    *text = json!("*");
                }
            }
            return json!({"kind": kind, "apiVersion": value["apiVersion"], "metadata": metadata, "items": items});
        }
        if !PARTLY.contains(&kind) {
            return self.value("", value);
        }
        let mut seen = Map::new();
        for field in ["apiVersion", "kind", "metadata"] {
            seen.insert(field.to_owned(), self.value(field, &value[field]));
        }
        for pointer in show {
            let shown = value.pointer(pointer).cloned().unwrap_or_default();
            seen.insert(pointer.clone(), self.value("", &shown));
        }
        Value::Object(seen)
    }

    fn value(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => self.fields(fields),
            Value::Array(items) => items.iter().map(|item| self.value("", item)).collect(),
            Value::String(text) => match name {
                "resourceVersion" => json!(known(&mut self.versions, "v", text)),
                "uid" => json!(known(&mut self.uids, "u", text)),
                _ if self.time.is_match(text) => json!("*"),
                _ => json!(self.text(name, text)),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>) -> Value {
        let mut masked = Map::new();
        // Servers order the fields of some kinds in their own way.
        let mut fields_in_order: Vec<_> = fields.iter().collect();
        fields_in_order.sort_by_key(|(name, _)| *name);
        fields_in_order.retain(|(name, _)| *name != "managedFields");
        for (name, value) in fields_in_order {
            let value = match (name.as_str(), fields.get("generateName")) {
                ("name", Some(Value::String(prefix)))
                    if value.as_str().is_some_and(|it| it.starts_with(prefix)) =>
                {
                    json!(format!("{prefix}*"))
                }
                _ => self.value(name, value),
            };
            masked.insert(name.clone(), value);
        }
        Value::Object(masked)
    }

    fn text(&self, name: &str, text: &str) -> String {
        let text = self.uid.replace_all(text, "<uid>");
        let text = text.replace(&self.namespace, "NS");
        if name == "message" && text.contains("ersion") {
            return self.number.replace_all(&text, "#").into_owned();
        }
        text
    }
}

/// The number of a text among those seen before it.
fn known(seen: &mut Vec<String>, prefix: &str, text: &str) -> String {
    let number = seen.iter().position(|it| it == text).unwrap_or_else(|| {
        seen.push(text.to_owned());
        seen.len() - 1
    });
    format!("{prefix}{number}")
}
