//! What the controller relies on of an API server, asked of the simulated one through a real client.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams},
    core::WatchEvent,
};
use serde_json::{Value, json};

use crate::{
    conformance::{answers::Answers, play, script::themes},
    manifests,
};

use super::{
    entropy, rights, transport,
    world::{self, Run, Shared},
};
use tidegate::{
    api::names::{ApiNames, Conventions, Kind},
    caches,
    sim::{
        resources,
        world::{Entry, Nature},
    },
};

struct Server {
    client: Client,
    shared: Shared,
}

impl Server {
    fn of(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            "default",
            &ApiNames::default().resource(kind),
        )
    }

    fn sets(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), "default", &caches::replica_sets())
    }
}

fn object(kind: &str, name: &str, rest: Value) -> DynamicObject {
    let version = match kind {
        "ReplicaSet" => "apps/v1",
        _ => "tidegate.dev/v1alpha1",
    };
    let mut object = match kind {
        "Rollout" => manifests::good(Kind::Rollout),
        _ => json!({"apiVersion": version, "kind": kind, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "none"}},
            "template": {"metadata": {"labels": {"app": "none"}}, "spec": {"containers": [{"name": "none", "image": "none"}]}},
        }}),
    };
    object["metadata"] = json!({"name": name});
    json_patch::merge(&mut object, &rest);
    serde_json::from_value(object).expect("an object")
}

/// A client of somebody who may do everything, and says so unless the request is in the name of somebody else.
fn admin(shared: &Shared) -> Client {
    let client = transport::client(shared);
    let service = tower::service_fn(move |mut request: http::Request<kube::client::Body>| {
        let client = client.clone();
        request
            .headers_mut()
            .entry("impersonate-user")
            .or_insert(http::HeaderValue::from_static(rights::ADMIN));
        async move { client.send(request).await }
    });
    Client::new(service, "default")
}

/// Runs `ask` against a server of its own.
fn ask<T: Send + 'static>(ask: impl AsyncFnOnce(Server) -> T + Send + 'static) -> T {
    entropy::seeded(1, move || async move {
        let nature = Nature {
            grace: Duration::ZERO,
            bring_back: Duration::ZERO,
            entry: Entry::Service("none".to_owned()),
            ..Nature::default()
        };
        let shared = Run::begin(1, "2026-01-02T03:04:05Z".parse().expect("a time"), nature);
        let actors = tokio::spawn(world::live(shared.clone()));
        let server = Server {
            client: admin(&shared),
            shared: shared.clone(),
        };
        let answer = ask(server).await;
        actors.abort();
        answer
    })
}

fn code<T>(result: Result<T, kube::Error>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
    }
}

fn merge() -> PatchParams {
    PatchParams::default()
}

#[test]
fn a_patch_is_bound_to_the_version_it_names() {
    let codes = ask(async |server| {
        let api = server.of(Kind::Rollout);
        let created = api
            .create(&PostParams::default(), &object("Rollout", "web", json!({})))
            .await
            .expect("created");
        let version = created.metadata.resource_version.expect("a version");
        let bound = |replicas: i32| json!({"metadata": {"resourceVersion": version.clone()}, "spec": {"replicas": replicas}});
        let as_list = |replicas: i32| -> Patch<Value> {
            let operations = json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/spec/replicas", "value": replicas},
            ]);
            Patch::Json(serde_json::from_value(operations).expect("a patch"))
        };
        [
            code(api.patch("web", &merge(), &Patch::Merge(bound(2))).await),
            code(api.patch("web", &merge(), &Patch::Merge(bound(3))).await),
            code(api.patch("web", &merge(), &as_list(3)).await),
            code(api.patch("none", &merge(), &Patch::Merge(bound(3))).await),
        ]
    });
    assert_eq!(codes, [200, 409, 409, 404]);
}

#[test]
fn a_write_that_changes_nothing_leaves_no_trace() {
    let same = ask(async |server| {
        let api = server.of(Kind::Rollout);
        let created = api
            .create(
                &PostParams::default(),
                &object("Rollout", "web", json!({"spec": {"replicas": 2}})),
            )
            .await
            .expect("created");
        let patch = Patch::Merge(json!({"spec": {"replicas": 2}}));
        let patched = api.patch("web", &merge(), &patch).await.expect("patched");
        created.metadata.resource_version == patched.metadata.resource_version
    });
    assert!(same);
}

#[test]
fn spec_and_status_are_written_apart_and_only_the_spec_has_generations() {
    let seen = ask(async |server| {
        let api = server.of(Kind::Rollout);
        let both = json!({"spec": {"replicas": 2}, "status": {"message": "m"}});
        let mut seen = Vec::new();
        let mut note = |object: DynamicObject| {
            seen.push((
                object.metadata.generation,
                object.data["spec"]["replicas"].as_i64(),
                object.data["status"]["message"].as_str().map(str::to_owned),
            ));
        };
        let params = PostParams::default();
        note(
            api.create(&params, &object("Rollout", "web", both))
                .await
                .expect("created"),
        );
        let both = Patch::Merge(json!({"spec": {"replicas": 3}, "status": {"message": "n"}}));
        note(
            api.patch_status("web", &merge(), &both)
                .await
                .expect("patched"),
        );
        note(api.patch("web", &merge(), &both).await.expect("patched"));
        seen
    });
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            (Some(1), Some(2), None),
            (Some(1), Some(2), said("n")),
            (Some(2), Some(3), said("n"))
        ]
    );
}

