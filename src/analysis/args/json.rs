//! Arguments in the texts of a JSON value, such as the body of a request or the spec of a Job.

use serde_json::{Map, Value};

use super::{ArgError, ArgText, Args, Secret};
use crate::api::analysis::SecretKeyRef;

/// A JSON value in whose texts arguments are in place, except for secrets.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgJson {
    /// No text is in it.
    Plain(Value),
    /// A text.
    Text(ArgText),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(String, Self)>),
}

impl ArgJson {
    /// Puts the arguments into every text; keys stay as they are.
    pub fn new(value: &Value, args: &Args) -> Result<Self, ArgError> {
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Plain(value.clone()),
            Value::String(text) => Self::Text(args.substitute(text)?),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| Self::new(item, args))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, field)| Ok((key.clone(), Self::new(field, args)?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// All texts.
    pub fn texts(&self) -> Vec<&ArgText> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Text(text) => vec![text],
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, field)| field.texts()).collect(),
        }
    }

    /// The whole value. `None` when `read` does not know a secret.
    pub fn fill<'a>(&self, read: &impl Fn(&SecretKeyRef) -> Option<&'a Secret>) -> Option<Value> {
        Some(match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) => Value::String(text.fill(read)?.reveal().to_owned()),
            Self::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.fill(read))
                    .collect::<Option<_>>()?,
            ),
            Self::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, field)| Some((key.clone(), field.fill(read)?)))
                    .collect::<Option<Map<_, _>>>()?,
            ),
        })
    }
}
