//! The kinds that the simulated API server knows. What is not here it does not serve.

/// One kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) namespaced: bool,
    /// Whether the status is a subresource.
    pub(super) status: bool,
    /// Whether changes of the spec are counted in `metadata.generation`.
    pub(super) generation: bool,
    /// Whether there is a scale subresource.
    pub(super) scale: bool,
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

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

const OURS: &str = "tidegate.dev";
const OUR_VERSION: &str = "v1alpha1";

static ALL: &[Resource] = &[
    of(OURS, OUR_VERSION, "rollouts", "Rollout")
        .with_status()
        .with_generation()
        .with_scale(),
    of(OURS, OUR_VERSION, "analysisruns", "AnalysisRun")
        .with_status()
        .with_generation(),
    of(OURS, OUR_VERSION, "experiments", "Experiment")
        .with_status()
        .with_generation(),
    of(OURS, OUR_VERSION, "analysistemplates", "AnalysisTemplate")
        .with_status()
        .with_generation(),
    of(
        OURS,
        OUR_VERSION,
        "clusteranalysistemplates",
        "ClusterAnalysisTemplate",
    )
    .with_status()
    .with_generation()
    .of_the_cluster(),
    of("apps", "v1", "replicasets", "ReplicaSet")
        .with_status()
        .with_generation()
        .with_scale(),
    of("apps", "v1", "deployments", "Deployment")
        .with_status()
        .with_generation()
        .with_scale(),
    of("", "v1", "services", "Service").with_status(),
    of("", "v1", "pods", "Pod").with_status(),
    of("", "v1", "secrets", "Secret"),
    of("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice").with_generation(),
    of("networking.k8s.io", "v1", "ingresses", "Ingress")
        .with_status()
        .with_generation(),
    of("batch", "v1", "jobs", "Job")
        .with_status()
        .with_generation(),
    of("coordination.k8s.io", "v1", "leases", "Lease"),
    of("events.k8s.io", "v1", "events", "Event"),
];

/// The kind behind a URL.
pub(super) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    ALL.iter().find(|resource| {
        (resource.group, resource.version, resource.plural) == (group, version, plural)
    })
}

/// The kinds of a group.
pub(super) fn of_group(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    ALL.iter()
        .filter(move |resource| (resource.group, resource.version) == (group, version))
}

/// The kind with this name in URLs; they are distinct here.
pub(super) fn named(plural: &str) -> &'static Resource {
    ALL.iter()
        .find(|resource| resource.plural == plural)
        .unwrap_or_else(|| panic!("no resource {plural} is modelled"))
}

/// The kind of a manifest.
pub(super) fn of_kind(api_version: &str, kind: &str) -> &'static Resource {
    ALL.iter()
        .find(|resource| resource.kind == kind && resource.api_version() == api_version)
        .unwrap_or_else(|| panic!("{api_version} {kind} is not modelled"))
}
