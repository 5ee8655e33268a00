//! The one place that knows the API group and every label, annotation and field-manager key derived from it.
//!
//! Not here: names of objects (`rollout::decide` derives those).

use kube::core::{ApiResource, GroupVersionKind};

/// The five kinds of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A release.
    Rollout,
    /// Metrics to measure, in one namespace.
    AnalysisTemplate,
    /// Metrics to measure, for the whole cluster.
    ClusterAnalysisTemplate,
    /// One run of an analysis.
    AnalysisRun,
    /// Short-lived versions side by side.
    Experiment,
}

impl Kind {
    /// All kinds, in the order in which their CRDs are printed.
    pub const ALL: [Self; 5] = [
        Self::Rollout,
        Self::AnalysisTemplate,
        Self::ClusterAnalysisTemplate,
        Self::AnalysisRun,
        Self::Experiment,
    ];

    /// The kind as written in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rollout => "Rollout",
            Self::AnalysisTemplate => "AnalysisTemplate",
            Self::ClusterAnalysisTemplate => "ClusterAnalysisTemplate",
            Self::AnalysisRun => "AnalysisRun",
            Self::Experiment => "Experiment",
        }
    }

    /// The plural resource name in URLs and RBAC rules.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Rollout => "rollouts",
            Self::AnalysisTemplate => "analysistemplates",
            Self::ClusterAnalysisTemplate => "clusteranalysistemplates",
            Self::AnalysisRun => "analysisruns",
            Self::Experiment => "experiments",
        }
    }

    /// The short name for `kubectl get`.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Rollout => "ro",
            Self::AnalysisTemplate => "at",
            Self::ClusterAnalysisTemplate => "cat",
            Self::AnalysisRun => "ar",
            Self::Experiment => "exp",
        }
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn namespaced(self) -> bool {
        match self {
            Self::Rollout | Self::AnalysisTemplate | Self::AnalysisRun | Self::Experiment => true,
            Self::ClusterAnalysisTemplate => false,
        }
    }
}

/// Group, version and every key derived from them. A run-time value, so that another group can be served by the same code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiNames {
    /// API group, e.g. `tidegate.dev`.
    pub group: String,
    /// API version, e.g. `v1alpha1`.
    pub version: String,
    /// Label on ReplicaSets, pods, and in Service selectors: the hash of the pod template.
    pub pod_template_hash: String,
    /// Annotation on ReplicaSets: the revision number.
    pub revision: String,
    /// Annotation on ReplicaSets: the pod template as the Rollout declared it, in JSON. The ReplicaSet's own has the
    /// server's defaults, and so another hash.
    pub pod_template: String,
    /// Label on Services, Ingresses and routes whose fields we changed: the Rollout's name.
    pub managed_by_rollout: String,
    /// Annotation beside it: `stable` or `canary`.
    pub role: String,
    /// Annotation on routes with the label above: the weights that the user declared.
    pub weights_at_rest: String,
    /// Annotation on a Rollout: a person's request.
    pub request: String,
    /// Label on AnalysisRuns: `Step` or `Background`.
    pub rollout_type: String,
    /// Label on AnalysisRuns: the step's index.
    pub step_index: String,
    /// Label on an Experiment's ReplicaSets and pods: its name, cut to what fits into a label.
    pub experiment_name: String,
    /// Label beside it: the name of the template.
    pub experiment_template: String,
}

/// How the key of `ApiNames::pod_template` ends, whatever the group.
pub const POD_TEMPLATE: &str = "/pod-template";
/// The field manager of every write.
pub const FIELD_MANAGER: &str = "tidegate";
/// The default API group.
pub const DEFAULT_GROUP: &str = "tidegate.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";

impl Default for ApiNames {
    fn default() -> Self {
        let group = DEFAULT_GROUP;
        Self {
            group: group.to_owned(),
            version: VERSION.to_owned(),
            pod_template_hash: format!("{group}/pod-template-hash"),
            revision: format!("{group}/revision"),
            pod_template: format!("{group}{POD_TEMPLATE}"),
            managed_by_rollout: format!("{group}/managed-by-rollout"),
            role: format!("{group}/role"),
            weights_at_rest: format!("{group}/weights-at-rest"),
            request: format!("{group}/request"),
            rollout_type: format!("{group}/rollout-type"),
            step_index: format!("{group}/step-index"),
            experiment_name: format!("{group}/experiment-name"),
            experiment_template: format!("{group}/template-name"),
        }
    }
}

impl ApiNames {
    /// `group/version`, as in `apiVersion`.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// The resource of one of our kinds, for dynamic clients.
    pub fn resource(&self, kind: Kind) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(&self.group, &self.version, kind.name()),
            kind.plural(),
        )
    }
}
