//! Selectors of lists and watches: by labels, with sets, and by name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::store::Key;

/// A label selector. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    /// Greater than; the label is a whole number.
    Above(String, i64),
    Below(String, i64),
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = split(text)?;
        let requirements = parts.iter().map(|part| Requirement::parse(part.trim()));
        requirements.collect::<Result<_, _>>().map(Self)
    }

    /// The selector in an object: `matchLabels` and `matchExpressions`.
    pub fn of_object(selector: &Value) -> Self {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::In(key.clone(), BTreeSet::from([value])));
        }
        for expression in selector["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            requirements.push(match expression["operator"].as_str() {
                Some("NotIn") => Requirement::NotIn(key, values),
                Some("Exists") => Requirement::Exists(key),
                Some("DoesNotExist") => Requirement::Absent(key),
                Some(_) | None => Requirement::In(key, values),
            });
        }
        Self(requirements)
    }

    /// Whether it selects the object.
    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| {
            object
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get(key)?.as_str())
        };
        let number = |key: &str| label(key).and_then(|text| text.parse::<i64>().ok());
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
            Requirement::In(key, values) => label(key).is_some_and(|it| values.contains(it)),
            Requirement::NotIn(key, values) => label(key).is_none_or(|it| !values.contains(it)),
            Requirement::Above(key, than) => number(key).is_some_and(|it| it > *than),
            Requirement::Below(key, than) => number(key).is_some_and(|it| it < *than),
        })
    }
}

/// The parts between the commas that are not in a set.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let (mut begin, mut depth) = (0, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a ) without its (")?,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("a ( without its )".to_owned());
    }
    if !text.trim().is_empty() {
        parts.push(&text[begin..]);
    }
    Ok(parts)
}

impl Requirement {
    fn parse(part: &str) -> Result<Self, String> {
        let one = |value: &str| BTreeSet::from([value.trim().to_owned()]);
        if let Some(key) = part.strip_prefix('!') {
            return key_of(key).map(Self::Absent);
        }
        for (word, negated) in [(" notin ", true), (" in ", false)] {
            if let Some((key, set)) = part.split_once(word) {
                let set = set
                    .trim()
                    .strip_prefix('(')
                    .and_then(|set| set.strip_suffix(')'))
                    .ok_or_else(|| format!("{part}: a set is in parentheses"))?;
                let values = set
                    .split(',')
                    .map(|value| value.trim().to_owned())
                    .collect();
                let key = key_of(key)?;
                return Ok(if negated {
                    Self::NotIn(key, values)
                } else {
                    Self::In(key, values)
                });
            }
        }
        if let Some((key, value)) = part.split_once("!=") {
            return Ok(Self::NotIn(key_of(key)?, one(value)));
        }
        if let Some((key, value)) = part.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value);
            return Ok(Self::In(key_of(key)?, one(value)));
        }
        for (sign, above) in [('>', true), ('<', false)] {
            if let Some((key, value)) = part.split_once(sign) {
                let than = value.trim().parse::<i64>().map_err(|why| why.to_string())?;
                let key = key_of(key)?;
                return Ok(if above {
                    Self::Above(key, than)
                } else {
                    Self::Below(key, than)
                });
            }
        }
        key_of(part).map(Self::Exists)
    }
}

fn key_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    if text.is_empty() || !text.chars().all(fits) {
        return Err(format!("{text:?} is no key of a label"));
    }
    Ok(text.to_owned())
}

/// A field selector: by name and namespace, which is what every kind can be selected by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Field, String, bool)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

impl Fields {
    /// Reads a selector.
    ///
    /// # Errors
    /// The field that cannot be selected by.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let (field, value, is) = match (part.split_once("!="), part.split_once('=')) {
                    (Some((field, value)), _) => (field, value, false),
                    (None, Some((field, value))) => (field, value.trim_start_matches('='), true),
                    (None, None) => return Err(part.to_owned()),
                };
                let field = match field {
                    "metadata.name" => Field::Name,
                    "metadata.namespace" => Field::Namespace,
                    other => return Err(other.to_owned()),
                };
                Ok((field, value.to_owned(), is))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it selects the object with this key.
    pub fn matches(&self, key: &Key) -> bool {
        self.0.iter().all(|(field, value, is)| {
            let own = match field {
                Field::Name => &key.name,
                Field::Namespace => &key.namespace,
            };
            (own == value) == *is
        })
    }
}

#[test]
fn selects_by_presence_value_and_set() {
    let object = serde_json::json!({"metadata": {"labels": {"a": "1", "x.dev/b": ""}}});
    let of = |text| Selector::parse(text).map(|selector| selector.matches(&object));
    let outcomes = [
        "a",
        "!a",
        "a=1",
        "a==1,x.dev/b",
        "a!=1",
        "c!=1",
        "c",
        "a in (1,2)",
        "a notin (1,2)",
        "c notin (1)",
        "a>0",
        "",
    ]
    .map(of);
    let expected = [
        true, false, true, true, false, true, false, true, false, true, true, true,
    ]
    .map(Ok);
    assert_eq!(outcomes, expected);
    for text in ["a in 1", "=1", "a in (", "a b", ")"] {
        assert!(Selector::parse(text).is_err(), "{text}");
    }
}
