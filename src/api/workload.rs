//! The workload that `spec.workloadRef` names: which kinds there are, and what is marked on one.
//!
//! Not here: what is done with it (`rollout::decide::workload`).

use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};

use super::rollout::WorkloadRef;

/// Kinds that have a pod template to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`.
    ReplicaSet,
    /// `v1`.
    PodTemplate,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::ReplicaSet, Self::PodTemplate];

    /// As in `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::PodTemplate => "PodTemplate",
        }
    }

    /// As in URLs and rules.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::ReplicaSet => "replicasets",
            Self::PodTemplate => "podtemplates",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::ReplicaSet => "apps",
            Self::PodTemplate => "",
        }
    }

    /// The resource, for dynamic clients.
    pub fn resource(self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group(), "v1", self.name());
        ApiResource::from_gvk_with_plural(&gvk, self.plural())
    }

    /// Where in the object its pod template is.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Deployment | Self::ReplicaSet => "/spec/template",
            Self::PodTemplate => "/template",
        }
    }
}

/// When the referenced Deployment is scaled to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleDown {
    /// Never by us.
    Never,
    /// When the Rollout serves.
    OnSuccess,
    /// Pod by pod as the Rollout's become available.
    Progressively,
}

impl WorkloadRef {
    /// The kind; `None` when it has no pod template to take.
    pub fn workload_kind(&self) -> Option<WorkloadKind> {
        WorkloadKind::ALL.into_iter().find(|kind| {
            let resource = kind.resource();
            self.kind.as_deref() == Some(kind.name())
                && self.api_version.as_deref() == Some(resource.api_version.as_str())
        })
    }

    /// `scaleDown` with its default; `None` when it is none of the three.
    pub fn scale_down(&self) -> Option<ScaleDown> {
        match self.scale_down.as_deref() {
            None | Some("" | "never") => Some(ScaleDown::Never),
            Some("onsuccess") => Some(ScaleDown::OnSuccess),
            Some("progressively") => Some(ScaleDown::Progressively),
            Some(_) => None,
        }
    }
}

/// What a Deployment had before we scaled it, in its annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AtRest {
    /// `spec.replicas` as somebody else last set it.
    pub replicas: i32,
    /// `spec.replicas` as we last wrote it.
    pub scaled_to: i32,
}

impl AtRest {
    /// From the annotation; `None` when it cannot be read.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's value.
    pub fn text(self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kinds_with_a_pod_template_of_the_right_group_are_taken() {
        for (api_version, kind, expected) in [
            ("apps/v1", "Deployment", Some(WorkloadKind::Deployment)),
            ("apps/v1", "ReplicaSet", Some(WorkloadKind::ReplicaSet)),
            ("v1", "PodTemplate", Some(WorkloadKind::PodTemplate)),
            ("v1", "Deployment", None),
            ("apps/v1", "StatefulSet", None),
        ] {
            let reference = WorkloadRef {
                api_version: Some(api_version.to_owned()),
                kind: Some(kind.to_owned()),
                ..WorkloadRef::default()
            };
            assert_eq!(reference.workload_kind(), expected, "{api_version} {kind}");
        }
    }

    #[test]
    fn what_is_at_rest_reads_back() {
        let at_rest = AtRest {
            replicas: 5,
            scaled_to: 0,
        };
        assert_eq!(AtRest::read(&at_rest.text()), Some(at_rest));
        assert_eq!(AtRest::read("5"), None);
    }
}
