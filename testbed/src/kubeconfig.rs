//! Kubeconfig files: the admin's, and those of ServiceAccounts with a token from the TokenRequest API.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

/// The variable that tells kubectl where to keep what it has learnt of a server. By default that is by the server's address
/// in the home folder, and all testbeds have the same few addresses.
pub const KUBECTL_CACHE: &str = "KUBECACHEDIR";

/// The value of [`KUBECTL_CACHE`] for a testbed with this state folder.
pub fn kubectl_cache(state: &Path) -> PathBuf {
    state.join("kubectl")
}

/// Writes a kubeconfig that reaches `url`, trusts `ca` and shows `token`.
pub fn write(path: &Path, url: &str, ca: &Path, token: &str) -> Result<()> {
    let text = render(url, ca, token)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn render(url: &str, ca: &Path, token: &str) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": [{"name": "testbed", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "current-context": "testbed",
    });
    serde_saphyr::to_string(&config).context("cannot write a kubeconfig as YAML")
}

/// A client for the kubeconfig at `path`.
pub async fn client(path: &Path) -> Result<Client> {
    let wrong = || format!("cannot use the kubeconfig {}", path.display());
    let kubeconfig = Kubeconfig::read_from(path).with_context(wrong)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(wrong)?;
    Client::try_from(config).with_context(wrong)
}

/// A token of a ServiceAccount, valid for `seconds` (the API server takes 600 or more).
pub async fn service_account_token(
    admin: Client,
    namespace: &str,
    name: &str,
    seconds: i64,
) -> Result<String> {
    let spec = TokenRequestSpec {
        expiration_seconds: Some(seconds),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest {
        spec: Some(spec),
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(admin, namespace);
    let answer = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .with_context(|| format!("no token for ServiceAccount {namespace}/{name}"))?;
    let token = answer.status.and_then(|status| status.token);
    token.with_context(|| format!("the answer has no token for ServiceAccount {namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_kubeconfig_is_read_back_by_the_client_library() {
        let text = render(
            "https://127.0.0.1:6443",
            Path::new("/state/pki/ca.crt"),
            "a: token",
        )
        .unwrap();
        let read = Kubeconfig::from_yaml(&text).unwrap();
        let cluster = read.clusters[0].cluster.clone().unwrap();
        assert_eq!(read.current_context.as_deref(), Some("testbed"));
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(
            cluster.certificate_authority.as_deref(),
            Some("/state/pki/ca.crt")
        );
    }
}
