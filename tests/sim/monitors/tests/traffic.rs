//! T.

use serde_json::{Value, json};
use tidegate::sim::store::By;

use super::{
    Case,
    stand::{HASH, Stand},
};

pub(super) const CASES: &[Case] = &[
    (
        "T13",
        |s| {
            given_up(s);
            s.wait(6_000);
            s.pin("web-canary", "one");
        },
        |s| {
            given_up(s);
            s.wait(30_000);
            s.pin("web-canary", "one");
        },
    ),
    (
        "T1",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.set("three", 1, 0);
            s.wait(1_000);
            s.pin("web-stable", "three");
        },
    ),
    (
        "T1",
        |s| s.pin("web-stable", "two"),
        |s| {
            // The user's own selector goes when all pods of one version are there.
            s.change(
                By::Person,
                "services",
                "web-stable",
                &json!({"spec": {"selector": {HASH: Value::Null}}}),
            );
            s.available("two", 3);
            s.wait(1_000);
            s.pin("web-stable", "two");
        },
    ),
    ("T2", next_weight, |s| {
        s.available("two", 1);
        next_weight(s);
    }),
    (
        "T2",
        |s| {
            by_pods(s);
            s.size("one", 3);
        },
        |s| {
            by_pods(s);
            s.size("one", 0);
        },
    ),
    (
        "T3",
        |s| {
            promoted(s);
            s.size("two", 5);
            s.weight("0");
        },
        |s| s.size("one", 3),
    ),
    (
        "T4",
        |s| {
            s.declare(&json!({"replicas": 2}));
            s.wait(1_000);
            s.size("two", 2);
        },
        |s| s.size("two", 0),
    ),
    (
        "T5",
        |s| {
            given_up(s);
            s.wait(6_000);
            s.size("two", 0);
        },
        |s| {
            given_up(s);
            s.wait(4_000);
            s.size("two", 0);
        },
    ),
    ("T6", next_weight, |s| s.weight("101")),
    ("T6", next_weight, |s| s.weight("a few")),
    (
        "T7",
        |s| s.pin("web-stable", "two"),
        |s| s.pin("web-stable", "nobody"),
    ),
    (
        "T7",
        |s| {
            s.create_again();
            s.wait(50);
            s.pin("web-stable", "nobody");
            s.wait(1_000);
            s.pin("web-stable", "two");
        },
        |s| {
            s.create_again();
            s.wait(1_000);
            s.pin("web-stable", "nobody");
        },
    ),
    (
        "T7",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.write(
                "services",
                "web-stable",
                &json!({"spec": {"selector": {HASH: Value::Null}}}),
            );
        },
    ),
    (
        "T8",
        |s| {
            given_up(s);
            s.wait(10_000);
            s.pin("web-canary", "one");
        },
        |s| s.pin("web-canary", "one"),
    ),
    (
        "T9",
        |s| {
            next_version(s);
            s.weight("0");
            s.wait(1_000);
            s.pin("web-canary", "two");
            s.weight("0");
            s.status(&json!({"message": "still there"}));
            superseded(s);
        },
        |s| {
            next_version(s);
            s.wait(1_000);
            s.weight("30");
        },
    ),
    ("T10", next_weight, |s| s.weight("50")),
    (
        "T11",
        |s| {
            s.available("two", 0);
            s.weight("0");
        },
        |s| s.weight("10"),
    ),
    ("T11", given_up, |s| {
        given_up(s);
        s.wait(1_000);
        s.weight("25");
    }),
    (
        "T12",
        |s| {
            s.status(&json!({"abort": true}));
            s.wait(1_000);
            s.weight("0");
        },
        |s| {
            s.status(&json!({"abort": true}));
            s.wait(4_000);
            s.status(&json!({"message": "still here"}));
        },
    ),
    (
        "T13",
        |s| {
            header(s);
            s.status(&json!({"abort": true}));
            s.wait(1_000);
            s.weight("0");
            no_header(s);
        },
        |s| {
            header(s);
            s.status(&json!({"abort": true}));
            s.weight("0");
            s.wait(4_000);
            no_header(s);
        },
    ),
    ("T14", promoted, |s| s.status(&json!({"stableRS": "two"}))),
    ("T14", promoted, |s| {
        s.wait(10_000);
        s.size("one", 0);
    }),
    (
        "T15",
        |s| {
            s.before_the_switch();
            s.run("two", "PrePromotion", "Successful");
            s.wait(1_000);
            s.pin("web-stable", "two");
        },
        |s| {
            s.before_the_switch();
            s.run("two", "PrePromotion", "Running");
            s.wait(1_000);
            s.pin("web-stable", "two");
        },
    ),
    (
        "T15",
        |s| {
            s.before_the_switch();
            s.run("two", "PrePromotion", "Successful");
            s.wait(1_000);
            s.pin("web-stable", "two");
        },
        |s| {
            s.before_the_switch();
            s.run("two", "PrePromotion", "Successful");
            s.available("two", 3);
            s.wait(1_000);
            s.pin("web-stable", "two");
        },
    ),
    (
        "T16",
        |s| {
            s.remove(By::Person, "ingresses", "web");
            s.wait(1_000);
            told_missing(s);
            s.status(&json!({"message": "waiting for Ingress web to exist"}));
        },
        |s| {
            s.remove(By::Person, "ingresses", "web");
            s.wait(1_000);
            told_missing(s);
            s.wait(60_000);
            s.status(&json!({"currentStepIndex": 2}));
        },
    ),
    (
        "T16",
        |s| {
            s.remove(By::Person, "services", "web-canary");
            s.wait(1_000);
            told_missing(s);
        },
        |s| {
            s.remove(By::Person, "services", "web-canary");
            s.wait(10_000);
            told_missing(s);
        },
    ),
    (
        "T17",
        |s| {
            s.declare(&json!({"replicas": 8}));
            s.wait(1_000);
            s.status(&json!({"observedGeneration": 2}));
        },
        |s| {
            s.declare(&json!({"replicas": 8}));
            s.wait(1_000);
            s.status(&json!({"observedGeneration": 2, "currentStepIndex": 0}));
        },
    ),
    (
        "T17",
        |s| {
            s.declare(&json!({"replicas": 8}));
            s.wait(1_000);
            s.status(&json!({"observedGeneration": 2}));
        },
        |s| {
            s.declare(&json!({"replicas": 8}));
            s.wait(1_000);
            let pause = json!([{"reason": "CanaryPauseStep", "startTime": "2026-01-02T03:04:07Z"}]);
            s.status(&json!({"observedGeneration": 2, "pauseConditions": pause}));
        },
    ),
    (
        "T18",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.write(
                "services",
                "web-stable",
                &json!({"spec": {"ports": [{"port": 81}]}}),
            );
        },
    ),
    (
        "T18",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.write(
                "ingresses",
                "web",
                &json!({"metadata": {"annotations": {"mine": "no more"}}}),
            );
        },
    ),
    (
        "T19",
        |s| {
            pod(s);
            s.remove(By::Controller, "pods", "one-a");
            s.wait(1_000);
            s.declare(&json!({"replicas": 3}));
            s.size("one", 3);
        },
        |s| {
            pod(s);
            s.declare(&json!({"replicas": 3}));
            s.remove(By::Controller, "pods", "one-a");
            s.size("one", 3);
        },
    ),
    ("T20", next_weight, |s| {
        s.set("two", 0, 0);
        s.wait(60_000);
        s.weight("50");
    }),
    ("T21", Stand::look, |s| {
        s.lose("a request finds no endpoint")
    }),
];

