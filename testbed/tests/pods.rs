//! Pods under the real controllers, and the fault proxy before a real API server.

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api,
    api::{ListParams, ObjectMeta, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use testbed::{
    Options, Testbed,
    fault_proxy::{Cut, FaultProxy, FaultProxyOptions, Then},
    kubeconfig,
};
use tokio::time::{Duration, Instant, timeout};

use super::create_namespace;

const DEADLINE: Duration = Duration::from_secs(30);

fn deployment(image: &str, replicas: usize) -> Deployment {
    let container = json!({
        "name": "app", "image": image,
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
    });
    object(json!({"metadata": {"name": "demo"}, "spec": {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "demo"}},
        "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [container]}},
    }}))
}

fn job(script: &str) -> Job {
    let container = json!({"name": "job", "image": "busybox", "command": ["sh", "-c", script]});
    let pod = json!({"restartPolicy": "Never", "containers": [container]});
    object(
        json!({"metadata": {"name": "job"}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}),
    )
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Runs a Job to its end: whether it succeeded, and its pod's exit code.
async fn run_job(testbed: &Testbed, namespace: &str, script: &str) -> (bool, i32) {
    create_namespace(testbed.client(), namespace).await;
    let jobs: Api<Job> = Api::namespaced(testbed.client(), namespace);
    jobs.create(&PostParams::default(), &job(script))
        .await
        .unwrap();
    let ended = |job: Option<&Job>| condition(job, "Complete") || condition(job, "Failed");
    let job = timeout(DEADLINE, await_condition(jobs, "job", ended))
        .await
        .unwrap()
        .unwrap();
    let pods = pods(testbed, namespace).await;
    let state = pods[0]
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap()[0]
        .state
        .clone();
    (
        condition(job.as_ref(), "Complete"),
        state.unwrap().terminated.unwrap().exit_code,
    )
}

fn condition(job: Option<&Job>, name: &str) -> bool {
    job.and_then(|job| job.status.as_ref()?.conditions.as_ref())
        .is_some_and(|all| {
            all.iter()
                .any(|one| one.type_ == name && one.status == "True")
        })
}

async fn pods(testbed: &Testbed, namespace: &str) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(testbed.client(), namespace);
    api.list(&ListParams::default()).await.unwrap().items
}

async fn wait_for_ready_replicas(testbed: &Testbed, namespace: &str, replicas: i32) {
    let api: Api<Deployment> = Api::namespaced(testbed.client(), namespace);
    let ready = move |deployment: Option<&Deployment>| {
        deployment.and_then(|deployment| deployment.status.as_ref()?.ready_replicas)
            == Some(replicas)
    };
    timeout(DEADLINE, await_condition(api, "demo", ready))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_job_ends_as_its_script_says() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    assert_eq!(
        run_job(&testbed, "job-good", "sleep 0.2; exit 0").await,
        (true, 0)
    );
    assert_eq!(
        run_job(&testbed, "job-bad", "sleep 0.2; exit 3").await,
        (false, 3)
    );
}

#[tokio::test]
async fn a_crashing_pod_restarts_again_and_again_and_is_never_ready() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    create_namespace(testbed.client(), "crash-loop").await;
    let deployments: Api<Deployment> = Api::namespaced(testbed.client(), "crash-loop");
    deployments
        .create(&PostParams::default(), &deployment("demo:v1-crash", 1))
        .await
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut restarts = 0;
    while restarts < 2 {
        assert!(Instant::now() < deadline, "{restarts} restarts");
        tokio::time::sleep(Duration::from_millis(50)).await;
        for status in pods(&testbed, "crash-loop")
            .await
            .iter()
            .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()?.first())
        {
            assert!(!status.ready, "{status:?}");
            restarts = restarts.max(status.restart_count);
        }
    }
}

#[tokio::test]
async fn pods_go_on_when_the_api_server_restarts() {
    let shared = Testbed::attach_from_env().await.unwrap();
    let mut own = Testbed::start(Options::own(shared.state().binaries.clone()).unwrap())
        .await
        .unwrap();
    create_namespace(own.client(), "restart").await;
    let deployments: Api<Deployment> = Api::namespaced(own.client(), "restart");
    deployments
        .create(&PostParams::default(), &deployment("demo:v1", 2))
        .await
        .unwrap();
    wait_for_ready_replicas(&own, "restart", 2).await;
    let names =
        |pods: Vec<Pod>| -> Vec<_> { pods.into_iter().map(|pod| pod.metadata.uid).collect() };
    let before = names(pods(&own, "restart").await);

    own.stop_apiserver().await.unwrap();
    own.start_apiserver().await.unwrap();

    deployments
        .patch_scale(
            "demo",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(json!({"spec": {"replicas": 4}})),
        )
        .await
        .unwrap();
    wait_for_ready_replicas(&own, "restart", 4).await;
    let after = names(pods(&own, "restart").await);
    assert_eq!(after.len(), 4);
    assert!(before.iter().all(|uid| after.contains(uid)));
    own.stop().await.unwrap();
}

#[tokio::test]
async fn a_write_cut_after_its_commit_is_there_and_one_cut_before_is_not() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    create_namespace(testbed.client(), "fault-proxy").await;
    let before_testbed = FaultProxyOptions::before(&testbed).unwrap();
    let proxy = FaultProxy::start(before_testbed).await.unwrap();
    let client = client_of(&proxy, &testbed).await;
    let through: Api<ConfigMap> = Api::namespaced(client, "fault-proxy");
    let direct: Api<ConfigMap> = Api::namespaced(testbed.client(), "fault-proxy");

    for (name, cut, there) in [
        ("before", Cut::Before, false),
        ("after", Cut::AfterCommit, true),
    ] {
        proxy.cut_at(1, cut, Then::GoOn);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        let heard = through.create(&PostParams::default(), &map).await;
        assert!(heard.is_err(), "{cut:?}: {heard:?}");
        assert_eq!(
            direct.get_opt(name).await.unwrap().is_some(),
            there,
            "{cut:?}"
        );
    }
    assert_eq!(
        through
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

/// The admin's client, through the proxy.
async fn client_of(proxy: &FaultProxy, testbed: &Testbed) -> kube::Client {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    kubeconfig::write(&path, &proxy.url(), &testbed.state().ca, testbed.token()).unwrap();
    kubeconfig::client(&path).await.unwrap()
}
