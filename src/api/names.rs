//! The one place that knows the API group and every label, annotation and field-manager key derived from it.
//!
//! Not here: names of objects (`rollout::decide` derives those).

use std::{collections::BTreeMap, str::FromStr};

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

/// Whose conventions a group has, beyond its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conventions {
    /// Our own.
    Tidegate,
    /// Those of Argo Rollouts, whose objects and clients are served in place.
    ArgoRollouts,
}

/// Group, version and every key derived from them. A run-time value, so that another group can be served by the same code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiNames {
    /// Whose conventions hold beside the names.
    pub conventions: Conventions,
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
    /// Annotation on ReplicaSets: up to which change of `spec.workloadRef`'s object the server's defaults were compared.
    pub compared_workload: String,
    /// Annotation on ReplicaSets: the version at which a write of ours had no answer, and can do nothing any more.
    pub superseded_version: String,
    /// Annotation on ReplicaSets: the anti-affinity rule that we have put into the pod template.
    pub anti_affinity: String,
    /// Annotation on Deployments with the label above: their replicas before a Rollout scaled them down.
    pub replicas_at_rest: String,
    /// Annotation on a Rollout: a person's request.
    pub request: String,
    /// Label on AnalysisRuns: `Step` or `Background`.
    pub rollout_type: String,
    /// Label on AnalysisRuns: the step's index.
    pub step_index: String,
    /// Label on Jobs of metrics and on their pods: the uid of the AnalysisRun.
    pub analysis_run_uid: String,
    /// Annotation on Jobs of metrics: the AnalysisRun's name.
    pub analysis_run_name: String,
    /// Annotation on Jobs of metrics: the AnalysisRun's namespace.
    pub analysis_run_namespace: String,
    /// Annotation on Jobs of metrics: the metric's name.
    pub metric_name: String,
    /// Annotation on Services that lead to one version: the Rollout's name, where clients look for it.
    pub managed_by: Option<String>,
    /// Annotation on ReplicaSets: `spec.replicas` of the Rollout when it was last sized, where clients look for it.
    pub desired_replicas: Option<String>,
    /// Annotation on ReplicaSets that were taken over: the hash of the pod template that they are equal to.
    pub declared_hash: String,
    /// Annotation on ReplicaSets: labels and annotations that their pods have for a while only, in JSON.
    pub ephemeral_metadata: String,
    /// Label on Rollouts, Experiments and AnalysisRuns: which of several controllers is to serve them.
    pub instance_id: String,
    /// The value of that label on what this controller serves. Without one: what has no such label.
    pub instance: Option<String>,
    /// The Lease that controllers of this group compete for, if none is named.
    pub lease: &'static str,
    /// Label on an Experiment's ReplicaSets and pods: its name, cut to what fits into a label.
    pub experiment_name: String,
    /// Label beside it: the name of the template.
    pub experiment_template: String,
}

/// How the key of `ApiNames::pod_template` ends, whatever the group.
pub const POD_TEMPLATE: &str = "/pod-template";
/// How the key of `ApiNames::anti_affinity` ends, whatever the group.
pub const ANTI_AFFINITY: &str = "/anti-affinity";
/// How the key of `ApiNames::ephemeral_metadata` ends, whatever the group.
pub const EPHEMERAL_METADATA: &str = "/ephemeral-metadata";
/// How the key of `ApiNames::replicas_at_rest` ends, whatever the group.
pub const REPLICAS_AT_REST: &str = "/replicas-at-rest";
/// How the key of `ApiNames::pod_template_hash` ends in our group.
const POD_TEMPLATE_HASH: &str = "/pod-template-hash";
/// The key of `ApiNames::pod_template_hash` in Argo Rollouts' group.
const ARGO_POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";
/// The field manager of every write.
pub const FIELD_MANAGER: &str = "tidegate";
/// The default API group.
pub const DEFAULT_GROUP: &str = "tidegate.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";

