//! What is wrong with a field, worded as the API server words it.

use serde_json::{Value, json};

/// What kind of wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// Not there.
    Required,
    /// A value that may not be; `None` where the server shows none.
    Invalid(Option<Value>),
    /// A value of another type; what is shown is the name of its type.
    TypeInvalid(Value),
    /// None of these.
    NotSupported(Value, Vec<String>),
    /// Text of more bytes than these.
    TooLong(u64),
    /// More items than may be: how many there are, and may be.
    TooMany(u64, u64),
    /// There twice.
    Duplicate(Value),
    /// Not allowed here.
    Forbidden,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// The path; empty for the object itself.
    pub field: String,
    /// What kind of wrong.
    pub cause: Cause,
    /// In words; may be empty.
    pub detail: String,
}

impl Complaint {
    /// A complaint about a field.
    pub fn new(field: impl Into<String>, cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            cause,
            detail: detail.into(),
        }
    }

    /// Whether the server checks no rules of an object of which it has to say this.
    pub(super) fn blocks_rules(&self) -> bool {
        match self.cause {
            Cause::Required
            | Cause::TypeInvalid(_)
            | Cause::NotSupported(..)
            | Cause::TooLong(_)
            | Cause::TooMany(..) => true,
            Cause::Invalid(_) | Cause::Duplicate(_) | Cause::Forbidden => false,
        }
    }

    pub(super) fn rules_were_not_checked() -> Self {
        Self::new(
            "<nil>",
            Cause::Invalid(Some(Value::Null)),
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        )
    }

    /// As it stands in the `details.causes` of a `Status`.
    pub fn cause(&self) -> Value {
        json!({"reason": self.reason(), "message": self.body(), "field": self.field})
    }

    fn reason(&self) -> &'static str {
        match self.cause {
            Cause::Required => "FieldValueRequired",
            Cause::Invalid(_) => "FieldValueInvalid",
            Cause::TypeInvalid(_) => "FieldValueTypeInvalid",
            Cause::NotSupported(..) => "FieldValueNotSupported",
            Cause::TooLong(_) => "FieldValueTooLong",
            Cause::TooMany(..) => "FieldValueTooMany",
            Cause::Duplicate(_) => "FieldValueDuplicate",
            Cause::Forbidden => "FieldValueForbidden",
        }
    }

    fn body(&self) -> String {
        let what = match &self.cause {
            Cause::Required => "Required value".to_owned(),
            Cause::Invalid(None) => "Invalid value".to_owned(),
            Cause::Invalid(Some(value)) | Cause::TypeInvalid(value) => {
                format!("Invalid value: {value}")
            }
            Cause::NotSupported(value, _) => format!("Unsupported value: {value}"),
            Cause::TooLong(_) => "Too long".to_owned(),
            Cause::TooMany(there, _) => format!("Too many: {there}"),
            Cause::Duplicate(value) => format!("Duplicate value: {value}"),
            Cause::Forbidden => "Forbidden".to_owned(),
        };
        let detail = match &self.cause {
            Cause::NotSupported(_, supported) => {
                let quoted: Vec<String> =
                    supported.iter().map(|word| format!("{word:?}")).collect();
                format!("supported values: {}", quoted.join(", "))
            }
            Cause::TooLong(most) => format!("may not be more than {most} bytes"),
            Cause::TooMany(_, most) => format!("must have at most {most} items"),
            Cause::Required
            | Cause::Invalid(_)
            | Cause::TypeInvalid(_)
            | Cause::Duplicate(_)
            | Cause::Forbidden => self.detail.clone(),
        };
        if detail.is_empty() {
            what
        } else {
            format!("{what}: {detail}")
        }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// The message with which a server refuses an object: `Rollout.tidegate.dev "web" is invalid: …`.
pub fn message(kind: &str, group: &str, name: &str, complaints: &[Complaint]) -> String {
    let kind = if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    };
    let mut said: Vec<String> = Vec::new();
    for complaint in complaints.iter().map(ToString::to_string) {
        if !said.contains(&complaint) {
            said.push(complaint);
        }
    }
    match said.as_slice() {
        [one] => format!("{kind} {name:?} is invalid: {one}"),
        many => format!("{kind} {name:?} is invalid: [{}]", many.join(", ")),
    }
}
