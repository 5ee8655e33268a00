//! The fields of the five kinds, from their definitions. The pod template and a Job are one field each.
//!
//! Not here: the status, which Tidegate writes.

use std::{borrow::Cow, fs, path::Path};

use serde_json::Value;

use super::FieldsError;

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Its path, with the kind in front unless it is a Rollout's.
    pub(super) path: String,
    /// What it is, in a sentence.
    pub(super) about: String,
}

/// The definitions in the order of the page.
const DEFINITIONS: [(&str, &str); 5] = [
    ("rollouts.yaml", ""),
    ("analysistemplates.yaml", "AnalysisTemplate "),
    ("clusteranalysistemplates.yaml", "ClusterAnalysisTemplate "),
    ("analysisruns.yaml", "AnalysisRun "),
    ("experiments.yaml", "Experiment "),
];

/// What is read by the same code has its rows once: where the first path begins a field, it is the second one's.
const SAME: [(&str, &str); 17] = [
    ("ClusterAnalysisTemplate spec.", "AnalysisTemplate spec."),
    ("AnalysisRun spec.metrics", "AnalysisTemplate spec.metrics"),
    ("AnalysisRun spec.args", "AnalysisTemplate spec.args"),
    ("AnalysisRun spec.dryRun", "AnalysisTemplate spec.dryRun"),
    (
        "AnalysisRun spec.measurementRetention",
        "AnalysisTemplate spec.measurementRetention",
    ),
    ("spec.strategy.canary.analysis.", STEP),
    ("spec.strategy.canary.bake.analysis.", STEP),
    ("spec.strategy.blueGreen.bake.analysis.", STEP),
    ("spec.strategy.blueGreen.prePromotionAnalysis.", STEP),
    ("spec.strategy.blueGreen.postPromotionAnalysis.", STEP),
    (
        "AnalysisTemplate spec.metrics[].provider.web.authentication.",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.",
    ),
    (
        "Experiment spec.analyses[].args[].",
        "AnalysisTemplate spec.args[].",
    ),
    (
        "spec.strategy.canary.steps[].experiment.analyses[].args[].",
        "spec.strategy.canary.steps[].analysis.args[].",
    ),
    (
        "Experiment spec.templates[].selector.matchExpressions",
        "spec.selector.matchExpressions",
    ),
    (
        "spec.strategy.canary.steps[].experiment.templates[].selector.matchExpressions",
        "spec.selector.matchExpressions",
    ),
    (
        "spec.strategy.blueGreen.antiAffinity.",
        "spec.strategy.canary.antiAffinity.",
    ),
    ("spec.template.", "spec.template"),
];
const STEP: &str = "spec.strategy.canary.steps[].analysis.";

/// The path under which a field has its row.
pub(super) fn canonical(path: &str) -> Cow<'_, str> {
    let found = SAME.iter().find_map(|(own, other)| {
        let rest = path.strip_prefix(own)?;
        (rest != "startingStep").then(|| format!("{other}{rest}"))
    });
    match found {
        None => Cow::Borrowed(path),
        // What it is the same as may be the same as something else.
        Some(other) => Cow::Owned(canonical(&other).into_owned()),
    }
}

/// What has no rows of its own, and where they are.
pub(super) fn same() -> impl Iterator<Item = (String, String)> {
    let all = SAME.into_iter().filter(|(own, _)| *own != "spec.template.");
    all.map(|(own, other)| {
        let shown = |path: &str| path.trim_end_matches(['.', '[', ']']).to_owned();
        (shown(own), shown(other))
    })
}

/// All fields that have a row.
pub(super) fn fields(crds: &Path) -> Result<Vec<Field>, FieldsError> {
    let mut fields = Vec::new();
    for (file, kind) in DEFINITIONS {
        let path = crds.join(file);
        let text = fs::read_to_string(&path).map_err(|source| FieldsError::File {
            path: path.clone(),
            source,
        })?;
        let content = |what: String| FieldsError::Content {
            path: path.clone(),
            what,
        };
        let definition: Value =
            serde_saphyr::from_str(&text).map_err(|error| content(error.to_string()))?;
        let spec = definition
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .ok_or_else(|| content("has no schema of a spec".to_owned()))?;
        walk(spec, &format!("{kind}spec"), &mut fields);
    }
    let paths: Vec<String> = fields.iter().map(|field| field.path.clone()).collect();
    for path in &paths {
        let row = canonical(path);
        if !paths.iter().any(|other| *other == *row) {
            return Err(FieldsError::Wrong(format!(
                "{path} is said to be the same as {row}, which is no field; correct testbed/src/fields/schema.rs"
            )));
        }
    }
    fields.retain(|field| canonical(&field.path) == field.path);
    Ok(fields)
}

fn walk(schema: &Value, at: &str, fields: &mut Vec<Field>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let path = format!("{at}.{name}");
        let about = property.get("description").and_then(Value::as_str);
        fields.push(Field {
            path: path.clone(),
            about: first_sentence(about.unwrap_or_default()),
        });
        if property.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            && name != "plugins"
        {
            continue;
        }
        match property.get("items") {
            Some(items) => walk(items, &format!("{path}[]"), fields),
            None => walk(property, &path, fields),
        }
    }
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_walked_and_free_forms_are_one_field() {
        let schema = json!({"properties": {
            "steps": {"type": "array", "description": "Steps. In order.", "items": {"properties": {"a": {}}}},
            "template": {"x-kubernetes-preserve-unknown-fields": true, "properties": {"b": {}}},
        }});
        let mut fields = Vec::new();
        walk(&schema, "spec", &mut fields);
        let paths: Vec<&str> = fields.iter().map(|field| &*field.path).collect();
        assert_eq!(paths, ["spec.steps", "spec.steps[].a", "spec.template"]);
        assert_eq!(fields[0].about, "Steps.");
    }

    #[test]
    fn what_is_the_same_has_one_row() {
        for (path, row) in [
            (
                "ClusterAnalysisTemplate spec.args[].name",
                "AnalysisTemplate spec.args[].name",
            ),
            ("AnalysisRun spec.terminate", "AnalysisRun spec.terminate"),
            (
                "spec.strategy.canary.analysis.args",
                "spec.strategy.canary.steps[].analysis.args",
            ),
            (
                "spec.strategy.canary.analysis.startingStep",
                "spec.strategy.canary.analysis.startingStep",
            ),
            (
                "spec.strategy.canary.analysis",
                "spec.strategy.canary.analysis",
            ),
        ] {
            assert_eq!(canonical(path), row);
        }
    }
}
