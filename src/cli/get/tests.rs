use jiff::Timestamp;
use serde_json::{Value, json};

use super::{table, tree};
use crate::{
    api::{names::ApiNames, object::CachedObject},
    cli::{cluster::Family, rollout::Rollout},
};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// A canary at its second step, paused.
fn paused() -> Value {
    json!({
        "metadata": {
            "name": "demo", "namespace": "shop", "uid": "r", "generation": 3,
            "creationTimestamp": "2026-01-01T09:00:00Z",
        },
        "spec": {
            "replicas": 4,
            "strategy": { "canary": {
                "trafficRouting": { "nginx": { "stableIngress": "demo" } },
                "steps": [{ "setWeight": 25 }, { "pause": {} }, { "setWeight": 50 }],
            } },
        },
        "status": {
            "observedGeneration": 3,
            "phase": "Paused",
            "message": "CanaryPauseStep",
            "pauseConditions": [{ "reason": "CanaryPauseStep", "startTime": "2026-01-01T11:58:00Z" }],
            "currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1,
            "replicas": 5, "updatedReplicas": 1, "readyReplicas": 5, "availableReplicas": 5,
            "canary": { "weights": { "canary": { "weight": 25 }, "stable": { "weight": 75 } } },
            "waitingFor": "a person to promote it",
            "next": { "action": "go on to step 3", "at": "2026-01-01T12:03:00Z" },
        },
    })
}

fn replica_set(hash: &str, revision: &str, replicas: i32, image: &str) -> Value {
    let names = ApiNames::default();
    json!({
        "metadata": {
            "name": format!("demo-{hash}"), "uid": hash,
            "labels": { names.pod_template_hash: hash },
            "annotations": { names.revision: revision },
        },
        "spec": { "replicas": replicas, "template": { "spec": { "containers": [{ "name": "web", "image": image }] } } },
        "status": { "replicas": replicas, "availableReplicas": replicas },
    })
}

fn pod(name: &str, owner: &str, ready: bool, waiting: Option<&str>) -> Value {
    let state = waiting.map_or(
        json!({ "running": {} }),
        |reason| json!({ "waiting": { "reason": reason } }),
    );
    json!({
        "metadata": {
            "name": name, "creationTimestamp": "2026-01-01T11:50:00Z",
            "ownerReferences": [{ "uid": owner }],
        },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "containerStatuses": [{ "restartCount": i32::from(waiting.is_some()) * 3, "state": state }],
        },
    })
}

fn family(object: Value) -> Family {
    let names = ApiNames::default();
    Family {
        rollout: Rollout::read(&names, &CachedObject::new(object)).unwrap(),
        replica_sets: vec![
            replica_set("older", "1", 0, "web:v0"),
            replica_set("old", "2", 4, "web:v1"),
            replica_set("new", "3", 1, "web:v2"),
        ],
        pods: vec![
            pod("demo-new-1", "new", true, None),
            pod("demo-old-1", "old", false, Some("CrashLoopBackOff")),
            pod("stranger", "else", true, None),
        ],
        analysis_runs: vec![json!({
            "metadata": {
                "name": "demo-new-3-1", "creationTimestamp": "2026-01-01T11:55:00Z",
                "labels": { names.pod_template_hash: "new" },
            },
            "status": {
                "phase": "Running",
                "metricResults": [{ "name": "errors", "phase": "Running", "successful": 2, "noData": 1 }],
            },
        })],
    }
}

fn drawn(object: Value) -> String {
    let picture = tree::render(&ApiNames::default(), &family(object), now());
    anstream::adapter::strip_str(&picture).to_string()
}

#[test]
fn a_paused_canary_in_full() {
    assert_eq!(
        drawn(paused()).lines().collect::<Vec<_>>(),
        [
            "Name:         demo",
            "Namespace:    shop",
            "Phase:        ॥ Paused",
            "Message:      CanaryPauseStep",
            "Paused:       CanaryPauseStep for 2m",
            "Strategy:     canary",
            "Steps:        1/3 done, now pause until promoted",
            "Weight:       25 of 100",
            "Images:       web:v2 (canary)",
            "              web:v1 (stable)",
            "Pods:         4 desired, 5 current, 1 updated, 5 ready, 5 available",
            "Waiting for:  a person to promote it",
            "Next:         go on to step 3 in 3m",
            "",
            "॥ demo",
            "├─ revision 3",
            "│  ├─ ✔ demo-new  canary  1/1 available",
            "│  │  └─ ✔ demo-new-1  ready, 10m",
            "│  └─ ◌ demo-new-3-1  analysis Running, 5m",
            "│     └─ ◌ errors  ✔ 2  no data 1",
            "├─ revision 2",
            "│  └─ ✔ demo-old  stable  4/4 available",
            "│     └─ ✖ demo-old-1  CrashLoopBackOff, 10m, 3 restarts",
            "└─ revision 1",
            "   └─ • demo-older  scaled down",
        ]
    );
}

