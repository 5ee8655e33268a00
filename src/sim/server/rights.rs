//! What somebody may do: the rules of roles, as the API server reads them.
//!
//! Not here: where the rules come from.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Refused;
use crate::sim::request::{ApiRequest, Subresource};

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// They are no rules.
    #[error("these are no rules of a role: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// One grants more than can be named.
    #[error("a rule grants *, which is not modelled; name what is needed")]
    Wildcard,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    verbs: Vec<String>,
}

/// What somebody may do. Empty: nothing.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Group, resource with its subresource, verb, and the only name it is for.
    granted: BTreeSet<(String, String, String, Option<String>)>,
}

impl Rights {
    /// The rights of the `rules` of roles.
    pub fn new(rules: &[Value]) -> Result<Self, RightsError> {
        let mut granted = BTreeSet::new();
        for rule in rules {
            let rule = Rule::deserialize(rule)?;
            let names: Vec<Option<String>> = if rule.resource_names.is_empty() {
                vec![None]
            } else {
                rule.resource_names.into_iter().map(Some).collect()
            };
            for group in &rule.api_groups {
                for resource in &rule.resources {
                    for verb in &rule.verbs {
                        if [group, resource, verb].into_iter().any(|word| word == "*") {
                            return Err(RightsError::Wildcard);
                        }
                        let each = names.iter().map(|name| {
                            (group.clone(), resource.clone(), verb.clone(), name.clone())
                        });
                        granted.extend(each);
                    }
                }
            }
        }
        Ok(Self { granted })
    }

    /// Refuses what is not granted to `user`.
    pub fn check(&self, user: &str, request: &ApiRequest) -> Result<(), Refused> {
        let (resource, verb) = (request.resource, request.verb.name());
        let asked = match request.subresource {
            Subresource::None => resource.plural.to_owned(),
            Subresource::Status => format!("{}/status", resource.plural),
            Subresource::Scale => format!("{}/scale", resource.plural),
            Subresource::Eviction => format!("{}/eviction", resource.plural),
        };
        let granted = |name: Option<String>| {
            let right = (
                resource.group.to_owned(),
                asked.clone(),
                verb.to_owned(),
                name,
            );
            self.granted.contains(&right)
        };
        if granted(None) || !request.name.is_empty() && granted(Some(request.name.clone())) {
            return Ok(());
        }
        let (name, namespace) = (&request.name, &request.namespace);
        Err(Refused::forbidden(
            resource, name, &asked, verb, user, namespace,
        ))
    }
}
