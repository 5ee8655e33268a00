//! Paths into JSON as Kubernetes writes them, `{$.data.items[0].value}`, on top of RFC 9535.
//!
//! What works: one path in braces, with or without `$`; names (also with `-`, and with `\.` for a dot), `['name']`, indices,
//! slices, `*`, filters such as `[?(@.name == "x")]`, and one `..`. What could grow without bound on a hostile answer is
//! refused by name: lists of selectors (commas), a second `..`, and `$` within a filter.

use std::fmt::Write as _;

use serde_json::Value;
use thiserror::Error;

use super::text;

/// The longest path, in characters.
const MAX_LENGTH: usize = 512;

/// Why a path cannot be used.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum JsonPathError {
    /// It has too many characters.
    #[error("the path is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// More than one path, or text around it.
    #[error("it is not one path in braces, such as {{$.data.value}}")]
    NotOnePath,
    /// Something that is not supported.
    #[error("it uses {0}, which paths may not")]
    Forbidden(&'static str),
    /// It is no path.
    #[error("it is no path into JSON: {0}")]
    Syntax(String),
}

/// A path that was checked.
#[derive(Clone, Debug)]
pub struct JsonPath {
    text: String,
    path: serde_json_path::JsonPath,
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl JsonPath {
    /// Reads a path. `None` is the whole document: `{$}`, or nothing.
    pub fn parse(text: &str) -> Result<Option<Self>, JsonPathError> {
        if text.chars().count() > MAX_LENGTH {
            return Err(JsonPathError::TooLong);
        }
        let text = text.trim();
        let inner = match (text.strip_prefix('{'), text.strip_suffix('}')) {
            (Some(_), Some(_)) if text.len() > 1 => text.get(1..text.len() - 1).unwrap_or_default(),
            (None, None) => text,
            (Some(_) | None, Some(_) | None) => return Err(JsonPathError::NotOnePath),
        };
        let inner = inner.trim();
        let rest = inner.strip_prefix(['$', '@']).unwrap_or(inner);
        if rest.is_empty() {
            return Ok(None);
        }
        let canonical = canonical(rest)?;
        let path = serde_json_path::JsonPath::parse(&canonical)
            .map_err(|error| JsonPathError::Syntax(text::one_line(&error.to_string(), 200)))?;
        Ok(Some(Self {
            text: canonical,
            path,
        }))
    }

    /// What is there: nothing, the value, or, when there are several, a list of them.
    pub fn find(&self, value: &Value) -> Option<Value> {
        let mut found: Vec<Value> = self.path.query(value).into_iter().cloned().collect();
        if found.len() > 1 {
            return Some(Value::Array(found));
        }
        found.pop()
    }
}

/// The path in the words of RFC 9535.
fn canonical(rest: &str) -> Result<String, JsonPathError> {
    let mut path = String::from("$");
    let mut rest = rest;
    let mut descents = 0;
    if !rest.starts_with(['.', '[']) {
        // `{data.value}`
        rest = name(rest, &mut path)?;
    }
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            rest = bracket(rest, &mut path)?;
        } else if let Some(after) = rest.strip_prefix("..") {
            descents += 1;
            path.push_str("..");
            rest = match after.chars().next() {
                Some('[') => after,
                _ => name(after, &mut path)?,
            };
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = name(after, &mut path)?;
        } else {
            return Err(JsonPathError::NotOnePath);
        }
    }
    if descents > 1 {
        return Err(JsonPathError::Forbidden("more than one \"..\""));
    }
    Ok(path)
}

/// A name after a dot, or `*`.
fn name<'a>(rest: &'a str, path: &mut String) -> Result<&'a str, JsonPathError> {
    if let Some(after) = rest.strip_prefix('*') {
        path.push_str("[*]");
        return Ok(after);
    }
    let mut name = String::new();
    let mut chars = rest.char_indices();
    let mut end = rest.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
            '.' | '[' => {
                end = at;
                break;
            }
            '{' | '}' | ']' | '\'' | '"' | '(' | ')' | '$' | '@' | ',' | '*' => {
                return Err(JsonPathError::NotOnePath);
            }
            c if c.is_whitespace() => {
                return Err(if matches!(name.as_str(), "range" | "end") {
                    JsonPathError::Forbidden("range")
                } else {
                    JsonPathError::NotOnePath
                });
            }
            c => name.push(c),
        }
    }
    if name.is_empty() {
        return Err(JsonPathError::Syntax(
            "a name is missing after a dot".into(),
        ));
    }
    // A JSON text is also a name in RFC 9535's double quotes. Writing to a String cannot fail.
    let written = write!(path, "[{}]", Value::String(name));
    debug_assert!(written.is_ok(), "a String takes everything");
    Ok(rest.get(end..).unwrap_or_default())
}

