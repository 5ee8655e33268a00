//! What `kubectl get` shows of each kind.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

use crate::api::names::Kind;

/// The columns of a kind, after its name.
pub(super) fn of(kind: Kind) -> Vec<CustomResourceColumnDefinition> {
    let age = column("Age", "date", ".metadata.creationTimestamp", "");
    match kind {
        Kind::Rollout => vec![
            column("Desired", "integer", ".spec.replicas", "Pods wanted."),
            column("Current", "integer", ".status.replicas", "Pods that exist."),
            column(
                "Up-to-date",
                "integer",
                ".status.updatedReplicas",
                "Pods of the new version.",
            ),
            column(
                "Available",
                "integer",
                ".status.availableReplicas",
                "Pods that can serve.",
            ),
            column(
                "Phase",
                "string",
                ".status.phase",
                "Where the Rollout stands.",
            ),
            column(
                "Step",
                "integer",
                ".status.currentStepIndex",
                "Steps that are done.",
            ),
            column(
                "Weight",
                "integer",
                ".status.canary.weights.canary.weight",
                "Share of traffic of the new version.",
            ),
            wide(column(
                "Message",
                "string",
                ".status.message",
                "Why it stands there.",
            )),
            age,
        ],
        Kind::AnalysisTemplate | Kind::ClusterAnalysisTemplate => vec![age],
        Kind::AnalysisRun | Kind::Experiment => vec![
            column("Status", "string", ".status.phase", "The verdict so far."),
            age,
            column("Message", "string", ".status.message", "Why."),
        ],
    }
}

fn column(
    name: &str,
    type_: &str,
    json_path: &str,
    description: &str,
) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        description: (!description.is_empty()).then(|| description.to_owned()),
        ..CustomResourceColumnDefinition::default()
    }
}

/// Shown by `kubectl get -o wide` only.
fn wide(column: CustomResourceColumnDefinition) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        priority: Some(1),
        ..column
    }
}
