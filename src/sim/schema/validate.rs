//! Whether each value is of the type, in the set and within the bounds of its schema.

use serde_json::{Value, json};

use super::{
    complaint::{Cause, Complaint},
    structural::{Bounds, Size, Structural, Type},
};

/// Adds what is wrong with the values of an object, or of a part of it; what is as it was is not looked at. The server's words name
/// fields from that part on.
pub(super) fn values(
    root: &Structural,
    value: &Value,
    old: Option<&Value>,
    part: &str,
    found: &mut Vec<Complaint>,
) {
    let known = found.len();
    judge(root, value, old, "", found);
    if !part.is_empty() {
        for complaint in &mut found[known..] {
            complaint.field = child(part, &complaint.field);
        }
    }
}

pub(super) fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The item of a list before that is the same item as this one: only lists that are maps have such.
pub(super) fn counterpart<'a>(
    schema: &Structural,
    item: &Value,
    old: Option<&'a Value>,
) -> Option<&'a Value> {
    if schema.keys.is_empty() {
        return None;
    }
    let same = |other: &&Value| schema.keys.iter().all(|key| other[key] == item[key]);
    old?.as_array()?.iter().find(same)
}

fn judge(
    schema: &Structural,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    found: &mut Vec<Complaint>,
) {
    if old == Some(value) {
        return;
    }
    if !is_of(schema, value) {
        let there = type_of(value);
        let says = format!(
            "{path} in body must be of type {}: \"{there}\"",
            schema.type_.name()
        );
        found.push(Complaint::new(path, Cause::TypeInvalid(json!(there)), says));
    }
    match value {
        Value::Object(fields) => {
            properties(schema, fields.len(), path, found);
            for (name, value) in fields {
                if let Some(schema) = schema.field(name) {
                    let old = old.and_then(|old| old.get(name));
                    judge(schema, value, old, &child(path, name), found);
                }
            }
            for name in &schema.required {
                if !fields.contains_key(name) {
                    found.push(Complaint::new(child(path, name), Cause::Required, ""));
                }
            }
        }
        Value::Array(items) => {
            if let Some(each) = schema.item() {
                for (index, item) in items.iter().enumerate() {
                    let old = counterpart(schema, item, old);
                    judge(each, item, old, &format!("{path}[{index}]"), found);
                }
            }
            number_of_items(schema.items, items.len(), path, found);
        }
        Value::String(text) => self::text(schema, text, path, found),
        Value::Number(_) => bounds(&schema.bounds, value, path, found),
        Value::Null | Value::Bool(_) => {}
    }
    if !schema.choices.is_empty() && !schema.choices.contains(value) {
        let supported = schema.choices.iter().map(|choice| {
            choice
                .as_str()
                .map_or_else(|| choice.to_string(), str::to_owned)
        });
        let cause = Cause::NotSupported(value.clone(), supported.collect());
        found.push(Complaint::new(path, cause, ""));
    }
}

fn is_of(schema: &Structural, value: &Value) -> bool {
    let whole = || {
        value.is_i64()
            || value.is_u64()
            || value.as_f64().is_some_and(|number| number.fract() == 0.0)
    };
    let fits = match schema.type_ {
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Integer => whole(),
        Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
        Type::IntOrString => value.is_string() || whole(),
        Type::Any => true,
    };
    fits || value.is_null() && schema.nullable
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn properties(schema: &Structural, count: usize, path: &str, found: &mut Vec<Complaint>) {
    let count = count as u64;
    if let Some(least) = schema.count.least.filter(|least| count < *least) {
        let says = format!("{path} in body should have at least {least} properties");
        found.push(Complaint::new(
            path,
            Cause::Invalid(Some(json!(count))),
            says,
        ));
    }
    if let Some(most) = schema.count.most.filter(|most| count > *most) {
        found.push(Complaint::new(path, Cause::TooMany(count, most), ""));
    }
}

fn number_of_items(size: Size, count: usize, path: &str, found: &mut Vec<Complaint>) {
    let count = count as u64;
    if let Some(least) = size.least.filter(|least| count < *least) {
        let says = format!("{path} in body should have at least {least} items");
        found.push(Complaint::new(
            path,
            Cause::Invalid(Some(json!(count))),
            says,
        ));
    }
    if let Some(most) = size.most.filter(|most| count > *most) {
        found.push(Complaint::new(path, Cause::TooMany(count, most), ""));
    }
}

fn text(schema: &Structural, text: &str, path: &str, found: &mut Vec<Complaint>) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema.length.most.filter(|most| length > *most) {
        found.push(Complaint::new(path, Cause::TooLong(most), ""));
    }
    if let Some(least) = schema.length.least.filter(|least| length < *least) {
        let says = format!("{path} in body should be at least {least} chars long");
        found.push(Complaint::new(
            path,
            Cause::Invalid(Some(json!(text))),
            says,
        ));
    }
    if schema.format.is_some() && text.parse::<jiff::Timestamp>().is_err() {
        let says = format!("{path} in body must be of type date-time: {text:?}");
        found.push(Complaint::new(path, Cause::TypeInvalid(json!(text)), says));
    }
}

fn bounds(bounds: &Bounds, value: &Value, path: &str, found: &mut Vec<Complaint>) {
    let number = value.as_f64().unwrap_or_default();
    let beyond = |bound: &Option<Value>, is: fn(f64, f64) -> bool| {
        bound
            .as_ref()
            .filter(|bound| bound.as_f64().is_some_and(|bound| is(number, bound)))
            .map(plain)
    };
    let invalid = |says: String| Complaint::new(path, Cause::Invalid(Some(value.clone())), says);
    if let Some(least) = beyond(&bounds.minimum, |number, bound| number < bound) {
        found.push(invalid(format!(
            "{path} in body should be greater than or equal to {least}"
        )));
    }
    if let Some(most) = beyond(&bounds.maximum, |number, bound| number > bound) {
        found.push(invalid(format!(
            "{path} in body should be less than or equal to {most}"
        )));
    }
}

/// A number without `.0`.
fn plain(number: &Value) -> String {
    number
        .as_f64()
        .map_or_else(String::new, |it| it.to_string())
}

/// Items of lists that are maps are there once each. Objects that broke this before may go on doing so.
pub(super) fn lists(
    root: &Structural,
    object: &Value,
    old: Option<&Value>,
    found: &mut Vec<Complaint>,
) {
    let mut before = Vec::new();
    if let Some(old) = old {
        twice(root, old, "", &mut before);
    }
    if before.is_empty() {
        twice(root, object, "", found);
    }
}

fn twice(schema: &Structural, value: &Value, path: &str, found: &mut Vec<Complaint>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema.field(name)
                    && (value.is_object() || value.is_array())
                {
                    twice(schema, value, &child(path, name), found);
                }
            }
        }
        Value::Array(items) => {
            let key = |item: &Value| -> serde_json::Map<String, Value> {
                let keys = schema.keys.iter();
                keys.filter_map(|key| Some((key.clone(), item.get(key)?.clone())))
                    .collect()
            };
            for (index, item) in items.iter().enumerate() {
                let here = || format!("{path}[{index}]");
                let earlier = || items[..index].iter().any(|other| key(other) == key(item));
                if !schema.keys.is_empty() && earlier() {
                    let cause = Cause::Duplicate(Value::Object(key(item)));
                    found.push(Complaint::new(here(), cause, ""));
                }
                if let Some(each) = schema.item()
                    && (item.is_object() || item.is_array())
                {
                    twice(each, item, &here(), found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
