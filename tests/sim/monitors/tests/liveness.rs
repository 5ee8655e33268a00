//! L.

use serde_json::{Value, json};
use tidegate::sim::store::By;

use super::{
    Case,
    stand::{HASH, Stand},
};

pub(super) const CASES: &[Case] = &[
    ("L1", given_up, |s| {
        s.available("one", 1);
        s.status(&json!({"abort": true, "phase": "Degraded"}));
        s.wait(4_000);
        s.weight("0");
    }),
    (
        "L2",
        |s| s.status(&json!({"phase": "Paused", "message": "CanaryPauseStep"})),
        |s| {
            s.status(&json!({"phase": "Progressing", "message": Value::Null}));
        },
    ),
    (
        "L2",
        |s| s.status(&json!({"phase": "Paused", "message": "CanaryPauseStep"})),
        |s| {
            s.status(&json!({"phase": "Paused", "waitingFor": Value::Null}));
        },
    ),
    (
        "L3",
        |s| {
            given_up(s);
            s.wait(10_000);
        },
        |s| {
            s.status(
                &json!({"phase": "Progressing", "message": "waiting for all steps to complete"}),
            );
            s.wait(10_000);
        },
    ),
    (
        "L4",
        |s| {
            s.available("two", 0);
            s.weight("0");
            s.wait(601_000);
            s.status(
                &json!({"phase": "Degraded", "message": "ProgressDeadlineExceeded: timed out"}),
            );
        },
        |s| {
            s.wait(100_000);
            s.status(
                &json!({"phase": "Degraded", "message": "ProgressDeadlineExceeded: timed out"}),
            );
        },
    ),
    (
        "L4",
        |s| {
            s.available("two", 0);
            s.weight("0");
            s.wait(601_000);
            s.status(
                &json!({"phase": "Degraded", "message": "ProgressDeadlineExceeded: timed out"}),
            );
        },
        |s| {
            s.available("two", 0);
            s.weight("0");
            s.wait(700_000);
        },
    ),
    (
        "L5",
        |s| {
            s.declare(&json!({"replicas": 5}));
            s.wait(1_000);
            s.status(&json!({"observedGeneration": 2}));
        },
        |s| {
            s.declare(&json!({"replicas": 5}));
            s.wait(5_000);
        },
    ),
    (
        "L5",
        |s| {
            s.declare(&json!({"replicas": 5}));
            s.wait(1_000);
            s.status(&json!({"observedGeneration": 2}));
        },
        |s| {
            s.request("1", "promote");
            s.wait(5_000);
        },
    ),
    ("L6", |s| retried(s, 0), |s| retried(s, 1)),
    (
        "L7",
        |s| {
            given_up(s);
            s.wait(6_000);
            s.pin("web-canary", "one");
            s.wait(54_000);
            s.size("two", 0);
        },
        |s| {
            given_up(s);
            s.wait(90_000);
            s.size("two", 0);
        },
    ),
    (
        "L8",
        |s| {
            s.remove(By::Person, "rollouts", "web");
            s.remove(By::Cluster, "replicasets", "two");
            s.wait(5_000);
            put_back(s);
        },
        |s| {
            s.remove(By::Person, "rollouts", "web");
            s.remove(By::Cluster, "replicasets", "two");
            s.wait(20_000);
            put_back(s);
        },
    ),
    (
        "L9",
        |s| {
            s.wait(60_000);
            s.status(&json!({"currentStepIndex": 2, "pauseConditions": Value::Null, "controllerPause": Value::Null}));
        },
        |s| {
            s.wait(30_000);
            s.status(&json!({"currentStepIndex": 2, "pauseConditions": Value::Null, "controllerPause": Value::Null}));
        },
    ),
    (
        "L9",
        |s| {
            s.wait(60_000);
            s.status(&json!({"currentStepIndex": 2, "pauseConditions": Value::Null, "controllerPause": Value::Null}));
        },
        |s| s.wait(70_000),
    ),
    ("L10", given_up, |s| {
        given_up(s);
        s.status(&json!({"HPAReplicas": 8}));
    }),
    ("L10", given_up, |s| {
        given_up(s);
        s.status(&json!({"selector": format!("app=web,{HASH}=gone")}));
    }),
];

fn given_up(s: &mut Stand) {
    s.give_up();
}

fn retried(s: &mut Stand, step: i64) {
    given_up(s);
    s.wait(1_000);
    s.request("1", "retry");
    s.status(&json!({
        "abort": Value::Null, "attempt": 1, "currentStepIndex": step, "phase": "Paused",
        "lastHandledRequest": {"id": "1", "verb": "retry", "accepted": true, "message": "", "at": "2026-01-02T03:04:06Z"},
    }));
}

fn put_back(s: &mut Stand) {
    let patch = json!({
        "metadata": {"labels": {"tidegate.dev/managed-by-rollout": Value::Null}},
        "spec": {"selector": {HASH: Value::Null}},
    });
    for service in ["web-stable", "web-canary"] {
        s.write("services", service, &patch);
    }
    s.remove(By::Cluster, "ingresses", "web-web-canary");
}
