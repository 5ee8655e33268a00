//! The testbed keeps what it promises to the tests that run in it. Run by `make test`, inside `testbed run`.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, PostParams},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testbed::{Options, Testbed, kubeconfig};
use tokio::{process::Command, time::Instant};

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

async fn create_namespace(client: Client, name: &str) {
    let namespace = Namespace {
        metadata: named(name),
        ..Namespace::default()
    };
    Api::all(client)
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

async fn config_maps(client: Client, namespace: &str) -> Vec<String> {
    let all = Api::<ConfigMap>::namespaced(client, namespace)
        .list(&ListParams::default())
        .await
        .unwrap();
    all.items
        .into_iter()
        .filter_map(|map| map.metadata.name)
        .filter(|name| name != "kube-root-ca.crt")
        .collect()
}

#[tokio::test]
async fn a_restarted_api_server_still_has_its_objects() {
    let shared = Testbed::attach_from_env().await.unwrap();
    let options = Options::own(shared.state().binaries.clone()).unwrap();
    let mut own = Testbed::start(options).await.unwrap();
    create_namespace(own.client(), "restart").await;
    let map = ConfigMap {
        metadata: named("kept"),
        ..ConfigMap::default()
    };
    Api::namespaced(own.client(), "restart")
        .create(&PostParams::default(), &map)
        .await
        .unwrap();

    own.stop_apiserver().await.unwrap();
    assert!(
        Api::<ConfigMap>::namespaced(own.client(), "restart")
            .get("kept")
            .await
            .is_err()
    );
    own.start_apiserver().await.unwrap();

    assert_eq!(config_maps(own.client(), "restart").await, ["kept"]);
    own.stop().await.unwrap();
}

#[tokio::test]
async fn the_shared_api_server_is_not_restarted_by_a_test() {
    let mut shared = Testbed::attach_from_env().await.unwrap();
    let refused = shared.stop_apiserver().await.unwrap_err().to_string();
    assert!(
        refused.contains("start a testbed of one's own"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_service_account_may_do_what_its_rules_say_and_is_named_in_the_audit_log() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    create_namespace(testbed.client(), "identity").await;
    let account = ServiceAccount {
        metadata: named("nobody"),
        ..ServiceAccount::default()
    };
    Api::namespaced(testbed.client(), "identity")
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    testbed
        .service_account_kubeconfig("identity", "nobody", None, &path)
        .await
        .unwrap();

    let client = kubeconfig::client(&path).await.unwrap();
    let refused = Api::<Secret>::namespaced(client, "identity")
        .list(&ListParams::default())
        .await
        .unwrap_err();

    let kube::Error::Api(status) = refused else {
        unreachable!("not an answer of the API server: {refused}")
    };
    assert_eq!(status.code, 403);
    wait_for_line(
        testbed.audit_log_path(),
        &[
            "system:serviceaccount:identity:nobody",
            "\"resource\":\"secrets\"",
        ],
    )
    .await;
}

async fn wait_for_line(file: &Path, words: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = std::fs::read_to_string(file).unwrap();
        if text
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "no line with {words:?} in {}",
            file.display()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn every_pod_address_is_ours_and_one_without_a_listener_refuses_at_once() {
    let address: SocketAddr = "10.244.77.3:8080".parse().unwrap();
    let connect = async || {
        tokio::time::timeout(
            Duration::from_secs(2),
            tokio::net::TcpStream::connect(address),
        )
        .await
    };
    let refused = connect().await.expect("must not hang").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    connect().await.expect("must not hang").unwrap();
    drop(listener);
}

#[tokio::test]
async fn nothing_leaves_the_namespace() {
    let outside: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let error = tokio::net::TcpStream::connect(outside).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
}

/// The command lines of all processes that use `folder`.
fn users_of(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    // A process that ends while it is looked at is gone too.
    let commands =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = commands.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    lines.filter(|line| line.contains(&folder)).collect()
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not after a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_ended_testbed_leaves_no_process() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut testbed = Command::new(env!("CARGO_BIN_EXE_testbed"))
            .args(["run", "--state"])
            .arg(&state)
            .args(["--", "sleep", "600"])
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        wait_until("ready", || state.join("testbed.json").is_file()).await;
        assert!(
            users_of(&state).iter().any(|line| line.contains("etcd")),
            "{:?}",
            users_of(&state)
        );

        let pid = i32::try_from(testbed.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        testbed.wait().await.unwrap();

        wait_until("no process left", || users_of(&state).is_empty()).await;
    }
}
