//! What each actor does in a small cluster.

use serde_json::{Value, json};

use super::*;
use crate::sim::{
    nature::{Nature, Span},
    tests::{change, create, get, rollout, seconds, set, template, until, world},
    traffic::{Load, rate::Rate},
    world::Happened,
};

fn notes(world: &mut World) -> Vec<String> {
    let events = std::mem::take(&mut world.events);
    let notes = events.into_iter().filter_map(|event| match event.what {
        Happened::Note(text) => Some(text),
        Happened::Change(_) | Happened::Complaint(_) | Happened::Lost(_) => None,
    });
    notes.collect()
}

/// How many pods of the set are ready, are available, and how often their containers crashed, at each of these seconds.
fn course(image: &str, nature: Nature, min_ready: u64, times: &[u64]) -> Vec<(i64, i64, u64)> {
    let mut world = world(nature);
    let mut manifest = set("one", image, 3);
    manifest["spec"]["minReadySeconds"] = json!(min_ready);
    create(&mut world, manifest);
    let at = |time: &u64| {
        until(&mut world, seconds(*time));
        let status = get(&world, "replicasets", "one")["status"].clone();
        let restarts = world.store.list("pods").map(|(_, pod)| {
            pod["status"]["containerStatuses"][0]["restartCount"]
                .as_u64()
                .unwrap_or(0)
        });
        let count = |field: &str| status[field].as_i64().unwrap_or(0);
        (
            count("readyReplicas"),
            count("availableReplicas"),
            restarts.sum(),
        )
    };
    times.iter().map(at).collect()
}

#[test]
fn pods_do_what_their_image_says() {
    let quiet = Nature::default;
    for (image, min_ready, times, expected) in [
        ("web:1", 0, [1, 4, 60], [(0, 0, 0), (3, 3, 0), (3, 3, 0)]),
        ("web:1", 10, [4, 10, 15], [(3, 0, 0), (3, 0, 0), (3, 3, 0)]),
        (
            "web:1-slow20",
            0,
            [4, 19, 30],
            [(0, 0, 0), (0, 0, 0), (3, 3, 0)],
        ),
        ("web:1-unready", 0, [4, 60, 600], [(0, 0, 0); 3]),
        ("web:1-pull", 0, [4, 60, 600], [(0, 0, 0); 3]),
        // Again after 1, 10, 20 and 40 s.
        (
            "web:1-crash",
            0,
            [4, 20, 90],
            [(0, 0, 6), (0, 0, 9), (0, 0, 15)],
        ),
    ] {
        let found = course(image, quiet(), min_ready, &times);
        let first =
            |all: &[(i64, i64, u64)]| all.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>();
        assert_eq!(first(&found)[1..], first(&expected)[1..], "{image}");
        assert_eq!(found[2].2, expected[2].2, "{image}: {found:?}");
    }
}

#[test]
fn readiness_comes_and_goes_and_containers_crash() {
    let times: Vec<u64> = (5..=120).collect();
    let flapping = course("web:1-flap10", Nature::default(), 0, &times);
    assert!(flapping.iter().any(|(ready, ..)| *ready < 3));
    assert!(flapping.iter().any(|(ready, ..)| *ready == 3));
    let crashing = Nature {
        crashes: Some(Span::millis(20_000, 60_000)),
        ..Nature::default()
    };
    let crashing = course("web:1", crashing, 0, &times);
    assert!(
        crashing
            .last()
            .is_some_and(|(_, _, restarts)| *restarts >= 3)
    );
    assert!(crashing.iter().any(|(ready, ..)| *ready == 3));
}

