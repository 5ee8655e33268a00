//! Labels and annotations that pods have for a while (`canaryMetadata` and its like), as remembered on their ReplicaSet.
//!
//! Not here: which version gets which (`rollout::decide::ephemeral_metadata`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::canary::PodTemplateMetadata;

/// What a ReplicaSet's pod template has that was not declared, and what its pods may still have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EphemeralMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that were declared under the same keys, or under former ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declared_labels: BTreeMap<String, String>,
    /// Annotations that were declared under the same keys, or under former ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declared_annotations: BTreeMap<String, String>,
    /// Keys of labels that pods may have from before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub former_labels: BTreeSet<String>,
    /// Keys of annotations that pods may have from before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub former_annotations: BTreeSet<String>,
    /// Pods may have less, or other things, than the template says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pods_behind: bool,
}

type Texts = BTreeMap<String, String>;

/// Old and new keys of one kind: `(former, declared)` afterwards.
fn turn(
    now: &Texts,
    declared: &Texts,
    former: &BTreeSet<String>,
    wanted: &Texts,
    live: &Texts,
) -> (BTreeSet<String>, Texts) {
    let known = |key: &String| now.contains_key(key) || former.contains(key);
    let left: BTreeSet<String> = now
        .keys()
        .chain(former)
        .filter(|key| !wanted.contains_key(*key))
        .cloned()
        .collect();
    let below = wanted
        .keys()
        .chain(&left)
        .filter_map(|key| {
            let source = if known(key) { declared } else { live };
            Some((key.clone(), source.get(key)?.clone()))
        })
        .collect();
    (left, below)
}

/// A merge patch: `values` set, `keys` back to what was declared.
fn patch<'a>(values: &Texts, keys: impl Iterator<Item = &'a String>, declared: &Texts) -> Value {
    let back = keys
        .filter(|key| !values.contains_key(*key))
        .map(|key| (key.clone(), json!(declared.get(key))));
    let set = values
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)));
    Value::Object(set.chain(back).collect::<Map<String, Value>>())
}

impl EphemeralMetadata {
    /// From the annotation; `None` when it cannot be read.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's value; `None` when there is nothing to remember.
    pub fn text(&self) -> Option<String> {
        (*self != Self::default()).then(|| json!(self).to_string())
    }

    /// Whether the template has exactly `wanted`.
    pub fn is(&self, wanted: &PodTemplateMetadata) -> bool {
        self.labels == wanted.labels && self.annotations == wanted.annotations
    }

    /// What is to be remembered once the template has `wanted`. `live` is the template's metadata now.
    #[must_use]
    pub fn turned_into(&self, wanted: &PodTemplateMetadata, live: &PodTemplateMetadata) -> Self {
        let (former_labels, declared_labels) = turn(
            &self.labels,
            &self.declared_labels,
            &self.former_labels,
            &wanted.labels,
            &live.labels,
        );
        let (former_annotations, declared_annotations) = turn(
            &self.annotations,
            &self.declared_annotations,
            &self.former_annotations,
            &wanted.annotations,
            &live.annotations,
        );
        Self {
            labels: wanted.labels.clone(),
            annotations: wanted.annotations.clone(),
            declared_labels,
            declared_annotations,
            former_labels,
            former_annotations,
            pods_behind: true,
        }
    }

    /// What is to be remembered once all pods are as the template.
    #[must_use]
    pub fn reached(&self) -> Self {
        let own = |all: &Texts, of: &Texts| {
            all.iter()
                .filter(|(key, _)| of.contains_key(*key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Self {
            declared_labels: own(&self.declared_labels, &self.labels),
            declared_annotations: own(&self.declared_annotations, &self.annotations),
            former_labels: BTreeSet::new(),
            former_annotations: BTreeSet::new(),
            pods_behind: false,
            ..self.clone()
        }
    }

    /// The merge patch of `metadata` that brings pods, or the template, there from anything before.
    pub fn patch(&self) -> Value {
        json!({
            "labels": patch(&self.labels, self.former_labels.iter(), &self.declared_labels),
            "annotations": patch(
                &self.annotations,
                self.former_annotations.iter(),
                &self.declared_annotations,
            ),
        })
    }

    /// The merge patch of `metadata` that takes everything away.
    pub fn removal(&self) -> Value {
        let nothing = Texts::new();
        json!({
            "labels": patch(&nothing, self.labels.keys(), &self.declared_labels),
            "annotations": patch(&nothing, self.annotations.keys(), &self.declared_annotations),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(value: Value) -> PodTemplateMetadata {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_declared_label_comes_back_and_one_that_was_not_goes() {
        let live = metadata(json!({"labels": {"app": "demo", "role": "declared"}}));
        let canary = metadata(json!({"labels": {"role": "canary", "new": "yes"}}));
        let first = EphemeralMetadata::default().turned_into(&canary, &live);
        assert_eq!(
            first.patch(),
            json!({"labels": {"role": "canary", "new": "yes"}, "annotations": {}})
        );
        assert_eq!(
            first.removal(),
            json!({"labels": {"role": "declared", "new": null}, "annotations": {}})
        );
        let stable = metadata(json!({"annotations": {"note": "stable"}}));
        let live = metadata(json!({"labels": {"app": "demo", "role": "canary", "new": "yes"}}));
        let second = first.reached().turned_into(&stable, &live);
        assert_eq!(
            second.patch(),
            json!({"labels": {"role": "declared", "new": null}, "annotations": {"note": "stable"}})
        );
        assert_eq!(
            second.reached().text().unwrap(),
            json!({"annotations": {"note": "stable"}}).to_string()
        );
    }

    #[test]
    fn what_pods_may_still_have_is_taken_away_also_after_two_changes() {
        let live = metadata(json!({"labels": {"app": "demo"}}));
        let one = metadata(json!({"labels": {"one": "1"}}));
        let two = metadata(json!({"labels": {"two": "2"}}));
        let state = EphemeralMetadata::default()
            .turned_into(&one, &live)
            .turned_into(&two, &live)
            .turned_into(&PodTemplateMetadata::default(), &live);
        assert_eq!(state.patch()["labels"], json!({"one": null, "two": null}));
        assert!(state.text().is_some());
        assert_eq!(state.reached().text(), None);
    }

    #[test]
    fn the_annotation_reads_back() {
        let live = PodTemplateMetadata::default();
        let one = metadata(json!({"labels": {"one": "1"}, "annotations": {"a": "b"}}));
        let state = EphemeralMetadata::default().turned_into(&one, &live);
        assert_eq!(EphemeralMetadata::read(&state.text().unwrap()), Some(state));
    }
}
