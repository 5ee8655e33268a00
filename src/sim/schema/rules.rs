//! The CEL rules of a schema: each is compiled once, with the definitions.
//!
//! Not here: the server's limits on what a rule may cost; the definitions are made so that they are kept.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, Value as Cel, objects::Key};
use serde_json::Value;

use super::{
    SchemaError,
    complaint::{Cause, Complaint},
    structural::{Rule, Structural, Type},
    validate::{child, counterpart},
};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Reads a rule of a definition.
pub(super) fn read(kind: &'static str, path: &str, rule: &Value) -> Result<Rule, SchemaError> {
    let text = rule["rule"].as_str().unwrap_or_default().to_owned();
    let error = |why: String| SchemaError::Rule {
        kind,
        path: path.to_owned(),
        rule: text.clone(),
        why,
    };
    let known = ["rule", "message"];
    let others = rule.as_object().into_iter().flatten();
    if let Some((other, _)) = others
        .into_iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        return Err(error(format!("{other} is not modelled")));
    }
    let program = ENV.compile(&text).map_err(|why| error(why.to_string()))?;
    let transition = program.references().has_variable("oldSelf");
    let message = rule["message"].as_str().unwrap_or_default().to_owned();
    Ok(Rule {
        program: Arc::new(program),
        transition,
        message,
        text,
    })
}

/// Evaluates all rules of an object. Of what is as it was, only rules that compare with it.
pub(super) fn evaluate(
    root: &Structural,
    object: &Value,
    old: Option<&Value>,
    found: &mut Vec<Complaint>,
) {
    at(root, object, old, "", found);
}

fn at(
    schema: &Structural,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    found: &mut Vec<Complaint>,
) {
    let same = old == Some(value);
    if !schema.has_rules || value.is_null() || same && !schema.has_transitions {
        return;
    }
    here(schema, value, old, same, path, found);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let old = old.and_then(|old| old.get(name));
                if let Some(schema) = schema.properties.get(name) {
                    at(schema, value, old, &child(path, name), found);
                } else if let Some(each) = &schema.each {
                    at(each, value, old, &format!("{path}[{name}]"), found);
                }
            }
        }
        Value::Array(items) => {
            let Some(each) = schema.item() else { return };
            for (index, item) in items.iter().enumerate() {
                let old = counterpart(schema, item, old);
                at(each, item, old, &format!("{path}[{index}]"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn here(
    schema: &Structural,
    value: &Value,
    old: Option<&Value>,
    same: bool,
    path: &str,
    found: &mut Vec<Complaint>,
) {
    let due: Vec<&Rule> = schema
        .rules
        .iter()
        .filter(|rule| {
            if rule.transition {
                old.is_some()
            } else {
                !same
            }
        })
        .collect();
    if due.is_empty() {
        return;
    }
    let mut context = Context::with_env(ENV.clone());
    let own = to_cel(schema, value);
    if let Some(old) = old.filter(|_| due.iter().any(|rule| rule.transition)) {
        let old = if same {
            own.clone()
        } else {
            to_cel(schema, old)
        };
        context.add_variable_from_value("oldSelf", old);
    }
    context.add_variable_from_value("self", own);
    for rule in due {
        let detail = match rule.program.execute(&context) {
            Ok(Cel::Bool(true)) => continue,
            Ok(_) => rule.message.clone(),
            Err(why) => format!("{why} evaluating rule: {}", rule.text),
        };
        let shown = match schema.type_ {
            Type::Object | Type::Array => None,
            Type::String
            | Type::Integer
            | Type::Number
            | Type::Boolean
            | Type::IntOrString
            | Type::Any => Some(value.clone()),
        };
        found.push(Complaint::new(path, Cause::Invalid(shown), detail));
    }
}

/// A value as rules see it: what is not declared they do not see, and a `number` is never a whole one.
fn to_cel(schema: &Structural, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(it) => Cel::Bool(*it),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Number(number) => match number.as_i64().filter(|_| schema.type_ != Type::Number) {
            Some(whole) => Cel::Int(whole),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(items) => {
            let each = schema.each.as_deref();
            let items = items.iter();
            Cel::List(Arc::new(
                items
                    .map(|item| each.map_or(Cel::Null, |each| to_cel(each, item)))
                    .collect(),
            ))
        }
        Value::Object(fields) => {
            let seen: HashMap<Key, Cel> = fields
                .iter()
                .filter_map(|(name, value)| {
                    let below = schema.field(name)?;
                    Some((Key::from(name.as_str()), to_cel(below, value)))
                })
                .collect();
            Cel::Map(seen.into())
        }
    }
}
