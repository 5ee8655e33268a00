//! The real kubectl against the testbed.

use std::process::Stdio;

use kube::{
    Api,
    api::{DynamicObject, ListParams},
};
use testbed::{
    Program, Testbed,
    kubeconfig::{KUBECTL_CACHE, kubectl_cache},
};
use tidegate::api::names::{ApiNames, Kind};
use tokio::{io::AsyncWriteExt, process::Command, sync::OnceCell};

use super::harness::{SOON, eventually};

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program of the testbed as the admin, with `stdin`.
pub async fn run(testbed: &Testbed, program: Program, args: &[&str], stdin: &str) -> Said {
    let mut child = Command::new(testbed.bin(program).unwrap())
        .args(args)
        .env("KUBECONFIG", testbed.kubeconfig_path())
        .env(KUBECTL_CACHE, kubectl_cache(&testbed.state().folder))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(stdin.as_bytes()).await.unwrap();
    drop(pipe);
    let output = child.wait_with_output().await.unwrap();
    Said {
        ok: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs kubectl.
pub async fn kubectl(testbed: &Testbed, args: &[&str], stdin: &str) -> Said {
    run(testbed, Program::Kubectl, args, stdin).await
}

/// Applies `crds/` as a person would, once per test run, and waits until the kinds are served.
pub async fn install_crds(testbed: &Testbed) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(|| apply_crds(testbed)).await;
}

/// Applies the definitions of Argo Rollouts' group, once per test run.
pub async fn install_argo_crds(testbed: &Testbed) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/charts/tidegate/files/argoproj.io"
    );
    let names = ApiNames::argo_rollouts();
    INSTALLED
        .get_or_init(|| async { apply_folder(testbed, folder, &names).await })
        .await;
}

/// Applies `crds/`, to a testbed that only one test uses.
pub async fn apply_crds(testbed: &Testbed) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    apply_folder(testbed, folder, &ApiNames::default()).await;
}

async fn apply_folder(testbed: &Testbed, folder: &str, names: &ApiNames) {
    let applied = kubectl(testbed, &["apply", "-f", folder], "").await;
    assert!(applied.ok, "{}", applied.stderr);
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "-f",
        folder,
    ];
    let established = kubectl(testbed, &wait, "").await;
    assert!(established.ok, "{}", established.stderr);
    // A kind that is established may still answer 429 "storage is (re)initializing" for a moment.
    for kind in Kind::ALL {
        let resource = names.resource(kind);
        let api: Api<DynamicObject> = Api::all_with(testbed.client(), &resource);
        eventually(SOON, &format!("{} are listed", kind.plural()), || async {
            let listed = api.list_metadata(&ListParams::default()).await;
            listed.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}
