//! What a server says about an object of our kinds: the definitions' structural schemas, defaults, pruning and CEL rules, in the
//! server's own words.
//!
//! Pure. Not here: metadata (`server`), and built-in kinds.

mod complaint;
mod prune;
mod rules;
mod structural;
mod validate;

use std::sync::LazyLock;

use serde_json::Value;

use super::resources::Resource;
use crate::api::{
    crds::{CrdError, crd},
    names::{ARGO_GROUP, ApiNames, Kind},
};

pub use complaint::{Cause, Complaint, message};
use structural::Structural;

/// Why a definition cannot be judged by.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The definition itself cannot be made.
    #[error(transparent)]
    Definition(#[from] CrdError),
    /// It cannot be written as JSON.
    #[error("the schema of {kind} is no JSON: {source}")]
    Json {
        /// The kind.
        kind: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// It says something that is not judged here.
    #[error(
        "{kind}: the schema of {path} has {keyword}, which is not modelled; add it to src/sim/schema"
    )]
    Keyword {
        /// The kind.
        kind: &'static str,
        /// The field.
        path: String,
        /// The keyword of the schema.
        keyword: String,
    },
    /// A rule cannot be evaluated.
    #[error("{kind}: the rule on {path} cannot be evaluated: {rule}: {why}")]
    Rule {
        /// The kind.
        kind: &'static str,
        /// The field.
        path: String,
        /// The rule.
        rule: String,
        /// What the evaluator says.
        why: String,
    },
}

/// The definition of one kind, ready to judge objects.
#[derive(Debug)]
pub struct Definition {
    root: Structural,
}

impl Definition {
    /// The definition of a kind in a group, as it is installed.
    pub fn new(names: &ApiNames, kind: Kind) -> Result<Self, SchemaError> {
        let crd = crd(names, kind)?;
        let schema = crd
            .spec
            .versions
            .into_iter()
            .find_map(|version| version.schema?.open_api_v3_schema);
        let schema = serde_json::to_value(schema).map_err(|source| SchemaError::Json {
            kind: kind.name(),
            source,
        })?;
        Ok(Self {
            root: Structural::new(kind.name(), "", &schema)?,
        })
    }

    /// Takes out what the definition does not know, and null where it may not be; puts in defaults. Returns the paths of unknown
    /// fields: with strict field validation they are what the object is refused for.
    pub fn admit(&self, object: &mut Value) -> Vec<String> {
        let unknown = prune::unknown(&self.root, object);
        prune::nulls(&self.root, object);
        prune::defaults(&self.root, object);
        unknown
    }

    /// What is wrong with an object. What is as it was in `old` is not complained about, but for rules that compare with it.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Complaint> {
        self.judge(object, old, Vec::new(), None)
    }

    /// The same, between what is wrong with its metadata and what its scale says.
    pub(super) fn judge(
        &self,
        object: &Value,
        old: Option<&Value>,
        mut found: Vec<Complaint>,
        scale: Option<Complaint>,
    ) -> Vec<Complaint> {
        validate::values(&self.root, object, old, "", &mut found);
        found.extend(scale);
        self.rest(object, old, found)
    }

    /// What is wrong with an object of which only the status is written.
    pub(super) fn judge_status(
        &self,
        object: &Value,
        old: Option<&Value>,
        mut found: Vec<Complaint>,
    ) -> Vec<Complaint> {
        if let (Some(schema), Some(status)) = (self.root.field("status"), object.get("status")) {
            let old = old.and_then(|old| old.get("status"));
            validate::values(schema, status, old, "status", &mut found);
        }
        self.rest(object, old, found)
    }

    fn rest(
        &self,
        object: &Value,
        old: Option<&Value>,
        mut found: Vec<Complaint>,
    ) -> Vec<Complaint> {
        validate::lists(&self.root, object, old, &mut found);
        if found.iter().any(Complaint::blocks_rules) {
            found.push(Complaint::rules_were_not_checked());
        } else {
            rules::evaluate(&self.root, object, old, &mut found);
        }
        found
    }
}

/// The definitions of all kinds of a group.
#[derive(Debug)]
pub struct Definitions(Vec<(Kind, Definition)>);

impl Definitions {
    /// The definitions of a group.
    pub fn new(names: &ApiNames) -> Result<Self, SchemaError> {
        Kind::ALL
            .into_iter()
            .map(|kind| Ok((kind, Definition::new(names, kind)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The definition of a kind.
    pub fn of(&self, kind: Kind) -> Option<&Definition> {
        let (_, found) = self.0.iter().find(|(of, _)| *of == kind)?;
        Some(found)
    }

    /// The definition of the kind with this name in URLs, if it is one of ours.
    pub fn named(&self, plural: &str) -> Option<&Definition> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural)?;
        self.of(kind)
    }
}

/// The definition of a kind, if it is one of ours. Those of a group are made once.
pub fn of(resource: &Resource) -> Option<&'static Definition> {
    static OURS: LazyLock<Definitions> = LazyLock::new(|| made(&ApiNames::default()));
    static ARGOS: LazyLock<Definitions> = LazyLock::new(|| made(&ApiNames::argo_rollouts()));
    if !resource.is_ours() {
        return None;
    }
    let group = if resource.group == ARGO_GROUP {
        &ARGOS
    } else {
        &OURS
    };
    group.named(resource.plural)
}

#[expect(
    clippy::expect_used,
    reason = "they are made of constants; a test makes them"
)]
fn made(names: &ApiNames) -> Definitions {
    Definitions::new(names).expect("the definitions can be judged by")
}

#[cfg(test)]
mod tests;