#[test]
fn pods_of_a_lost_node_are_replaced_on_others() {
    let mut world = world(Nature::default());
    create(&mut world, set("one", "web:1", 6));
    until(&mut world, seconds(5));
    let on_first = |world: &World| {
        let pods = world.store.list("pods");
        pods.filter(|(_, pod)| pod["spec"]["nodeName"] == "node-0")
            .count()
    };
    assert!(on_first(&world) > 0);
    world.plan(Duration::ZERO, Due::Node(0, nodes::Step::Lost));
    until(&mut world, seconds(6));
    let ready = |world: &World| get(world, "replicasets", "one")["status"]["readyReplicas"].clone();
    // Nobody knows yet.
    assert_eq!(ready(&world), 6);
    until(&mut world, seconds(46));
    assert_ne!(ready(&world), 6);
    until(&mut world, seconds(120));
    assert_eq!((ready(&world), on_first(&world)), (json!(6), 0));
}

#[test]
fn a_full_quota_is_told_and_forgotten_when_there_is_room() {
    let mut world = world(Nature {
        quota: Some(2),
        ..Nature::default()
    });
    create(&mut world, set("one", "web:1", 3));
    until(&mut world, seconds(5));
    let status = get(&world, "replicasets", "one")["status"].clone();
    let condition = &status["conditions"][0];
    assert_eq!(
        (
            &status["readyReplicas"],
            &condition["type"],
            &condition["reason"]
        ),
        (&json!(2), &json!("ReplicaFailure"), &json!("FailedCreate"))
    );
    world.nature.quota = None;
    until(&mut world, seconds(20));
    let status = get(&world, "replicasets", "one")["status"].clone();
    assert_eq!(
        (&status["readyReplicas"], status["conditions"].is_null()),
        (&json!(3), true)
    );
}

fn deployment(image: &str) -> Value {
    let labels = json!({"app": "web"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template(&labels, image)},
    })
}

#[test]
fn a_deployment_has_the_pods_of_its_template() {
    let mut world = world(Nature::default());
    create(&mut world, deployment("web:1"));
    let course: Vec<(Value, Vec<String>)> = [10, 20, 30]
        .into_iter()
        .map(|time| {
            until(&mut world, seconds(time));
            let ready = get(&world, "deployments", "web")["status"]["readyReplicas"].clone();
            let images = world.store.list("pods");
            let mut images: Vec<String> = images
                .map(|(_, pod)| crate::sim::traffic::image(pod).to_owned())
                .collect();
            images.sort();
            change(&mut world, "deployments", "web", |deployment| {
                if time == 10 {
                    *deployment.pointer_mut("/spec/template").unwrap() =
                        template(&json!({"app": "web"}), "web:2");
                } else {
                    deployment["spec"]["replicas"] = json!(1);
                }
            });
            (ready, images)
        })
        .collect();
    let images = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        course,
        [
            (json!(2), images(&["web:1", "web:1"])),
            (json!(2), images(&["web:2", "web:2"])),
            (json!(1), images(&["web:2"])),
        ]
    );
}

#[test]
fn jobs_end_as_their_image_says() {
    let course = |image: &str, limit: u64, time: u64| {
        let mut world = world(Nature::default());
        create(
            &mut world,
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "check"},
                "spec": {"backoffLimit": limit, "template": template(&json!({"app": "check"}), image)},
            }),
        );
        until(&mut world, seconds(time));
        let conditions = &get(&world, "jobs", "check")["status"]["conditions"];
        let pods = world.store.list("pods").count();
        (
            conditions[0]["type"].as_str().unwrap_or("none").to_owned(),
            pods,
        )
    };
    for (image, limit, time, expected, pods) in [
        ("check:1", 0, 10, "Complete", 1),
        ("check:1-run30", 0, 10, "none", 1),
        ("check:1-run30", 0, 40, "Complete", 1),
        ("check:1-fail", 0, 10, "Failed", 1),
        ("check:1-fail", 1, 10, "none", 1),
        ("check:1-fail", 1, 30, "Failed", 2),
        ("check:1-pull", 0, 300, "none", 1),
    ] {
        assert_eq!(
            course(image, limit, time),
            (expected.to_owned(), pods),
            "{image} {limit} {time}"
        );
    }
}