#[test]
fn a_name_is_given_once() {
    let codes = ask(async |server| {
        let (api, params) = (server.sets(), PostParams::default());
        let set = object("ReplicaSet", "one", json!({}));
        [
            code(api.create(&params, &set).await),
            code(api.create(&params, &set).await),
        ]
    });
    assert_eq!(codes, [200, 409]);
}

#[test]
fn a_delete_is_bound_to_the_uid_it_names() {
    let codes = ask(async |server| {
        let api = server.sets();
        let set = object("ReplicaSet", "one", json!({}));
        let created = api
            .create(&PostParams::default(), &set)
            .await
            .expect("created");
        let of = |uid: Option<String>| DeleteParams {
            preconditions: Some(kube::api::Preconditions {
                uid,
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        [
            code(api.delete("one", &of(Some("another".to_owned()))).await),
            code(api.delete("one", &of(created.metadata.uid)).await),
            code(api.delete("one", &of(None)).await),
        ]
    });
    assert_eq!(codes, [409, 200, 404]);
}

#[test]
fn what_is_owned_goes_with_its_owner_unless_it_is_orphaned() {
    let left = ask(async |server| {
        let (rollouts, sets) = (server.of(Kind::Rollout), server.sets());
        for (name, delete) in [
            ("one", DeleteParams::background()),
            ("two", DeleteParams::orphan()),
        ] {
            let rollout = object("Rollout", name, json!({}));
            let owner = rollouts
                .create(&PostParams::default(), &rollout)
                .await
                .expect("created");
            let owners = json!([{"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": name, "uid": owner.metadata.uid}]);
            let set = object(
                "ReplicaSet",
                name,
                json!({"metadata": {"ownerReferences": owners}}),
            );
            sets.create(&PostParams::default(), &set)
                .await
                .expect("created");
            rollouts.delete(name, &delete).await.expect("deleted");
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let left = sets.list(&ListParams::default()).await.expect("a list");
        left.items
            .into_iter()
            .filter_map(|set| set.metadata.name)
            .collect::<Vec<_>>()
    });
    assert_eq!(left, ["two"]);
}

#[test]
fn a_watch_tells_what_enters_and_leaves_its_selector() {
    let events = ask(async |server| {
        let api = server.sets();
        let list = api.list(&ListParams::default()).await.expect("a list");
        let from = list.metadata.resource_version.expect("a version");
        let params = WatchParams::default().labels("mine").timeout(30);
        let watch = api.watch(&params, &from).await.expect("a watch");
        let set = object("ReplicaSet", "one", json!({}));
        api.create(&PostParams::default(), &set)
            .await
            .expect("created");
        for labels in [
            json!({"mine": ""}),
            json!({"other": ""}),
            json!({"mine": null}),
        ] {
            let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
            api.patch("one", &merge(), &patch).await.expect("patched");
        }
        let name = |event| match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            WatchEvent::Bookmark(_) => "bookmark",
            WatchEvent::Error(_) => "error",
        };
        watch
            .map_ok(name)
            .map(|event| event.expect("an event"))
            .collect::<Vec<_>>()
            .await
    });
    assert_eq!(events, ["added", "modified", "deleted"]);
}

#[test]
fn what_is_not_modelled_is_refused_loudly() {
    let complaints = ask(async |server| {
        let api = server.sets();
        let params = ListParams::default().fields("status.phase=one");
        assert_eq!(
            resources::named(Conventions::Tidegate, "replicasets").kind,
            "ReplicaSet"
        );
        api.list(&params).await.expect_err("refused");
        server.shared.lock().complaints.len()
    });
    assert_eq!(complaints, 1);
}

#[test]
fn it_answers_as_a_real_server_did() {
    let played = ask(async |server| {
        let mut played = Vec::new();
        for theme in themes() {
            let namespace = |number: usize| {
                let name = format!("{}-{number}", theme.name.replace('_', "-"));
                async move { name }
            };
            let answers = play::theme(&server.client, &theme, namespace).await;
            played.push((theme.name, answers));
        }
        played
    });
    let scripts: usize = played.iter().map(|(_, answers)| answers.count()).sum();
    let differences: Vec<String> = played
        .iter()
        .flat_map(|(theme, answers)| {
            let found = answers.differences(&Answers::kept(theme)).into_iter();
            found.map(move |text| format!("{theme}: {text}"))
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {scripts} scripts differ:\n{}",
        differences.len(),
        differences.join("\n\n")
    );
    assert!(scripts >= 150, "{scripts} scripts are too few");
}
