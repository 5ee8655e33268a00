//! The answers that the simulated API server is held against are those of a real one.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use testbed::Testbed;

use super::kubectl::install_crds;
use crate::conformance::{answers::Answers, play, script::themes};

/// Keeps what the real server answers, in the place of what was kept.
const KEEP: &str = "TIDEGATE_KEEP_ANSWERS";

/// An admin's client that takes 429 for an answer.
async fn impatient(testbed: &Testbed) -> Client {
    let kubeconfig = Kubeconfig::read_from(testbed.kubeconfig_path()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_real_server_answers_as_it_did() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    let themes = themes();
    let client = impatient(&testbed).await;
    let made = AtomicUsize::new(0);
    let namespace = |name: String| {
        let (client, made) = (client.clone(), &made);
        async move {
            let number = made.fetch_add(1, Ordering::Relaxed);
            let name = format!("conformance-{number}-{name}").replace('_', "-");
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let request = http::Request::post("/api/v1/namespaces")
                .header("content-type", "application/json")
                .body(body.to_string().into_bytes());
            client.request::<Value>(request.unwrap()).await.unwrap();
            name
        }
    };
    let played = join_all(themes.iter().map(|theme| {
        let client = &client;
        let namespace = &namespace;
        async move { play::theme(client, theme, |_| namespace(theme.name.clone())).await }
    }))
    .await;

    let mut differences = Vec::new();
    for (theme, answers) in themes.iter().zip(&played) {
        if env::var_os(KEEP).is_some() {
            answers.keep(&theme.name);
        }
        let found = answers.differences(&Answers::kept(&theme.name));
        differences.extend(
            found
                .into_iter()
                .map(|text| format!("{}: {text}", theme.name)),
        );
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