/// The field manager of Argo Rollouts' controller.
const ARGO_FIELD_MANAGER: &str = "rollouts-controller";

/// The API group of Argo Rollouts.
pub const ARGO_GROUP: &str = "argoproj.io";

impl Default for ApiNames {
    fn default() -> Self {
        let group = DEFAULT_GROUP;
        Self {
            conventions: Conventions::Tidegate,
            group: group.to_owned(),
            version: VERSION.to_owned(),
            pod_template_hash: format!("{group}{POD_TEMPLATE_HASH}"),
            revision: format!("{group}/revision"),
            pod_template: format!("{group}{POD_TEMPLATE}"),
            managed_by_rollout: format!("{group}/managed-by-rollout"),
            role: format!("{group}/role"),
            weights_at_rest: format!("{group}/weights-at-rest"),
            compared_workload: format!("{group}/compared-workload"),
            superseded_version: format!("{group}/superseded-version"),
            anti_affinity: format!("{group}{ANTI_AFFINITY}"),
            ephemeral_metadata: format!("{group}{EPHEMERAL_METADATA}"),
            replicas_at_rest: format!("{group}{REPLICAS_AT_REST}"),
            request: format!("{group}/request"),
            rollout_type: format!("{group}/rollout-type"),
            step_index: format!("{group}/step-index"),
            analysis_run_uid: format!("analysisrun.{group}/uid"),
            analysis_run_name: format!("analysisrun.{group}/name"),
            analysis_run_namespace: format!("analysisrun.{group}/namespace"),
            metric_name: format!("analysisrun.{group}/metric-name"),
            experiment_name: format!("{group}/experiment-name"),
            experiment_template: format!("{group}/template-name"),
            managed_by: None,
            desired_replicas: None,
            declared_hash: format!("{group}/declared-hash"),
            instance_id: format!("{group}/controller-instance-id"),
            instance: None,
            lease: "tidegate",
        }
    }
}

/// Whether a label is `ApiNames::pod_template_hash`, whatever the group. The one of Deployments has no group, and is not.
pub fn is_hash_label(key: &str) -> bool {
    key.ends_with(POD_TEMPLATE_HASH) || key == ARGO_POD_TEMPLATE_HASH
}

/// The program serves no such API group.
#[derive(Debug, thiserror::Error)]
#[error("there is no API group {0:?} to serve; use {DEFAULT_GROUP} or {ARGO_GROUP}")]
pub struct UnknownGroup(String);

impl FromStr for ApiNames {
    type Err = UnknownGroup;

    fn from_str(group: &str) -> Result<Self, UnknownGroup> {
        match group {
            DEFAULT_GROUP => Ok(Self::default()),
            ARGO_GROUP => Ok(Self::argo_rollouts()),
            other => Err(UnknownGroup(other.to_owned())),
        }
    }
}

impl From<Conventions> for ApiNames {
    fn from(conventions: Conventions) -> Self {
        match conventions {
            Conventions::Tidegate => Self::default(),
            Conventions::ArgoRollouts => Self::argo_rollouts(),
        }
    }
}

impl ApiNames {
    /// Argo Rollouts' own group, labels and annotations. What it has no name for keeps ours.
    pub fn argo_rollouts() -> Self {
        Self {
            conventions: Conventions::ArgoRollouts,
            group: ARGO_GROUP.to_owned(),
            pod_template_hash: ARGO_POD_TEMPLATE_HASH.to_owned(),
            revision: "rollout.argoproj.io/revision".to_owned(),
            rollout_type: "rollout-type".to_owned(),
            step_index: "step-index".to_owned(),
            analysis_run_uid: "analysisrun.argoproj.io/uid".to_owned(),
            analysis_run_name: "analysisrun.argoproj.io/name".to_owned(),
            analysis_run_namespace: "analysisrun.argoproj.io/namespace".to_owned(),
            metric_name: "analysisrun.argoproj.io/metric-name".to_owned(),
            managed_by: Some("argo-rollouts.argoproj.io/managed-by-rollouts".to_owned()),
            desired_replicas: Some("rollout.argoproj.io/desired-replicas".to_owned()),
            ephemeral_metadata: "rollout.argoproj.io/ephemeral-metadata".to_owned(),
            instance_id: "argo-rollouts.argoproj.io/controller-instance-id".to_owned(),
            lease: "argo-rollouts-controller-lock",
            ..Self::default()
        }
    }

