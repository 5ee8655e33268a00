//! C.

use serde_json::{Value, json};
use tidegate::sim::store::By;

use super::{
    Case,
    stand::{HASH, Stand},
};
use crate::sim::monitors::Asked;

/// A Service that no Rollout has written.
fn unmarked(name: &str) -> Value {
    crate::sim::scenarios::manifests::service(name)
}

pub(super) const CASES: &[Case] = &[
    (
        "C2",
        |s| s.ask("services", "web-stable", patched(1)),
        |s| {
            s.ask(
                "services",
                "web-stable",
                Asked {
                    changed: false,
                    ..patched(1)
                },
            );
        },
    ),
    (
        "C2",
        |s| {
            paused(s);
            s.wait(100_000);
            s.ask("services", "web-stable", patched(1));
        },
        |s| {
            paused(s);
            s.wait(100_000);
            for _ in 0..3 {
                s.wait(10_000);
                s.ask("services", "web-stable", patched(1));
            }
        },
    ),
    (
        "C3",
        |s| s.status(&json!({"message": "x"})),
        |s| s.status(&json!({"observedGeneration": 2})),
    ),
    (
        "C3",
        |s| s.status(&json!({"message": "x"})),
        |s| s.status(&json!({"observedGeneration": 0})),
    ),
    (
        "C4",
        |s| s.status(&json!({"abort": true, "currentStepIndex": 0, "phase": "Degraded"})),
        |s| {
            s.status(&json!({"currentStepIndex": 0}));
        },
    ),
    (
        "C5",
        |s| {
            leads(s, 1, "a");
            s.ask("services", "web-stable", patched(1));
        },
        |s| {
            leads(s, 1, "a");
            s.wait(16_000);
            s.ask("services", "web-stable", patched(1));
        },
    ),
    (
        "C5",
        |s| {
            leads(s, 1, "a");
            s.ask("services", "web-stable", patched(1));
        },
        |s| {
            leads(s, 1, "a");
            leads(s, 2, "b");
            s.ask("services", "web-stable", patched(1));
        },
    ),
    (
        "C6",
        |s| {
            leads(s, 1, "a");
            s.ask("services", "web-stable", patched(1));
            leads(s, 2, "b");
            s.ask("services", "web-stable", patched(2));
        },
        |s| {
            leads(s, 2, "b");
            leads(s, 1, "a");
            s.ask("services", "web-stable", patched(1));
            s.ask("services", "web-stable", patched(2));
        },
    ),
    (
        "C7",
        |s| {
            s.ask(
                "rollouts",
                "web",
                Asked {
                    status: true,
                    version: Some("105".to_owned()),
                    ..patched(1)
                },
            );
        },
        |s| {
            s.ask(
                "rollouts",
                "web",
                Asked {
                    status: true,
                    ..patched(1)
                },
            );
        },
    ),
    (
        "C7",
        |s| {
            s.ask(
                "rollouts",
                "web",
                Asked {
                    status: true,
                    version: Some("105".to_owned()),
                    ..patched(1)
                },
            );
        },
        |s| {
            let stale = Asked {
                code: 409,
                changed: false,
                body: json!({"spec": 1}),
                ..patched(1)
            };
            s.ask("services", "web-stable", stale.clone());
            s.wait(1_000);
            s.ask("services", "web-stable", stale);
        },
    ),
    (
        "C8",
        |s| s.size("one", 5),
        |s| {
            s.remove(By::Person, "rollouts", "web");
            s.wait(1_000);
            s.size("one", 5);
        },
    ),
    (
        "C9",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.make(By::Person, "services", unmarked("other"));
            s.pin("other", "two");
        },
    ),
    (
        "C9",
        |s| {
            s.make(By::Person, "services", unmarked("web-stable"));
            s.remove(By::Person, "rollouts", "web");
            s.wait(50);
            s.pin("web-stable", "one");
        },
        |s| {
            s.make(By::Person, "services", unmarked("web-stable"));
            s.remove(By::Person, "rollouts", "web");
            s.wait(1_000);
            s.pin("web-stable", "one");
        },
    ),
    (
        "C9",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.make(By::Controller, "services", unmarked("other"));
        },
    ),
    (
        "C9",
        |s| {
            s.ask(
                "ingresses",
                "web-web-canary",
                Asked {
                    verb: "delete",
                    uid: Some("1".to_owned()),
                    ..patched(1)
                },
            );
        },
        |s| {
            s.ask(
                "ingresses",
                "web-web-canary",
                Asked {
                    verb: "delete",
                    ..patched(1)
                },
            );
        },
    ),
    (
        "C10",
        |s| {
            s.ask("services", "web-stable", about("105"));
            s.wait(1_000);
            s.ask("services", "web-stable", about("120"));
        },
        |s| {
            s.ask("services", "web-stable", about("105"));
            s.wait(1_000);
            s.ask("services", "web-stable", about("105"));
        },
    ),
    (
        "C11",
        |s| {
            s.remove(By::Person, "rollouts", "web");
            s.remove(By::Cluster, "replicasets", "two");
            s.wait(1_000);
            put_back(s);
        },
        |s| {
            s.remove(By::Person, "rollouts", "web");
            s.wait(1_000);
            put_back(s);
        },
    ),
    (
        "C11",
        |s| s.pin("web-stable", "two"),
        |s| {
            s.write(
                "services",
                "web-stable",
                &json!({"metadata": {"finalizers": ["ours"]}}),
            );
        },
    ),
    ("C13", healthy, |s| s.status(&json!({"phase": "Healthy"}))),
    ("C13", healthy, |s| {
        healthy(s);
        s.available("one", 1);
        s.wait(1_000);
        s.status(&json!({"message": "all is well"}));
    }),
    (
        "C14",
        |s| s.status(&json!({"message": "x"})),
        |s| s.status(&json!({"message": "x".repeat(70_000)})),
    ),
    (
        "C14",
        |s| s.status(&json!({"message": "x"})),
        |s| {
            for _ in 0..300 {
                s.wait(10);
                s.ask("services", "web-stable", patched(1));
            }
        },
    ),
    (
        "C15",
        |s| s.ask("services", "web-stable", patched(1)),
        |s| {
            crate::sim::monitors::watch_panics();
            let panicked = std::panic::catch_unwind(|| panic!("as a controller would"));
            assert!(panicked.is_err());
            s.ask("services", "web-stable", patched(1));
        },
    ),
];

