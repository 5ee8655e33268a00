//! What the server checks of every object's metadata.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::sim::schema::{Cause, Complaint};

const NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
     with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
     with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

struct Patterns {
    name: Regex,
    label: Regex,
    key: Regex,
}

#[expect(clippy::expect_used, reason = "they are constants; tests use them")]
static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let regex = |text: &str| Regex::new(&format!("^(?:{text})$")).expect("a pattern");
    Patterns {
        name: regex(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"),
        label: regex("(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"),
        key: regex("([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"),
    }
});

fn invalid(field: &str, value: &Value, says: &str) -> Complaint {
    Complaint::new(field, Cause::Invalid(Some(value.clone())), says)
}

/// What is wrong with the metadata of a new object.
pub(super) fn of_new(metadata: &Value) -> Vec<Complaint> {
    let mut found = Vec::new();
    name(metadata, &mut found);
    rest(metadata, &mut found);
    found
}

/// What is wrong with the metadata of a changed object.
pub(super) fn of_changed(metadata: &Value, old: &Value) -> Vec<Complaint> {
    let mut found = Vec::new();
    if ["labels", "annotations", "ownerReferences"]
        .iter()
        .any(|field| metadata[field] != old[field])
    {
        rest(metadata, &mut found);
    }
    let uid = &metadata["uid"];
    if !uid.is_null() && *uid != old["uid"] {
        // The server says it twice.
        let complaint = invalid("metadata.uid", uid, "field is immutable");
        found.extend([complaint.clone(), complaint]);
    }
    let deletion = &metadata["deletionTimestamp"];
    if !deletion.is_null() && *deletion != old["deletionTimestamp"] {
        found.push(invalid(
            "metadata.deletionTimestamp",
            deletion,
            "field is immutable",
        ));
    }
    if !old["deletionTimestamp"].is_null() {
        finalizers(metadata, old, &mut found);
    }
    found
}

/// Nothing may be added that a deletion would have to wait for.
fn finalizers(metadata: &Value, old: &Value, found: &mut Vec<Complaint>) {
    let of = |metadata: &Value| metadata["finalizers"].as_array().cloned();
    let before = of(old).unwrap_or_default();
    let added: Vec<String> = of(metadata)
        .unwrap_or_default()
        .into_iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(|finalizer| finalizer.to_string())
        .collect();
    if !added.is_empty() {
        let says = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        // This, too, is said twice.
        let complaint = Complaint::new("metadata.finalizers", Cause::Forbidden, says);
        found.extend([complaint.clone(), complaint]);
    }
}

fn name(metadata: &Value, found: &mut Vec<Complaint>) {
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let (name, prefix) = (text("name"), text("generateName"));
    if !prefix.is_empty() && !PATTERNS.name.is_match(prefix.trim_end_matches('-')) {
        found.push(invalid(
            "metadata.generateName",
            &metadata["generateName"],
            NAME,
        ));
    }
    if name.is_empty() {
        let says = "name or generateName is required";
        found.push(Complaint::new("metadata.name", Cause::Required, says));
        return;
    }
    if name.len() > 253 {
        let says = "must be no more than 253 characters";
        found.push(invalid("metadata.name", &metadata["name"], says));
    }
    if !PATTERNS.name.is_match(name) {
        found.push(invalid("metadata.name", &metadata["name"], NAME));
    }
}

fn rest(metadata: &Value, found: &mut Vec<Complaint>) {
    for field in ["labels", "annotations"] {
        for (key, value) in metadata[field].as_object().into_iter().flatten() {
            let path = format!("metadata.{field}");
            let short = key.rsplit_once('/').map_or(key.as_str(), |(_, name)| name);
            if short.len() > 63 || !PATTERNS.key.is_match(short) {
                found.push(invalid(&path, &json!(key), KEY));
            }
            let text = value.as_str().unwrap_or_default();
            if field == "labels" && text.len() > 63 {
                let says = "must be no more than 63 bytes";
                found.push(invalid(&path, value, says));
            }
            if field == "labels" && !PATTERNS.label.is_match(text) {
                found.push(invalid(&path, value, LABEL));
            }
        }
    }
    let owners = metadata["ownerReferences"].as_array();
    for owner in owners.into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let path = format!("metadata.ownerReferences.{field}");
                found.push(invalid(&path, &json!(""), "must not be empty"));
            }
        }
    }
    let controllers = owners
        .into_iter()
        .flatten()
        .filter(|owner| owner["controller"] == true)
        .count();
    if controllers > 1 {
        found.push(invalid(
            "metadata.ownerReferences",
            &metadata["ownerReferences"],
            "Only one reference can have Controller set to true.",
        ));
    }
}