/// What stands in brackets, as it is but for what is refused.
fn bracket<'a>(rest: &'a str, path: &mut String) -> Result<&'a str, JsonPathError> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    let mut before = None;
    for (at, c) in rest.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) => {
                if c == open {
                    quote = None;
                }
            }
            None => match c {
                '\'' | '"' => quote = Some(c),
                '[' => depth += 1,
                ']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        let (whole, after) = rest.split_at(at + 1);
                        path.push_str(whole);
                        return Ok(after);
                    }
                }
                ',' => return Err(JsonPathError::Forbidden("a list of selectors")),
                '$' => return Err(JsonPathError::Forbidden("$ within a filter")),
                '.' if before == Some('.') => {
                    return Err(JsonPathError::Forbidden("\"..\" within a filter"));
                }
                _ => {}
            },
        }
        before = Some(c);
    }
    Err(JsonPathError::Syntax("a bracket is not closed".into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_kubernetes_finds() {
        let value = json!({
            "data": {"error-rate": 0.5, "a.b": 1, "ok": true},
            "items": [{"name": "x", "v": 1}, {"name": "y", "v": 2}],
        });
        for (path, found) in [
            ("{$.data.ok}", Some(json!(true))),
            ("{.data.ok}", Some(json!(true))),
            ("$.data.ok", Some(json!(true))),
            ("{data.ok}", Some(json!(true))),
            ("{$.data.error-rate}", Some(json!(0.5))),
            ("{.data.a\\.b}", Some(json!(1))),
            ("{.data['a.b']}", Some(json!(1))),
            ("{$.items[0].v}", Some(json!(1))),
            ("{$.items[-1:].v}", Some(json!(2))),
            ("{$.items[*].v}", Some(json!([1, 2]))),
            ("{$.items.*.v}", Some(json!([1, 2]))),
            ("{$.items[?(@.name==\"y\")].v}", Some(json!(2))),
            ("{$..name}", Some(json!(["x", "y"]))),
            ("{$.items[7].v}", None),
            ("{$.nothing}", None),
        ] {
            let parsed = JsonPath::parse(path).expect(path).expect(path);
            assert_eq!(parsed.find(&value), found, "{path}");
        }
    }

    #[test]
    fn the_whole_needs_no_path() {
        for path in ["", "{$}", "$", "{@}", " {} "] {
            assert_eq!(JsonPath::parse(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_or_could_hurt_is_refused_by_name() {
        let long = format!("{{.{}}}", "a".repeat(600));
        for (path, error) in [
            (long.as_str(), "the path is longer than 512 characters"),
            (
                "value: {.a}",
                "it is not one path in braces, such as {$.data.value}",
            ),
            (
                "{.a}{.b}",
                "it is not one path in braces, such as {$.data.value}",
            ),
            (
                "{range .items[*]}{.a}{end}",
                "it uses range, which paths may not",
            ),
            (
                "{.a",
                "it is not one path in braces, such as {$.data.value}",
            ),
            (
                "{.a[0,1]}",
                "it uses a list of selectors, which paths may not",
            ),
            (
                "{$..a..b}",
                "it uses more than one \"..\", which paths may not",
            ),
            (
                "{$.a[?(@..b)]}",
                "it uses \"..\" within a filter, which paths may not",
            ),
            (
                "{$.a[?(@.b == $.c)]}",
                "it uses $ within a filter, which paths may not",
            ),
            (
                "{$.a[0}",
                "it is no path into JSON: a bracket is not closed",
            ),
            (
                "{$.a.}",
                "it is no path into JSON: a name is missing after a dot",
            ),
        ] {
            let refused = JsonPath::parse(path).map(drop);
            assert_eq!(
                refused.map_err(|error| error.to_string()),
                Err(error.to_owned()),
                "{path}"
            );
        }
        let broken = JsonPath::parse("{$.a[x]}")
            .map(drop)
            .map_err(|error| error.to_string());
        assert!(broken.is_err_and(|error| error.starts_with("it is no path into JSON: ")));
    }
}
