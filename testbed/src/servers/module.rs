//! The Go modules with the pinned servers: their folder, packages and linker flags.

use std::path::{Path, PathBuf};

use super::Program;

/// The version the Kubernetes programs are linked with; the same as in `servers/kubernetes/go.mod` (a test says so).
pub(super) const KUBERNETES: &str = "v1.36.3";

/// A folder under `testbed/servers` with its own go.mod, so that the dependency trees do not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// etcd.
    Etcd,
    /// kube-apiserver, kube-controller-manager and kubectl: built, found and versioned together.
    Kubernetes,
    /// Traefik.
    Traefik,
    /// Prometheus.
    Prometheus,
    /// Helm.
    Helm,
}

impl Module {
    /// All modules, the quick and most needed ones first.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::Kubernetes,
        Self::Traefik,
        Self::Helm,
        Self::Prometheus,
    ];

    /// The programs the module gives.
    pub fn programs(self) -> &'static [Program] {
        match self {
            Self::Etcd => &[Program::Etcd],
            Self::Kubernetes => &[
                Program::KubeApiserver,
                Program::KubeControllerManager,
                Program::Kubectl,
            ],
            Self::Traefik => &[Program::Traefik],
            Self::Prometheus => &[Program::Prometheus],
            Self::Helm => &[Program::Helm],
        }
    }

    /// The name of the module's folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
            Self::Traefik => "traefik",
            Self::Prometheus => "prometheus",
            Self::Helm => "helm",
        }
    }

    /// The module's folder in this source tree.
    pub fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("servers")
            .join(self.name())
    }

    /// The module and, where they differ, its programs.
    pub(super) fn describe(self) -> String {
        match self.programs() {
            [_] => self.name().to_owned(),
            several => format!(
                "{}: {}",
                self.name(),
                several
                    .iter()
                    .map(|p| p.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    /// The Go package of one of the module's programs.
    pub(super) fn package(program: Program) -> &'static str {
        match program {
            Program::Etcd => "go.etcd.io/etcd/server/v3",
            Program::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Program::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Program::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Program::Traefik => "github.com/traefik/traefik/v3/cmd/traefik",
            Program::Prometheus => "github.com/prometheus/prometheus/cmd/prometheus",
            Program::Helm => "helm.sh/helm/v3/cmd/helm",
        }
    }

    /// The linker flags. Without the version variables clients that parse the server's version trip over it.
    pub(super) fn linker_flags(self) -> String {
        match self {
            Self::Kubernetes => {
                let mut numbers = KUBERNETES.trim_start_matches('v').split('.');
                let (major, minor) = (
                    numbers.next().unwrap_or_default(),
                    numbers.next().unwrap_or_default(),
                );
                let version = "k8s.io/component-base/version";
                format!(
                    "-s -w -X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
                )
            }
            Self::Etcd | Self::Traefik | Self::Prometheus | Self::Helm => "-s -w".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_is_linked_with_the_version_of_its_go_mod() {
        let go_mod = std::fs::read_to_string(Module::Kubernetes.folder().join("go.mod")).unwrap();
        assert!(
            go_mod.contains(&format!("k8s.io/kubernetes {KUBERNETES}\n")),
            "{KUBERNETES} is not in go.mod"
        );
        assert_eq!(
            Module::Kubernetes.linker_flags(),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
             -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
        );
    }

    #[test]
    fn every_program_is_a_tool_of_its_go_mod() {
        for module in Module::ALL {
            let go_mod = std::fs::read_to_string(module.folder().join("go.mod")).unwrap();
            for program in module.programs() {
                let package = Module::package(*program);
                let named = go_mod
                    .lines()
                    .any(|line| line.trim_start_matches("tool ").trim() == package);
                assert!(named, "{package} is not a tool in {}/go.mod", module.name());
            }
        }
    }
}