#[test]
fn an_autoscaler_follows_the_load() {
    let mut world = world(Nature {
        load: Load {
            rate: Rate::Constant(30.0),
            ..Load::default()
        },
        ..Nature::default()
    });
    create(&mut world, set("one", "web:1", 2));
    create(
        &mut world,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        }),
    );
    create(
        &mut world,
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "one"},
                "minReplicas": 2, "maxReplicas": 5,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                    "type": "Utilization", "averageUtilization": 75,
                }}}],
            },
        }),
    );
    // A ReplicaSet's status has no selector: the autoscaler takes that of the target's scale.
    until(&mut world, seconds(5));
    world.open_traffic();
    let mut sizes = Vec::new();
    for (time, rate) in [(20, 30.0), (40, 300.0), (60, 1.0), (80, 1.0), (140, 1.0)] {
        world.count_requests();
        world.traffic.load.rate = Rate::Constant(rate);
        until(&mut world, seconds(time));
        sizes.push(
            get(&world, "replicasets", "one")["spec"]["replicas"]
                .as_i64()
                .unwrap(),
        );
    }
    // 30 requests per second take 4 pods at 75 %, 300 take all there may be; the highest of the last minute holds.
    assert_eq!(sizes, [4, 5, 5, 5, 2]);
}

fn wish(world: &mut World, after: u64, what: person::What) {
    let rollout = Key::new("rollouts", "default", "web");
    person::plan(world, seconds(after), person::Wish { rollout, what });
}

#[test]
fn a_person_gets_what_a_person_may_write() {
    use crate::api::request::Verb;
    let mut world = world(Nature::default());
    create(&mut world, rollout("web:1", 3));
    let mut live = get(&world, "rollouts", "web");
    live["status"] = json!({"currentPodHash": "abc", "currentStepIndex": 2});
    let key = Key::new("rollouts", "default", "web");
    world.commit(&crate::sim::store::Author::cluster(), &key, live);
    for (after, what) in [
        (1, person::What::Request(Verb::Promote)),
        (2, person::What::Pause(true)),
        (3, person::What::Scale(5)),
        (4, person::What::Image("web:2".to_owned())),
    ] {
        wish(&mut world, after, what);
    }
    until(&mut world, seconds(5));
    let live = get(&world, "rollouts", "web");
    let request = live["metadata"]["annotations"]["tidegate.dev/request"].as_str();
    let request: Value = serde_json::from_str(request.unwrap()).unwrap();
    assert_eq!(
        (&request["verb"], &request["revision"], &request["step"]),
        (&json!("promote"), &json!("abc"), &json!(2))
    );
    let spec = &live["spec"];
    let image = spec.pointer("/template/spec/containers/0/image");
    assert_eq!(
        (
            &spec["paused"],
            &spec["replicas"],
            image,
            &live["status"]["currentStepIndex"]
        ),
        (&json!(true), &json!(5), Some(&json!("web:2")), &json!(2))
    );
    wish(&mut world, 1, person::What::Delete { orphan: true });
    wish(&mut world, 2, person::What::CreateAgain);
    // Orphans are let go first.
    until(&mut world, seconds(6) + Duration::from_millis(500));
    assert!(get(&world, "rollouts", "web").is_null());
    until(&mut world, seconds(8));
    let again = get(&world, "rollouts", "web");
    assert_eq!((&again["spec"], again["status"].is_null()), (spec, true));
    wish(&mut world, 0, person::What::Scale(-1));
    until(&mut world, seconds(9));
    let told = notes(&mut world);
    assert!(
        told.iter()
            .any(|line| line.contains("a person: Pause(true)")),
        "{told:?}"
    );
}

