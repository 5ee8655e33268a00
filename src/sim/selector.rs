//! Label selectors of lists and watches: `key`, `!key`, `key=value`, `key!=value`, joined by commas.
//!
//! Not here: sets (`in`, `notin`); asking for them is refused.

use serde_json::Value;

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    Is(String, String),
    IsNot(String, String),
}

impl Selector {
    /// Reads a selector. An error names what is not modelled.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['(', ' ']) {
            return Err(format!("label selector {text}"));
        }
        let requirement = |part: &str| {
            if let Some((key, value)) = part.split_once("!=") {
                Requirement::IsNot(key.to_owned(), value.to_owned())
            } else if let Some((key, value)) = part.split_once('=') {
                Requirement::Is(key.to_owned(), value.trim_start_matches('=').to_owned())
            } else if let Some(key) = part.strip_prefix('!') {
                Requirement::Absent(key.to_owned())
            } else {
                Requirement::Exists(part.to_owned())
            }
        };
        Ok(Self(
            text.split(',')
                .filter(|part| !part.is_empty())
                .map(requirement)
                .collect(),
        ))
    }

    /// Whether the labels of the object fulfil it.
    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| {
            object
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get(key)?.as_str())
        };
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
            Requirement::Is(key, value) => label(key) == Some(value),
            Requirement::IsNot(key, value) => label(key) != Some(value),
        })
    }
}

#[test]
fn selects_by_presence_and_value() {
    let object = serde_json::json!({"metadata": {"labels": {"a": "1", "x.dev/b": ""}}});
    let of = |text| Selector::parse(text).map(|selector| selector.matches(&object));
    let outcomes = ["a", "!a", "a=1", "a==1,x.dev/b", "a!=1", "c!=1", "c"].map(of);
    let expected = [true, false, true, true, false, true, false].map(Ok);
    assert_eq!(outcomes, expected);
}
