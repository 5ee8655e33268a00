//! The CustomResourceDefinitions of the five kinds, made from the Rust types.
//!
//! Not here: the schema's clean-up (`schema`), cross-field rules and bounds (`rules`), columns (`columns`).

mod columns;
mod lenient;
mod rules;
mod schema;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
        CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
        CustomResourceSubresourceStatus, CustomResourceSubresources, CustomResourceValidation,
        JSONSchemaProps,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::names::{ApiNames, Conventions, Kind};

pub use rules::{Rule, rules};

/// Why a CustomResourceDefinition could not be made: the types and what is said about them do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// A rule or bound is for a field that the types do not have.
    #[error("{kind} has no field {path} to put a rule or bound on; correct src/api/crds/rules.rs")]
    NoSuchField {
        /// The kind.
        kind: &'static str,
        /// The path that was not found.
        path: String,
    },
    /// The schema is not one that Kubernetes knows.
    #[error("the schema of {kind} is not one for Kubernetes: {source}")]
    Schema {
        /// The kind.
        kind: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// It could not be written as YAML.
    #[error("the definition of {kind} cannot be written as YAML: {source}")]
    Yaml {
        /// The kind.
        kind: &'static str,
        /// What does not fit.
        source: serde_saphyr::ser::Error,
    },
}

/// The definitions of all kinds, in the order of [`Kind::ALL`].
pub fn crds(names: &ApiNames) -> Result<Vec<CustomResourceDefinition>, CrdError> {
    Kind::ALL.into_iter().map(|kind| crd(names, kind)).collect()
}

/// The definition of one kind.
pub fn crd(names: &ApiNames, kind: Kind) -> Result<CustomResourceDefinition, CrdError> {
    let mut root = schema::of(kind);
    match names.conventions {
        Conventions::Tidegate => rules::apply(kind, &mut root)?,
        Conventions::ArgoRollouts => lenient::apply(kind, &mut root),
    }
    let root: JSONSchemaProps =
        serde_json::from_value(root).map_err(|source| CrdError::Schema {
            kind: kind.name(),
            source,
        })?;
    let scale = (kind == Kind::Rollout).then(|| CustomResourceSubresourceScale {
        spec_replicas_path: ".spec.replicas".to_owned(),
        status_replicas_path: ".status.HPAReplicas".to_owned(),
        label_selector_path: Some(".status.selector".to_owned()),
    });
    let scope = if kind.namespaced() {
        "Namespaced"
    } else {
        "Cluster"
    };
    Ok(CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", kind.plural(), names.group)),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: names.group.clone(),
            names: CustomResourceDefinitionNames {
                kind: kind.name().to_owned(),
                list_kind: Some(format!("{}List", kind.name())),
                plural: kind.plural().to_owned(),
                singular: Some(kind.name().to_lowercase()),
                short_names: Some(vec![kind.short().to_owned()]),
                categories: Some(vec!["tidegate".to_owned()]),
            },
            scope: scope.to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                name: names.version.clone(),
                served: true,
                storage: true,
                additional_printer_columns: Some(columns::of(kind)),
                schema: Some(CustomResourceValidation {
                    open_api_v3_schema: Some(root),
                }),
                subresources: Some(CustomResourceSubresources {
                    status: names
                        .has_status_subresource(kind)
                        .then(|| CustomResourceSubresourceStatus(serde_json::json!({}))),
                    scale,
                }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    })
}

/// The definition of one kind as YAML, as it is kept in `crds/`.
pub fn yaml(names: &ApiNames, kind: Kind) -> Result<String, CrdError> {
    let crd = crd(names, kind)?;
    let yaml = serde_saphyr::to_string(&crd).map_err(|source| CrdError::Yaml {
        kind: kind.name(),
        source,
    })?;
    Ok(format!("{}\n", yaml.trim_end()))
}
