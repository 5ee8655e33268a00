//! The Gateway API in a testbed: its definitions, and the Gateway that the proxy serves.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    control_plane::Layout,
    kubeconfig,
    servers::{self, Binaries, Module, Program},
};

/// The Gateway that routes attach to.
pub const GATEWAY: &str = "proxy";
/// Its namespace.
pub const NAMESPACE: &str = "default";

const MODULE: &str = "sigs.k8s.io/gateway-api";
const CLASS: &str = "traefik";

/// Installs the definitions of the version that the proxy was built with, and creates the Gateway. To be called before
/// the proxy starts: it would keep asking for what is not there.
pub async fn install(layout: &Layout, binaries: &Binaries) -> Result<()> {
    let folder = definitions().await?;
    let folder = folder
        .to_str()
        .with_context(|| format!("{} is no text", folder.display()))?;
    // They are too big for the annotation of a client-side apply.
    kubectl(
        layout,
        binaries,
        &["apply", "--server-side", "-f", folder],
        "",
    )
    .await?;
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "-f",
        folder,
    ];
    kubectl(layout, binaries, &wait, "").await?;
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    });
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
        "spec": {"gatewayClassName": CLASS, "listeners": [{
            "name": "web",
            "port": layout.ports().proxy_web,
            "protocol": "HTTP",
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }]},
    });
    let both = format!("{class}\n---\n{gateway}");
    kubectl(layout, binaries, &["apply", "-f", "-"], &both).await
}

/// A folder with the definitions: from the cache, else copied there from the Go module that the proxy was built with.
pub async fn definitions() -> Result<PathBuf> {
    let version = version()?;
    let kept = servers::cache_folder()?.join(format!("gateway-api-{version}"));
    if kept.is_dir() {
        return Ok(kept);
    }
    let source = source(&version).await?;
    let parent = kept.parent().context("the cache folder has no parent")?;
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot create {}", parent.display()))?;
    let fresh = tempfile::tempdir_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    let files =
        std::fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))?;
    for file in files {
        let file = file?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        // The rest of the folder is a policy about changes of version.
        let Some(name) = name.filter(|name| {
            name.starts_with("gateway.networking.k8s.io_") && !name.contains("_vap_")
        }) else {
            continue;
        };
        let text =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        std::fs::write(fresh.path().join(name), text)?;
    }
    match std::fs::rename(fresh.path(), &kept) {
        // Another process was quicker.
        Err(_) if kept.is_dir() => Ok(kept),
        renamed => renamed
            .map(|()| kept.clone())
            .with_context(|| format!("cannot create {}", kept.display())),
    }
}

/// The version in the proxy's go.mod.
fn version() -> Result<String> {
    let path = Module::Traefik.folder().join("go.mod");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let version = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(MODULE))
            .then(|| words.next())
            .flatten()
    });
    let version = version.with_context(|| format!("{} does not name {MODULE}", path.display()))?;
    Ok(version.to_owned())
}

async fn source(version: &str) -> Result<PathBuf> {
    let module = format!("{MODULE}@{version}");
    let output = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .current_dir(Module::Traefik.folder())
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("`go` is needed once for the definitions of {module}"))?;
    ensure!(
        output.status.success(),
        "go mod download {module}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let Some(folder) = answer["Dir"].as_str() else {
        bail!("go mod download {module} names no folder");
    };
    Ok(Path::new(folder).join("config/crd/standard"))
}

async fn kubectl(layout: &Layout, binaries: &Binaries, args: &[&str], stdin: &str) -> Result<()> {
    let mut child = Command::new(binaries.path(Program::Kubectl)?)
        .args(args)
        .env("KUBECONFIG", layout.kubeconfig())
        .env(
            kubeconfig::KUBECTL_CACHE,
            kubeconfig::kubectl_cache(layout.state()),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run kubectl")?;
    let mut pipe = child.stdin.take().context("kubectl has no input")?;
    pipe.write_all(stdin.as_bytes()).await?;
    drop(pipe);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "kubectl {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_have_the_version_that_the_proxy_is_built_with() {
        let version = version().unwrap();
        assert!(version.starts_with("v1."), "{version}");
    }
}