#[test]
fn what_is_drawn_for_a_person_leaves_nothing_behind() {
    let key = Key::new("rollouts", "default", "web");
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let wishes = person::draw(&mut random, &key, 12, Span::millis(1_000, 9_000), &[]);
        assert!(wishes.is_sorted_by_key(|(at, _)| *at));
        let (mut paused, mut deleted) = (false, false);
        for (_, wish) in wishes {
            match wish.what {
                person::What::Pause(now) => paused = now,
                person::What::Delete { .. } => deleted = true,
                person::What::CreateAgain => deleted = false,
                person::What::Request(_) | person::What::Image(_) | person::What::Scale(_) => {}
            }
        }
        assert_eq!((paused, deleted), (false, false), "seed {seed}");
    }
}

#[test]
fn a_gitops_agent_makes_what_its_manifests_say() {
    let mut world = world(Nature::default());
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        })
    };
    let agent = gitops::Agent {
        every: seconds(10),
        manifests: vec![rollout("web:1", 3), service("web")],
        prunes: true,
        ignores: vec![("rollouts".to_owned(), "/spec/replicas".to_owned())],
        respects_marks: false,
    };
    gitops::begin(&mut world, agent);
    until(&mut world, seconds(12));
    // What it has made is touched by others.
    change(&mut world, "rollouts", "web", |rollout| {
        rollout["spec"]["replicas"] = json!(7);
        rollout["spec"]["paused"] = json!(true);
        rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:9");
    });
    change(&mut world, "services", "web", |service| {
        service["spec"]["selector"]["pin"] = json!("one");
    });
    let mut stray = service("stray");
    stray["metadata"]["labels"] = json!({"app.kubernetes.io/instance": "app"});
    create(&mut world, stray);
    create(&mut world, service("other"));
    until(&mut world, seconds(22));
    let live = get(&world, "rollouts", "web");
    let image = |live: &Value| {
        live.pointer("/spec/template/spec/containers/0/image")
            .cloned()
    };
    assert_eq!(
        (
            &live["spec"]["replicas"],
            &live["spec"]["paused"],
            image(&live)
        ),
        (&json!(7), &json!(true), Some(json!("web:1")))
    );
    assert_eq!(
        get(&world, "services", "web")["spec"]["selector"],
        json!({"app": "web"})
    );
    assert!(get(&world, "services", "stray").is_null());
    assert!(get(&world, "services", "other").is_object());
    // A person's change goes through the repository.
    wish(&mut world, 0, person::What::Image("web:2".to_owned()));
    until(&mut world, seconds(23));
    assert_eq!(image(&get(&world, "rollouts", "web")), Some(json!("web:1")));
    until(&mut world, seconds(32));
    let version = get(&world, "rollouts", "web")["metadata"]["resourceVersion"].clone();
    assert_eq!(image(&get(&world, "rollouts", "web")), Some(json!("web:2")));
    until(&mut world, seconds(100));
    assert_eq!(
        get(&world, "rollouts", "web")["metadata"]["resourceVersion"],
        version
    );
}

#[test]
fn nobody_lets_users_in_while_what_is_to_serve_them_is_deleted() {
    for (orphan, expected) in [(false, [false, false, true]), (true, [true, true, true])] {
        let mut world = world(Nature::default());
        create(&mut world, rollout("web:1", 3));
        wish(&mut world, 1, person::What::Delete { orphan });
        wish(&mut world, 3, person::What::CreateAgain);
        until(&mut world, seconds(2));
        world.open_traffic();
        let deleted = world.proxy.open;
        until(&mut world, seconds(4));
        let created = world.proxy.open;
        let key = Key::new("rollouts", "default", "web");
        let mut live = get(&world, "rollouts", "web");
        let generation = &live["metadata"]["generation"];
        live["status"] = json!({"phase": "Healthy", "observedGeneration": generation});
        world.commit(&crate::sim::store::Author::cluster(), &key, live);
        until(&mut world, seconds(20));
        assert_eq!([deleted, created, world.proxy.open], expected, "{orphan}");
    }
}