fn next_weight(s: &mut Stand) {
    s.wait(60_000);
    s.weight("50");
    s.status(&json!({"currentStepIndex": 3, "pauseConditions": Value::Null, "controllerPause": Value::Null}));
    s.status(&json!({"phase": "Paused"}));
}

fn given_up(s: &mut Stand) {
    s.give_up();
}

fn promoted(s: &mut Stand) {
    s.at_the_analysis();
    s.run("two", "Step", "Successful");
    s.wait(1_000);
    s.status(&json!({"currentStepIndex": 4}));
    s.weight("100");
    s.pin("web-stable", "two");
    s.status(&json!({"stableRS": "two", "phase": "Healthy", "message": Value::Null}));
}

fn next_version(s: &mut Stand) {
    s.set("three", 1, 0);
    s.status(&json!({"currentPodHash": "three", "currentStepIndex": 0, "pauseConditions": Value::Null, "controllerPause": Value::Null}));
}

/// Less and less.
fn superseded(s: &mut Stand) {
    s.change(
        By::Person,
        "ingresses",
        "web-web-canary",
        &json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-weight": "20"}}}),
    );
    s.weight("10");
    s.weight("0");
}

fn by_pods(s: &mut Stand) {
    s.declare(&json!({"strategy": {"canary": {"trafficRouting": Value::Null, "maxSurge": 4, "maxUnavailable": 1}}}));
    s.status(&json!({"observedGeneration": 2}));
    s.available("two", 0);
    s.wait(1_000);
}

fn header(s: &mut Stand) {
    s.write("ingresses", "web-web-canary", &json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-by-header": "x"}}}));
}

fn no_header(s: &mut Stand) {
    s.write("ingresses", "web-web-canary", &json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-by-header": Value::Null}}}));
}

fn told_missing(s: &mut Stand) {
    s.status(&json!({"conditions": [{"type": "ReferenceMissing", "status": "True", "reason": "NotFound", "message": "missing"}]}));
}

fn pod(s: &mut Stand) {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "one", "uid": "x", "controller": true});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one-a", "ownerReferences": [owner]}});
    s.make(By::Cluster, "pods", pod);
}