    /// Whether the status of a kind is written apart from the rest of the object.
    pub const fn has_status_subresource(&self, kind: Kind) -> bool {
        match (self.conventions, kind) {
            (_, Kind::Rollout) | (Conventions::Tidegate, _) => true,
            (
                Conventions::ArgoRollouts,
                Kind::AnalysisTemplate
                | Kind::ClusterAnalysisTemplate
                | Kind::AnalysisRun
                | Kind::Experiment,
            ) => false,
        }
    }

    /// Whether a field manager is the controller whose objects are taken over: what it wrote was right when it did.
    pub fn is_predecessor(&self, manager: &str) -> bool {
        match self.conventions {
            Conventions::Tidegate => false,
            Conventions::ArgoRollouts => manager == ARGO_FIELD_MANAGER,
        }
    }

    /// Whether this controller, and not another one of several, serves an object with these labels.
    pub fn serves(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        labels.and_then(|labels| labels.get(&self.instance_id)) == self.instance.as_ref()
    }

    /// The label that leads this controller to what it makes; none where there is only one.
    pub fn instance_label(&self) -> Option<(String, String)> {
        let instance = self.instance.clone()?;
        Some((self.instance_id.clone(), instance))
    }

    /// Whether an annotation is about a Rollout object itself, and not for what is made from it.
    pub fn is_own(&self, key: &str) -> bool {
        let prefixes: &[&str] = match self.conventions {
            Conventions::Tidegate => &[DEFAULT_GROUP],
            Conventions::ArgoRollouts => &[
                DEFAULT_GROUP,
                "rollout.argoproj.io",
                "rollouts.argoproj.io",
                "argo-rollouts.argoproj.io",
            ],
        };
        let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
        prefixes.contains(&prefix)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_serves_what_is_labelled_for_it() {
        let argo = ApiNames::argo_rollouts();
        let of = |instance: Option<&str>| ApiNames {
            instance: instance.map(str::to_owned),
            ..argo.clone()
        };
        let labelled = |id: &str| BTreeMap::from([(argo.instance_id.clone(), id.to_owned())]);
        for (instance, labels, expected) in [
            (None, None, true),
            (None, Some(BTreeMap::new()), true),
            (None, Some(labelled("a")), false),
            (Some("a"), None, false),
            (Some("a"), Some(labelled("b")), false),
            (Some("a"), Some(labelled("a")), true),
        ] {
            let serves = of(instance).serves(labels.as_ref());
            assert_eq!(serves, expected, "{instance:?} {labels:?}");
        }
    }

    #[test]
    fn who_was_there_before_us_is_no_stranger() {
        let writer = "rollouts-controller";
        let stranger = ["rollouts-controller", "kubectl"]
            .map(|manager| !ApiNames::argo_rollouts().is_predecessor(manager));
        assert_eq!(stranger, [false, true]);
        // Where it is served by nobody else it is one more writer.
        assert!(!ApiNames::default().is_predecessor(writer));
    }

    #[test]
    fn only_groups_that_are_served_are_accepted() {
        for (group, conventions) in [
            (DEFAULT_GROUP, Conventions::Tidegate),
            (ARGO_GROUP, Conventions::ArgoRollouts),
        ] {
            assert_eq!(group.parse::<ApiNames>().unwrap().conventions, conventions);
        }
        let refused = "flagger.app".parse::<ApiNames>().unwrap_err().to_string();
        assert!(
            refused.contains("use tidegate.dev or argoproj.io"),
            "{refused}"
        );
    }
}
