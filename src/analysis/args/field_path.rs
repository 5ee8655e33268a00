//! Reads one field of an object by a path such as `metadata.labels['env']` or `status.conditions[0].type`.

use serde_json::Value;
use thiserror::Error;

/// Why a field path gives no value.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum FieldPathError {
    /// The path cannot be read.
    #[error(
        "field path \"{0}\" is malformed; write something like metadata.labels['env'] or spec.steps[0].setWeight"
    )]
    Malformed(String),
    /// Nothing is there.
    #[error("field path \"{path}\" leads nowhere: there is no \"{missing}\"")]
    Missing {
        /// The path.
        path: String,
        /// The part that is not there.
        missing: String,
    },
    /// It is an object, a list, or null.
    #[error("field path \"{0}\" must end at a text, a number or a boolean")]
    NotScalar(String),
}

enum Segment {
    Key(String),
    Index(usize),
}

/// The scalar at `path` in `object`, as text.
pub fn read(object: &Value, path: &str) -> Result<String, FieldPathError> {
    let shown = || path.chars().take(256).collect::<String>();
    let segments = split(path).ok_or_else(|| FieldPathError::Malformed(shown()))?;
    let mut value = object;
    for segment in &segments {
        let (next, name) = match segment {
            Segment::Key(key) => (value.get(key.as_str()), key.clone()),
            Segment::Index(index) => (value.get(*index), format!("[{index}]")),
        };
        value = next.ok_or_else(|| FieldPathError::Missing {
            path: shown(),
            missing: name,
        })?;
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(FieldPathError::NotScalar(shown())),
    }
}

/// `None` when the path is malformed.
fn split(path: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = path;
    let mut first = true;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
            if let Some(quote) = quote {
                let inside = inside.get(1..)?;
                let end = inside.find(quote)?;
                segments.push(Segment::Key(inside.get(..end)?.to_owned()));
                rest = inside.get(end + 1..)?.strip_prefix(']')?;
            } else {
                let end = inside.find(']')?;
                segments.push(Segment::Index(inside.get(..end)?.parse().ok()?));
                rest = inside.get(end + 1..)?;
            }
        } else {
            if !first {
                rest = rest.strip_prefix('.')?;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, tail) = rest.split_at(end);
            if key.is_empty() {
                return None;
            }
            segments.push(Segment::Key(key.to_owned()));
            rest = tail;
        }
        first = false;
    }
    (!segments.is_empty()).then_some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_reads_one_scalar() {
        let object = json!({
            "metadata": {"name": "shop", "labels": {"app.kubernetes.io/name": "x", "env": "prod"}},
            "spec": {"paused": true, "strategy": {"canary": {"steps": [{"setWeight": 5}, {"pause": {}}]}}},
        });
        for (path, expected) in [
            ("metadata.name", Ok("shop")),
            ("metadata.labels['env']", Ok("prod")),
            ("metadata.labels.env", Ok("prod")),
            ("metadata.labels[\"app.kubernetes.io/name\"]", Ok("x")),
            ("spec.strategy.canary.steps[0].setWeight", Ok("5")),
            ("spec.paused", Ok("true")),
            (
                "spec.strategy.canary.steps[7].setWeight",
                Err(
                    "field path \"spec.strategy.canary.steps[7].setWeight\" leads nowhere: there is no \"[7]\"",
                ),
            ),
            (
                "metadata.uid",
                Err("field path \"metadata.uid\" leads nowhere: there is no \"uid\""),
            ),
            (
                "spec.strategy",
                Err("field path \"spec.strategy\" must end at a text, a number or a boolean"),
            ),
            (
                "",
                Err(
                    "field path \"\" is malformed; write something like metadata.labels['env'] or spec.steps[0].setWeight",
                ),
            ),
            (
                "metadata..name",
                Err(
                    "field path \"metadata..name\" is malformed; write something like metadata.labels['env'] or spec.steps[0].setWeight",
                ),
            ),
            (
                "metadata.labels['env",
                Err(
                    "field path \"metadata.labels['env\" is malformed; write something like metadata.labels['env'] or spec.steps[0].setWeight",
                ),
            ),
        ] {
            let read = read(&object, path).map_err(|e| e.to_string());
            assert_eq!(
                read.as_deref(),
                expected.map_err(str::to_owned).as_deref(),
                "{path}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_the_reader_panic(path in "[a-z.'\"\\[\\]0-9é]{0,30}") {
            drop(read(&json!({"a": [1, {"b": 2}]}), &path));
        }
    }
}
