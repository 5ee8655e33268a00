//! Which programs already on the machine are suitable: found in a folder, asked for their version, new enough.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use super::{Module, Program};

/// Major and minor version of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

/// A program that does not answer in this time is not suitable.
const ANSWER: Duration = Duration::from_secs(10);

/// The module's programs as they are on this machine, when all of them are suitable and of one version.
pub(super) async fn existing(
    module: Module,
    folders: &[PathBuf],
) -> Option<Vec<(Program, PathBuf)>> {
    let mut found = Vec::new();
    let mut of_module = None;
    for program in module.programs() {
        let path = folders
            .iter()
            .map(|folder| folder.join(program.name()))
            .find(|path| path.is_file())?;
        let version = parse(*program, &ask(*program, &path).await?)?;
        // A controller manager newer than its API server is not supported, so all come from one release.
        if !is_suitable(*program, version) || of_module.is_some_and(|other| other != version) {
            return None;
        }
        of_module = Some(version);
        found.push((*program, path));
    }
    Some(found)
}

async fn ask(program: Program, path: &Path) -> Option<String> {
    let arguments: &[&str] = match program {
        Program::Kubectl => &["version", "--client"],
        Program::Traefik | Program::Helm => &["version"],
        Program::Etcd
        | Program::KubeApiserver
        | Program::KubeControllerManager
        | Program::Prometheus => &["--version"],
    };
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER, command.output())
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(program: Program, answer: &str) -> Option<Version> {
    let mark = match program {
        Program::Etcd => "etcd Version:",
        Program::KubeApiserver | Program::KubeControllerManager => "Kubernetes v",
        Program::Kubectl => "Client Version: v",
        Program::Traefik => "Version:",
        Program::Prometheus => "prometheus, version ",
        Program::Helm => "version.BuildInfo{Version:\"v",
    };
    let rest = answer
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(mark))?
        .trim_start();
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some(Version {
        major: numbers.next()?.ok()?,
        minor: numbers.next()?.ok()?,
    })
}

fn is_suitable(program: Program, version: Version) -> bool {
    let oldest = match program {
        Program::Etcd => Version { major: 3, minor: 5 },
        Program::KubeApiserver | Program::KubeControllerManager | Program::Kubectl => Version {
            major: 1,
            minor: 33,
        },
        // Older ones do not read the canary annotations of Ingresses.
        Program::Traefik => Version { major: 3, minor: 7 },
        Program::Prometheus | Program::Helm => Version { major: 3, minor: 0 },
    };
    let newest_major = match program {
        Program::Helm => 4,
        Program::Etcd
        | Program::KubeApiserver
        | Program::KubeControllerManager
        | Program::Kubectl
        | Program::Traefik
        | Program::Prometheus => oldest.major,
    };
    version >= oldest && version.major <= newest_major
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_state_a_supported_version_are_suitable() {
        let table = [
            (
                Program::Etcd,
                "etcd Version: 3.7.3\nGo Version: go1.26.8\n",
                true,
            ),
            (
                Program::Etcd,
                "etcd Version: 3.4.30\nGo Version: go1.26.8\n",
                false,
            ),
            (Program::KubeApiserver, "Kubernetes v1.36.3\n", true),
            (Program::KubeApiserver, "Kubernetes v1.33.0-rc.1\n", true),
            (Program::KubeApiserver, "Kubernetes v1.32.9\n", false),
            (
                Program::KubeControllerManager,
                "Kubernetes v0.0.0-master+$Format:%H$\n",
                false,
            ),
            (
                Program::Kubectl,
                "Client Version: v1.36.3\nKustomize Version: v5.8.1\n",
                true,
            ),
            (
                Program::Kubectl,
                "Client Version: v1.20.2\nKustomize Version: v5.8.1\n",
                false,
            ),
            (
                Program::Traefik,
                "Version:      3.7.13\nCodename:     x\nGo version:   go1.26.8\n",
                true,
            ),
            (
                Program::Traefik,
                "Version:      3.6.12\nCodename:     x\n",
                false,
            ),
            (
                Program::Traefik,
                "Version:      dev\nGo version:   go1.26.8\n",
                false,
            ),
            (
                Program::Prometheus,
                "prometheus, version 3.5.0 (branch: HEAD)\n",
                true,
            ),
            (
                Program::Prometheus,
                "prometheus, version 2.55.1 (branch: HEAD)\n",
                false,
            ),
            (
                Program::Prometheus,
                "prometheus, version  (branch: , revision: unknown)\n  go version: go1.26.8\n",
                false,
            ),
            (
                Program::Helm,
                "version.BuildInfo{Version:\"v3.22\", GoVersion:\"go1.26.8\"}\n",
                true,
            ),
            (
                Program::Helm,
                "version.BuildInfo{Version:\"v4.3.1\"}\n",
                true,
            ),
            (
                Program::Helm,
                "version.BuildInfo{Version:\"v2.17.0\"}\n",
                false,
            ),
            (Program::Helm, "", false),
        ];
        for (program, answer, suitable) in table {
            let version = parse(program, answer);
            assert_eq!(
                version.is_some_and(|version| is_suitable(program, version)),
                suitable,
                "{answer:?}: {version:?}"
            );
        }
    }

    async fn suitable_in(scripts: &[(&str, &str)]) -> Option<Vec<(Program, PathBuf)>> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (name, answer) in scripts {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        existing(Module::Kubernetes, &[folder.path().to_owned()]).await
    }

    #[tokio::test]
    async fn kubernetes_programs_are_taken_together_or_not_at_all() {
        let server = ("kube-apiserver", "Kubernetes v1.34.1");
        let manager = ("kube-controller-manager", "Kubernetes v1.34.1");
        let newer_manager = ("kube-controller-manager", "Kubernetes v1.36.0");
        let client = ("kubectl", "Client Version: v1.34.1");
        assert_eq!(
            suitable_in(&[server, manager, client])
                .await
                .map(|found| found.len()),
            Some(3)
        );
        assert_eq!(suitable_in(&[server, newer_manager, client]).await, None);
        assert_eq!(suitable_in(&[server, client]).await, None);
    }
}
