//! A structural schema, read once. A keyword that is not judged is an error.

use std::{collections::BTreeMap, sync::Arc};

use cel::Program;
use serde_json::Value;

use super::{SchemaError, rules};

/// A type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// A whole number or text.
    IntOrString,
    /// Anything.
    Any,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
            Self::Any => "",
        }
    }
}

/// A rule in CEL.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) text: String,
    pub(super) program: Arc<Program>,
    /// Whether it compares with the value before.
    pub(super) transition: bool,
    pub(super) message: String,
}

/// The least and the most of a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    pub(super) minimum: Option<Value>,
    pub(super) maximum: Option<Value>,
}

/// The least and the most of a length or a count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

/// The schema of one field.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two are keywords, two say what is below"
)]
pub(super) struct Structural {
    pub(super) type_: Type,
    pub(super) format: Option<String>,
    pub(super) nullable: bool,
    /// Fields that are not declared are kept.
    pub(super) preserves: bool,
    pub(super) properties: BTreeMap<String, Structural>,
    /// What the values of a map, or the items of a list, are.
    pub(super) each: Option<Box<Structural>>,
    pub(super) required: Vec<String>,
    pub(super) choices: Vec<Value>,
    pub(super) default: Option<Value>,
    pub(super) bounds: Bounds,
    pub(super) length: Size,
    pub(super) items: Size,
    pub(super) count: Size,
    /// The keys of a list that is a map.
    pub(super) keys: Vec<String>,
    pub(super) rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub(super) has_rules: bool,
    /// Whether there are rules here or below that compare with the value before.
    pub(super) has_transitions: bool,
}

impl Structural {
    pub(super) fn new(kind: &'static str, path: &str, schema: &Value) -> Result<Self, SchemaError> {
        let mut new = Self {
            type_: Type::Any,
            format: None,
            nullable: false,
            preserves: false,
            properties: BTreeMap::new(),
            each: None,
            required: Vec::new(),
            choices: Vec::new(),
            default: None,
            bounds: Bounds::default(),
            length: Size::default(),
            items: Size::default(),
            count: Size::default(),
            keys: Vec::new(),
            rules: Vec::new(),
            has_rules: false,
            has_transitions: false,
        };
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            new.take(kind, path, keyword, value)?;
        }
        let below = || new.properties.values().chain(new.each.as_deref());
        new.has_rules = !new.rules.is_empty() || below().any(|below| below.has_rules);
        new.has_transitions =
            new.rules.iter().any(|rule| rule.transition) || below().any(|it| it.has_transitions);
        Ok(new)
    }

    fn take(
        &mut self,
        kind: &'static str,
        path: &str,
        keyword: &str,
        value: &Value,
    ) -> Result<(), SchemaError> {
        let unknown = || SchemaError::Keyword {
            kind,
            path: path.to_owned(),
            keyword: format!("{keyword}: {value}"),
        };
        let texts = || -> Option<Vec<String>> {
            let items = value.as_array()?.iter();
            items.map(|item| item.as_str().map(str::to_owned)).collect()
        };
        match keyword {
            "description" => {}
            "type" => {
                self.type_ = match value.as_str() {
                    Some("object") => Type::Object,
                    Some("array") => Type::Array,
                    Some("string") => Type::String,
                    Some("integer") => Type::Integer,
                    Some("number") => Type::Number,
                    Some("boolean") => Type::Boolean,
                    Some(_) | None => return Err(unknown()),
                }
            }
            "x-kubernetes-int-or-string" if value == true => self.type_ = Type::IntOrString,
            "x-kubernetes-preserve-unknown-fields" if value == true => self.preserves = true,
            "format" => match value.as_str() {
                // The server checks none of the formats of numbers.
                Some("int32" | "int64" | "double") => {}
                Some("date-time") => self.format = Some("date-time".to_owned()),
                Some(_) | None => return Err(unknown()),
            },
            "nullable" => self.nullable = value == true,
            "default" => self.default = Some(value.clone()),
            "enum" => self.choices = value.as_array().cloned().ok_or_else(unknown)?,
            "required" => self.required = texts().ok_or_else(unknown)?,
            "minimum" => self.bounds.minimum = Some(value.clone()),
            "maximum" => self.bounds.maximum = Some(value.clone()),
            "minLength" => self.length.least = value.as_u64(),
            "maxLength" => self.length.most = value.as_u64(),
            "minItems" => self.items.least = value.as_u64(),
            "maxItems" => self.items.most = value.as_u64(),
            "minProperties" => self.count.least = value.as_u64(),
            "maxProperties" => self.count.most = value.as_u64(),
            "x-kubernetes-list-type" if matches!(value.as_str(), Some("map" | "atomic")) => {}
            "x-kubernetes-list-map-keys" => self.keys = texts().ok_or_else(unknown)?,
            "properties" => {
                for (name, schema) in value.as_object().ok_or_else(unknown)? {
                    let below = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    self.properties
                        .insert(name.clone(), Self::new(kind, &below, schema)?);
                }
            }
            "items" => self.each = Some(Box::new(Self::new(kind, &format!("{path}[]"), value)?)),
            "additionalProperties" if value.is_object() => {
                self.each = Some(Box::new(Self::new(kind, &format!("{path}.*"), value)?));
            }
            "x-kubernetes-validations" => {
                for rule in value.as_array().ok_or_else(unknown)? {
                    self.rules.push(rules::read(kind, path, rule)?);
                }
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// The schema of a field, or of a key of a map.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let own = self.properties.get(name);
        own.or_else(|| self.each.as_deref().filter(|_| self.type_ != Type::Array))
    }

    /// The schema of the items of a list.
    pub(super) fn item(&self) -> Option<&Self> {
        self.each.as_deref().filter(|_| self.type_ == Type::Array)
    }
}