fn patched(process: u64) -> Asked {
    Asked {
        process,
        verb: "patch",
        body: json!({"spec": {}}),
        code: 200,
        changed: true,
        ..Asked::default()
    }
}

fn about(version: &str) -> Asked {
    Asked {
        version: Some(version.to_owned()),
        answered: Some(120),
        ..patched(1)
    }
}

/// The process takes or renews the lease.
fn leads(s: &mut Stand, process: u64, identity: &str) {
    let spec = json!({"holderIdentity": identity, "leaseDurationSeconds": 15});
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "tidegate"}, "spec": spec});
    s.make(By::Controller, "leases", lease.clone());
    s.ask(
        "leases",
        "tidegate",
        Asked {
            body: lease,
            ..patched(process)
        },
    );
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

/// Back at the stable version.
fn healthy(s: &mut Stand) {
    s.status(&json!({"abort": true, "currentStepIndex": 0, "pauseConditions": Value::Null, "controllerPause": Value::Null, "phase": "Degraded"}));
    s.weight("0");
    s.status(&json!({"currentPodHash": "one", "abort": Value::Null, "currentStepIndex": 4}));
    s.status(&json!({"phase": "Healthy", "message": Value::Null}));
}

/// Nothing is to happen by itself.
fn paused(s: &mut Stand) {
    s.at_the_analysis();
    s.status(&json!({"phase": "Paused"}));
}
