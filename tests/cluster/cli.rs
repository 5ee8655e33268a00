//! The program against a real API server: what people ask for is written, and nothing that others wrote is lost.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testbed::Testbed;
use tidegate::api::names::{ApiNames, Kind};
use tokio::process::Command;

use super::{
    harness::{App, World},
    kubectl::{Said, install_crds},
};
use crate::manifests::good;

/// A Rollout that no controller looks at; the test plays the controller.
struct Scene {
    testbed: Testbed,
    api: Api<DynamicObject>,
    name: String,
}

impl Scene {
    async fn new() -> Self {
        let testbed = Testbed::attach_from_env().await.unwrap();
        install_crds(&testbed).await;
        let resource = ApiNames::default().resource(Kind::Rollout);
        let api: Api<DynamicObject> = Api::namespaced_with(testbed.client(), "default", &resource);
        let rollout = serde_json::from_value(good(Kind::Rollout)).unwrap();
        let created = api.create(&PostParams::default(), &rollout).await.unwrap();
        Self {
            testbed,
            api,
            name: created.metadata.name.unwrap(),
        }
    }

    async fn tidegate(&self, args: &[&str]) -> (Option<i32>, Said) {
        let args: Vec<&str> = args
            .iter()
            .map(|arg| if *arg == "NAME" { &self.name } else { *arg })
            .collect();
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .env("KUBECONFIG", self.testbed.kubeconfig_path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = Said {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        (output.status.code(), said)
    }

    async fn object(&self) -> DynamicObject {
        self.api.get(&self.name).await.unwrap()
    }

    async fn request(&self) -> Value {
        let object = self.object().await;
        let annotations = object.metadata.annotations.unwrap_or_default();
        serde_json::from_str(&annotations[&ApiNames::default().request]).unwrap()
    }

    /// Writes the status, as the controller would.
    async fn status(&self, mut status: Value) {
        status["observedGeneration"] = json!(self.object().await.metadata.generation);
        let patch = Patch::Merge(json!({ "status": status }));
        self.api
            .patch_status(&self.name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Answers the next request that appears.
    async fn answer(&self, accepted: bool) {
        let key = ApiNames::default().request;
        let found = kube::runtime::wait::await_condition(
            self.api.clone(),
            &self.name,
            move |object: Option<&DynamicObject>| {
                object
                    .and_then(|object| object.metadata.annotations.as_ref())
                    .is_some_and(|all| all.contains_key(&key))
            },
        );
        tokio::time::timeout(std::time::Duration::from_secs(30), found)
            .await
            .unwrap()
            .unwrap();
        let request = self.request().await;
        self.status(json!({ "lastHandledRequest": {
            "id": request["id"], "verb": request["verb"], "accepted": accepted, "message": "seen", "at": "2026-01-01T00:00:00Z",
        } }))
        .await;
    }
}

#[tokio::test]
async fn a_request_says_what_was_seen_and_who_asks() {
    let scene = Scene::new().await;
    scene
        .status(json!({ "currentPodHash": "abc", "currentStepIndex": 2 }))
        .await;
    let (code, said) = scene
        .tidegate(&["promote", "NAME", "--full", "--no-wait"])
        .await;
    let request = scene.request().await;
    assert_eq!(code, Some(0), "{said:?}");
    assert_eq!(
        [
            &request["verb"],
            &request["revision"],
            &request["step"],
            &request["by"]
        ],
        [
            &json!("promote-full"),
            &json!("abc"),
            &json!(2),
            &json!("admin")
        ]
    );
}

#[tokio::test]
async fn the_controllers_answer_is_the_commands_answer() {
    for (accepted, expected, says) in [
        (true, Some(0), "promote: seen"),
        (false, Some(1), "was refused: seen"),
    ] {
        let scene = Scene::new().await;
        let ((code, said), ()) =
            tokio::join!(scene.tidegate(&["promote", "NAME"]), scene.answer(accepted));
        assert_eq!(code, expected, "{said:?}");
        assert!(
            format!("{}{}", said.stdout, said.stderr).contains(says),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn a_promote_does_not_overwrite_an_abort_that_is_not_handled() {
    let scene = Scene::new().await;
    scene.tidegate(&["abort", "NAME", "--no-wait"]).await;
    let (code, said) = scene.tidegate(&["promote", "NAME", "--no-wait"]).await;
    assert_eq!(code, Some(1), "{said:?}");
    assert!(
        said.stderr
            .contains("has an abort that is not handled yet (asked by admin)"),
        "{said:?}"
    );
    assert_eq!(scene.request().await["verb"], json!("abort"));
}

#[tokio::test]
async fn pause_resume_and_set_image_change_the_spec() {
    let scene = Scene::new().await;
    let (code, said) = scene.tidegate(&["pause", "NAME"]).await;
    assert_eq!(
        (code, &scene.object().await.data["spec"]["paused"]),
        (Some(0), &json!(true)),
        "{said:?}"
    );
    let (code, said) = scene.tidegate(&["resume", "NAME"]).await;
    assert_eq!(
        (code, &scene.object().await.data["spec"]["paused"]),
        (Some(0), &json!(false)),
        "{said:?}"
    );
    let (code, said) = scene.tidegate(&["set-image", "NAME", "demo=demo:v2"]).await;
    let image =
        scene.object().await.data["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!((code, image), (Some(0), json!("demo:v2")), "{said:?}");
}

#[tokio::test]
async fn status_ends_with_the_phase_in_its_exit_code() {
    for (phase, args, expected) in [
        ("Healthy", &["status", "NAME"] as &[&str], Some(0)),
        ("Degraded", &["status", "NAME"], Some(1)),
        ("Paused", &["status", "NAME", "--watch=false"], Some(3)),
        (
            "Progressing",
            &["status", "NAME", "--timeout", "1s"],
            Some(3),
        ),
    ] {
        let scene = Scene::new().await;
        scene
            .status(json!({ "phase": phase, "message": "because" }))
            .await;
        let (code, said) = scene.tidegate(args).await;
        assert_eq!(code, expected, "{phase}: {said:?}");
        assert!(
            said.stdout.contains(&format!("{phase}: because")),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn status_waits_for_the_phase_to_come() {
    let scene = Scene::new().await;
    scene.status(json!({ "phase": "Progressing" })).await;
    let waiting = scene.tidegate(&["status", "NAME", "--timeout", "30s"]);
    let healthy = scene.status(json!({ "phase": "Healthy" }));
    let ((code, said), ()) = tokio::join!(waiting, healthy);
    assert_eq!(code, Some(0), "{said:?}");
}

#[tokio::test]
async fn get_and_explain_read_what_is_there() {
    let scene = Scene::new().await;
    scene
        .status(
            json!({ "phase": "Paused", "message": "CanaryPauseStep", "waitingFor": "a person" }),
        )
        .await;
    for (args, says) in [
        (&["get", "NAME"] as &[&str], "Phase:        ॥ Paused"),
        (&["get"], "॥ Paused"),
        (&["get", "-A"], "NAMESPACE"),
        (
            &["get", "NAME", "-o", "json"],
            "\"waitingFor\": \"a person\"",
        ),
        (&["get", "NAME", "-o", "yaml"], "waitingFor: a person"),
        (&["explain", "NAME"], "Waiting for:   a person"),
    ] {
        let (code, said) = scene.tidegate(args).await;
        assert!(
            code == Some(0) && said.stdout.contains(says),
            "{args:?}: {said:?}"
        );
    }
}

#[tokio::test]
async fn a_rollout_that_does_not_exist_is_named() {
    let scene = Scene::new().await;
    let (code, said) = scene.tidegate(&["explain", "nobody"]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.stderr
            .contains("Rollout default/nobody does not exist"),
        "{said:?}"
    );
}

#[tokio::test]
async fn undo_brings_back_the_replica_set_of_the_revision() {
    let world = World::new("undo").await;
    let _controller = world.controller().await;
    let first = world.deploy(&App::canary(1, json!([]))).await;
    let sets = || async {
        let sets = world.list("replicasets").await;
        let mut names: Vec<String> = sets
            .iter()
            .map(|set| set["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    world.set_image("demo:v2").await;
    let second = world.healthy().await;
    let before = sets().await;

    for (args, says, to) in [
        (
            &["undo", "demo"] as &[&str],
            "revision 1 again",
            first.stable(),
        ),
        (
            &["undo", "demo", "--to-revision", "2"],
            "revision 2 again",
            second.stable(),
        ),
        (
            &["undo", "demo", "--to-revision", "3"],
            "revision 3 again",
            first.stable(),
        ),
    ] {
        let said = world.ask(args).await;
        assert!(said.stdout.contains(says), "{said:?}");
        let rollout = world.healthy().await;
        assert_eq!(rollout.stable(), to, "{args:?}");
        assert_eq!(sets().await, before, "{args:?}");
    }
    world.serves("v1").await;
    for (revision, says) in [
        (
            "5",
            "Rollout demo is at revision 5 already: spec.template is as it was then",
        ),
        ("9", "Rollout demo has no revision 9; it has 4, 5"),
    ] {
        let said = world
            .tidegate(&["undo", "demo", "--to-revision", revision])
            .await;
        assert!(!said.ok && said.stderr.contains(says), "{said:?}");
    }
}