#[test]
fn a_version_that_is_about_to_go_says_when() {
    let mut rollout = paused();
    rollout["status"]["ledger"] = json!([
        { "podTemplateHash": "old", "unroutedSince": "2026-01-01T11:59:40Z", "scaleDownAt": "2026-01-01T12:00:10Z" },
        { "podTemplateHash": "older", "unroutedSince": "2026-01-01T11:00:00Z", "scaleDownAt": "2026-01-01T12:00:10Z" },
        { "podTemplateHash": "new", "routes": ["service/demo-canary"] },
    ]);
    let drawn = drawn(rollout);
    let leaving: Vec<&str> = drawn
        .lines()
        .filter(|line| line.contains("scales down"))
        .collect();
    assert_eq!(
        leaving,
        ["│  └─ ✔ demo-old  stable  4/4 available, scales down in 10s"]
    );
}

#[test]
fn weights_are_those_asked_for_and_those_given() {
    for (step, aborted, given, router, expected) in [
        (0, false, 5, true, "5 of 100, 25 asked"),
        (1, false, 25, true, "25 of 100"),
        (2, false, 25, true, "25 of 100, 50 asked"),
        (3, false, 50, true, "50 of 100, 100 asked"),
        (2, true, 25, true, "25 of 100, 0 asked"),
        (1, false, 20, false, "20 % of the pods, 25 asked"),
    ] {
        let mut object = paused();
        object["status"]["currentStepIndex"] = json!(step);
        object["status"]["abort"] = json!(aborted);
        if router {
            object["status"]["canary"]["weights"]["canary"]["weight"] = json!(given);
        } else {
            object["spec"]["strategy"]["canary"]["trafficRouting"] = Value::Null;
            object["status"]["canary"] = json!({});
        }
        let picture = drawn(object);
        let weight = picture
            .lines()
            .find_map(|line| line.strip_prefix("Weight:       "));
        assert_eq!(weight, Some(expected), "step {step}, aborted {aborted}");
    }
}

#[test]
fn a_status_of_an_older_spec_is_not_taken_for_the_present_one() {
    let mut object = paused();
    object["metadata"]["generation"] = json!(4);
    let picture = drawn(object);
    assert!(
        picture.contains(
            "Phase:        ◌ Progressing\nMessage:      waiting for the controller to see"
        ),
        "{picture}"
    );
}

#[test]
fn a_request_that_is_not_handled_is_shown() {
    let names = ApiNames::default();
    let mut object = paused();
    let request = json!({ "id": "1", "verb": "abort", "by": "ann" }).to_string();
    object["metadata"]["annotations"] = json!({ names.request: request });
    assert!(drawn(object).contains("Request:      abort by ann, not handled yet"));
}

#[test]
fn a_list_has_a_column_for_everything_that_differs() {
    let rollout = family(paused()).rollout;
    let mut other = rollout.clone();
    other.name = "a-longer-name".to_owned();
    let text = table::render(&[rollout, other], false, now());
    let plain = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(
        plain.lines().collect::<Vec<_>>(),
        [
            "NAME           STRATEGY  PHASE     STEP  WEIGHT  READY  DESIRED  UP-TO-DATE  AVAILABLE  AGE",
            "demo           canary    ॥ Paused  1/3   25      5      4        1           5          3h",
            "a-longer-name  canary    ॥ Paused  1/3   25      5      4        1           5          3h",
        ]
    );
}

#[test]
fn a_line_holds_what_changes_but_no_time() {
    let line = table::line(&family(paused()).rollout);
    assert_eq!(
        anstream::adapter::strip_str(&line).to_string(),
        "shop/demo | ॥ Paused: CanaryPauseStep | step 1/3 | weight 25 | pods 1 updated, 5 available, 4 desired | waiting for a person to promote it"
    );
}
