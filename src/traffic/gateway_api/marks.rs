//! The marks of a route that is not as its user declared it: a label that tools can be told to look for, and an
//! annotation with the weights at rest and the rules that were added. Both go with the last change.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    header_rules::{self, AddedRule},
    patch::RoutePatch,
    rules::{self, Services},
};
use crate::api::names::ApiNames;

/// The weights at rest, as kept in the annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::traffic) struct AtRest {
    /// The Rollout that changes the route.
    pub(in crate::traffic) rollout: String,
    /// Its stable Service.
    pub(in crate::traffic) stable_service: String,
    /// Its canary Service.
    pub(in crate::traffic) canary_service: String,
    /// The rules that are changed.
    pub(in crate::traffic) rules: Vec<RuleAtRest>,
    /// The rules that we added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::traffic) added: Vec<AddedRule>,
}

/// The weights of one rule at rest; an absent weight is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::traffic) struct RuleAtRest {
    /// Its place among the user's rules when it was last written.
    pub(in crate::traffic) rule: usize,
    /// A hash of all of it but the weights.
    pub(in crate::traffic) print: String,
    /// Weight of the stable Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::traffic) stable: Option<i64>,
    /// Weight of the canary Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::traffic) canary: Option<i64>,
}

/// The Rollout that a route's label names.
pub(super) fn label<'a>(names: &ApiNames, route: &'a Value) -> Option<&'a str> {
    let labels = route.pointer("/metadata/labels")?;
    labels.get(&names.managed_by_rollout)?.as_str()
}

impl AtRest {
    /// What the route's annotation says; an annotation that is none of ours says nothing.
    pub(in crate::traffic) fn read(names: &ApiNames, route: &Value) -> Option<Self> {
        let annotations = route.pointer("/metadata/annotations")?;
        let text = annotations.get(&names.weights_at_rest)?.as_str()?;
        serde_json::from_str(text).ok()
    }

    /// Whether the declared weights send nothing to the canary Service.
    pub(in crate::traffic) fn spares_canary(&self) -> bool {
        self.rules.iter().all(|rule| rule.canary == Some(0))
    }

    /// Marks the route.
    pub(super) fn mark(&self, names: &ApiNames, route: &Value, patch: &mut RoutePatch) {
        patch.set_metadata(
            route,
            "labels",
            &names.managed_by_rollout,
            Some(&self.rollout),
        );
        // Numbers and strings only: this cannot fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        patch.set_metadata(route, "annotations", &names.weights_at_rest, Some(&text));
    }
}

/// Puts the declared weights back, where they are known, and takes our rules and the marks away.
pub(in crate::traffic) fn put_back(
    names: &ApiNames,
    route: &Value,
    resource_version: &str,
    at_rest: Option<&AtRest>,
    managed: &[&str],
) -> RoutePatch {
    let mut patch = RoutePatch::at(resource_version);
    if let Some(at_rest) = at_rest {
        let namespace = route.pointer("/metadata/namespace").and_then(Value::as_str);
        let services = Services {
            namespace: namespace.unwrap_or_default(),
            stable: &at_rest.stable_service,
            canary: &at_rest.canary_service,
        };
        let ours = header_rules::ours(route, services, managed, Some(at_rest));
        let rules = rules::splitting(route, services, &[], &ours);
        for rule in &rules {
            if let Some(declared) = rule.remembered_by(at_rest, &rules) {
                rule.put_back(declared, &mut patch);
            }
        }
        header_rules::remove(&ours, &mut patch);
    }
    patch.set_metadata(route, "labels", &names.managed_by_rollout, None);
    patch.set_metadata(route, "annotations", &names.weights_at_rest, None);
    patch
}
