//! Refusals, worded as the API server words them.

use serde_json::{Value, json};

use crate::sim::{
    resources::Resource,
    schema::{Complaint, message},
    store::Key,
};

/// Why a request was refused: what is in the `Status`.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// HTTP status code.
    pub code: u16,
    /// A word for machines; may be empty.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// Which object, and why; null if there is no more to say.
    pub details: Value,
}

impl Refused {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self {
            code,
            reason,
            message: message.to_string(),
            details: Value::Null,
        }
    }

    /// The `Status` object of the answer.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body
    }

    pub(super) fn bad_request(message: impl std::fmt::Display) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        Self {
            details: details(resource, resource.plural, name),
            ..Self::new(
                404,
                "NotFound",
                format_args!("{} {name:?} not found", resource.qualified()),
            )
        }
    }

    pub(super) fn exists(resource: &Resource, name: &str, ending: bool) -> Self {
        let prefix = if ending {
            "object is being deleted: "
        } else {
            ""
        };
        Self {
            details: details(resource, resource.plural, name),
            ..Self::new(
                409,
                "AlreadyExists",
                format_args!("{prefix}{} {name:?} already exists", resource.qualified()),
            )
        }
    }

    /// The object is not what the request takes it for; `what` says how.
    pub(super) fn conflict(resource: &Resource, name: &str, what: impl std::fmt::Display) -> Self {
        Self {
            details: details(resource, resource.plural, name),
            ..Self::new(
                409,
                "Conflict",
                format_args!(
                    "Operation cannot be fulfilled on {} {name:?}: {what}",
                    resource.qualified()
                ),
            )
        }
    }

    /// The object has another version.
    pub(super) fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// The precondition of a delete does not hold: here the server names the kind.
    pub(super) fn precondition(resource: &Resource, key: &Key, what: &str) -> Self {
        let kind = with_group(resource.kind, resource.group);
        Self {
            details: details(resource, resource.kind, &key.name),
            ..Self::new(
                409,
                "Conflict",
                format_args!(
                    "Operation cannot be fulfilled on {kind} {:?}: {what}",
                    key.name
                ),
            )
        }
    }

    /// An object with something wrong in it. `kind` is what the object calls itself.
    pub(super) fn invalid(
        resource: &Resource,
        kind: &str,
        name: &str,
        complaints: &[Complaint],
    ) -> Self {
        let causes: Vec<Value> = complaints.iter().map(Complaint::cause).collect();
        let mut details = details(resource, kind, name);
        details["causes"] = json!(causes);
        Self {
            details,
            ..Self::new(
                422,
                "Invalid",
                message(kind, resource.group, name, complaints),
            )
        }
    }

    /// A replacement without a version: here the server names the resource.
    pub(super) fn unversioned(resource: &Resource, name: &str, complaint: &Complaint) -> Self {
        let mut refused = Self::invalid(
            resource,
            resource.plural,
            name,
            std::slice::from_ref(complaint),
        );
        refused.details["kind"] = json!(resource.plural);
        refused
    }

    /// `user` has no right to do this.
    pub fn forbidden(
        resource: &Resource,
        name: &str,
        asked: &str,
        verb: &str,
        user: &str,
        namespace: &str,
    ) -> Self {
        let object = if name.is_empty() {
            resource.qualified()
        } else {
            format!("{} {name:?}", resource.qualified())
        };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        Self {
            details: details(resource, resource.plural, name),
            ..Self::new(
                403,
                "Forbidden",
                format_args!(
                    "{object} is forbidden: User {user:?} cannot {verb} resource {asked:?} in API group {:?} {place}",
                    resource.group
                ),
            )
        }
    }
}

fn with_group(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

fn details(resource: &Resource, kind: &str, name: &str) -> Value {
    let mut details = json!({"kind": kind});
    for (field, text) in [("name", name), ("group", resource.group)] {
        if !text.is_empty() {
            details[field] = json!(text);
        }
    }
    details
}
