//! The kinds that the simulated API server knows. What is not here it does not serve.
//!
//! Our own kinds are in one group of two, never in both: which one is a property of the cluster (`Nature::api`).

use crate::api::names::{ARGO_GROUP, Conventions, DEFAULT_GROUP, VERSION};

/// One kind.
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent facts about a kind"
)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Name in URLs.
    pub plural: &'static str,
    /// Name in manifests.
    pub kind: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether the status is a subresource.
    pub status: bool,
    /// Whether changes of the spec are counted in `metadata.generation`.
    pub generation: bool,
    /// Whether there is a scale subresource.
    pub scale: bool,
}

const fn of(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        kind,
        namespaced: true,
        status: false,
        generation: false,
        scale: false,
    }
}

impl Resource {
    const fn with_status(mut self) -> Self {
        self.status = true;
        self
    }
    const fn with_generation(mut self) -> Self {
        self.generation = true;
        self
    }
    const fn with_scale(mut self) -> Self {
        self.scale = true;
        self
    }
    const fn of_the_cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// `plural.group`, as in messages.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether a replacement has to name the version that it replaces.
    pub fn needs_version(&self) -> bool {
        self.is_ours() || self.plural == "leases"
    }

    /// Whether it comes from a CustomResourceDefinition.
    pub fn is_defined(&self) -> bool {
        self.is_ours() || self.group == "gateway.networking.k8s.io"
    }

    /// Whether it is one of Tidegate's own kinds.
    pub fn is_ours(&self) -> bool {
        [DEFAULT_GROUP, ARGO_GROUP].contains(&self.group)
    }

    /// `group/version`, as in manifests.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

const fn rollouts(group: &'static str) -> Resource {
    of(group, VERSION, "rollouts", "Rollout")
        .with_status()
        .with_generation()
        .with_scale()
}

/// One of our other kinds: Argo Rollouts' definitions of them have no status subresource.
const fn defined(group: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    of(group, VERSION, plural, kind).with_generation()
}

static OURS: &[Resource] = &[
    rollouts(DEFAULT_GROUP),
    defined(DEFAULT_GROUP, "analysisruns", "AnalysisRun").with_status(),
    defined(DEFAULT_GROUP, "experiments", "Experiment").with_status(),
    defined(DEFAULT_GROUP, "analysistemplates", "AnalysisTemplate").with_status(),
    defined(
        DEFAULT_GROUP,
        "clusteranalysistemplates",
        "ClusterAnalysisTemplate",
    )
    .with_status()
    .of_the_cluster(),
];

static ARGOS: &[Resource] = &[
    rollouts(ARGO_GROUP),
    defined(ARGO_GROUP, "analysisruns", "AnalysisRun"),
    defined(ARGO_GROUP, "experiments", "Experiment"),
    defined(ARGO_GROUP, "analysistemplates", "AnalysisTemplate"),
    defined(
        ARGO_GROUP,
        "clusteranalysistemplates",
        "ClusterAnalysisTemplate",
    )
    .of_the_cluster(),
];

static OTHERS: &[Resource] = &[
    of("apps", "v1", "replicasets", "ReplicaSet")
        .with_status()
        .with_generation()
        .with_scale(),
    of("apps", "v1", "deployments", "Deployment")
        .with_status()
        .with_generation()
        .with_scale(),
    of("", "v1", "services", "Service").with_status(),
    of("", "v1", "pods", "Pod").with_status().with_generation(),
    of("", "v1", "secrets", "Secret"),
    of("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice").with_generation(),
    of("networking.k8s.io", "v1", "ingresses", "Ingress")
        .with_status()
        .with_generation(),
    of("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
        .with_status()
        .with_generation(),
    of(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    )
    .with_status(),
    of(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
    )
    .with_status()
    .with_generation(),
    of("batch", "v1", "jobs", "Job")
        .with_status()
        .with_generation(),
    of("coordination.k8s.io", "v1", "leases", "Lease"),
    of("events.k8s.io", "v1", "events", "Event"),
];

/// Everything that is served where our own kinds have these conventions.
fn all(api: Conventions) -> impl Iterator<Item = &'static Resource> {
    let own = match api {
        Conventions::Tidegate => OURS,
        Conventions::ArgoRollouts => ARGOS,
    };
    own.iter().chain(OTHERS)
}

/// The kind behind a URL.
pub fn find(
    api: Conventions,
    group: &str,
    version: &str,
    plural: &str,
) -> Option<&'static Resource> {
    all(api).find(|resource| {
        (resource.group, resource.version, resource.plural) == (group, version, plural)
    })
}

/// The kinds of a group.
pub fn of_group(
    api: Conventions,
    group: &str,
    version: &str,
) -> impl Iterator<Item = &'static Resource> {
    all(api).filter(move |resource| (resource.group, resource.version) == (group, version))
}

/// The kind with this name in URLs; they are distinct here.
///
/// # Panics
///
/// If there is none: names of kinds are written into the program.
#[expect(
    clippy::panic,
    reason = "a name of a kind is a constant of the program"
)]
pub fn named(api: Conventions, plural: &str) -> &'static Resource {
    all(api)
        .find(|resource| resource.plural == plural)
        .unwrap_or_else(|| panic!("no resource {plural} is modelled"))
}

/// The kind of a manifest, if it is modelled.
pub fn of_kind(api: Conventions, api_version: &str, kind: &str) -> Option<&'static Resource> {
    all(api).find(|resource| resource.kind == kind && resource.api_version() == api_version)
}

/// Whether a kind has this name in URLs.
pub fn is_plural(word: &str) -> bool {
    all(Conventions::Tidegate).any(|resource| resource.plural == word)
}
