//! D.

use serde_json::{Value, json};
use tidegate::sim::store::By;

use super::{Case, stand::Stand};

pub(super) const CASES: &[Case] = &[
    (
        "D1",
        |s| passes(s, "Successful"),
        |s| {
            // Broken off, it proves nothing.
            s.at_the_analysis();
            s.run("two", "Step", "Successful");
            s.change(
                By::Person,
                "analysisruns",
                "web-two-2-3",
                &json!({"spec": {"terminate": true}}),
            );
            s.wait(1_000);
            s.status(&json!({"currentStepIndex": 4}));
        },
    ),
    (
        "D2",
        |s| verdict(s, "Successful", &json!([good()])),
        |s| {
            let measurements = json!([{"phase": "NoData", "startedAt": "1", "finishedAt": "2"}]);
            let metric = json!({
                "name": "errors", "phase": "Successful", "count": 1, "successful": 1, "measurements": measurements,
            });
            verdict(s, "Successful", &json!([metric]));
        },
    ),
    (
        "D4",
        |s| fails(s),
        |s| {
            let failed = json!({"name": "errors", "phase": "Failed", "count": 1, "failed": 1});
            verdict(s, "Running", &json!([failed]));
            s.wait(10_000);
            s.write(
                "analysisruns",
                "web-two-2-3",
                &json!({"status": {"phase": "Failed"}}),
            );
        },
    ),
    (
        "D10",
        |s| {
            s.request("1", "abort");
            answer(
                s,
                "1",
                "abort",
                &json!({"abort": true, "phase": "Degraded", "currentStepIndex": 0}),
            );
        },
        |s| {
            s.request("1", "abort");
            answer(
                s,
                "1",
                "abort",
                &json!({"message": "a promotion is under way"}),
            );
        },
    ),
    ("D1", |s| passes(s, "Successful"), |s| passes(s, "Running")),
    (
        "D1",
        |s| passes(s, "Successful"),
        |s| {
            // Of another version it proves nothing.
            s.at_the_analysis();
            s.run("one", "Step", "Successful");
            s.wait(1_000);
            s.status(&json!({"currentStepIndex": 4}));
        },
    ),
    ("D1", promotion, |s| {
        s.before_the_switch();
        s.run("two", "PrePromotion", "Failed");
        s.status(&json!({"stableRS": "two"}));
    }),
    (
        "D2",
        |s| verdict(s, "Successful", &json!([good()])),
        |s| {
            let inconclusive =
                json!({"name": "errors", "phase": "Inconclusive", "count": 1, "inconclusive": 1});
            verdict(s, "Successful", &json!([good(), inconclusive]));
        },
    ),
    (
        "D2",
        |s| verdict(s, "Successful", &json!([good()])),
        |s| {
            verdict(
                s,
                "Successful",
                &json!([{"name": "errors", "phase": "Successful", "count": 1, "noData": 1, "successful": 0}]),
            );
        },
    ),
    (
        "D3",
        |s| fails(s),
        |s| {
            fails(s);
            s.verdict("Successful", &json!([good()]));
        },
    ),
    (
        "D4",
        |s| fails(s),
        |s| {
            s.at_the_analysis();
            s.run("two", "Step", "Failed");
            s.wait(4_000);
            s.status(&json!({"message": "going on"}));
        },
    ),
    (
        "D5",
        |s| {
            another(
                s,
                &json!({"currentStepIndex": 0, "pauseConditions": Value::Null}),
            )
        },
        |s| {
            another(
                s,
                &json!({"currentStepIndex": 1, "pauseConditions": Value::Null}),
            );
        },
    ),
    (
        "D5",
        |s| {
            another(
                s,
                &json!({"currentStepIndex": 0, "pauseConditions": Value::Null}),
            )
        },
        |s| {
            another(s, &json!({"currentStepIndex": 0}));
        },
    ),
    (
        "D6",
        |s| {
            s.run("two", "Background", "Pending");
        },
        |s| {
            s.available("two", 0);
            s.weight("0");
            s.wait(1_000);
            s.run("two", "Background", "Pending");
        },
    ),
    (
        "D7",
        |s| {
            let dry = json!({"name": "dry", "phase": "Failed", "dryRun": true});
            verdict(s, "Successful", &json!([good(), dry]));
        },
        |s| {
            let dry = json!({"name": "dry", "phase": "Failed", "dryRun": true});
            verdict(s, "Failed", &json!([good(), dry]));
        },
    ),
    (
        "D8",
        |s| {
            s.at_the_analysis();
            s.run("two", "Step", "Running");
            s.wait(1_000);
            s.status(&json!({"abort": true, "phase": "Degraded", "currentStepIndex": 0}));
            s.weight("0");
            s.write(
                "analysisruns",
                "web-two-2-3",
                &json!({"spec": {"terminate": true}}),
            );
        },
        |s| {
            s.at_the_analysis();
            s.run("two", "Step", "Running");
            s.wait(1_000);
            s.write(
                "analysisruns",
                "web-two-2-3",
                &json!({"spec": {"terminate": true}}),
            );
        },
    ),
    (
        "D9",
        |s| verdict(s, "Successful", &json!([good()])),
        |s| verdict(s, "Successful", &json!([])),
    ),
    (
        "D10",
        |s| {
            s.request("1", "abort");
            answer(
                s,
                "1",
                "abort",
                &json!({"abort": true, "phase": "Degraded", "currentStepIndex": 0}),
            );
            s.weight("0");
        },
        |s| {
            s.request("1", "abort");
            s.wait(1_000);
            s.status(&json!({"stableRS": "two"}));
        },
    ),
    (
        "D10",
        |s| {
            s.request("1", "abort");
            answer(
                s,
                "1",
                "abort",
                &json!({"abort": true, "phase": "Degraded", "currentStepIndex": 0}),
            );
            s.weight("0");
        },
        |s| {
            s.status(&json!({"abort": true, "currentStepIndex": 0}));
            s.weight("0");
            s.status(&json!({"promoteFull": true}));
        },
    ),
    (
        "D11",
        |s| {
            measured(s, &["03"], 1);
            measured(s, &["03", "08"], 2);
        },
        |s| {
            measured(s, &["03"], 1);
            measured(s, &["03", "03"], 2);
        },
    ),
    (
        "D11",
        |s| measured(s, &["03"], 1),
        |s| measured(s, &["03"], 2),
    ),
    (
        "D13",
        |s| {
            aborted(s);
            s.request("2", "retry");
            answer(
                s,
                "2",
                "retry",
                &json!({"abort": Value::Null, "attempt": 1, "phase": "Paused"}),
            );
        },
        |s| {
            aborted(s);
            s.status(&json!({"abort": Value::Null}));
        },
    ),
];

fn good() -> Value {
    json!({"name": "errors", "phase": "Successful", "count": 2, "successful": 2})
}

fn passes(s: &mut Stand, phase: &str) {
    s.at_the_analysis();
    s.run("two", "Step", phase);
    s.wait(1_000);
    s.status(&json!({"currentStepIndex": 4, "phase": "Paused"}));
}

fn promotion(s: &mut Stand) {
    s.before_the_switch();
    s.run("two", "PrePromotion", "Successful");
    s.wait(1_000);
    s.pin("web-stable", "two");
    s.status(&json!({"stableRS": "two", "phase": "Healthy", "message": Value::Null}));
}

fn verdict(s: &mut Stand, phase: &str, metrics: &Value) {
    s.at_the_analysis();
    s.run("two", "Step", "Running");
    s.wait(1_000);
    s.verdict(phase, metrics);
    s.status(&json!({"phase": "Paused"}));
    if phase == "Failed" {
        aborted(s);
    }
}

fn fails(s: &mut Stand) {
    s.at_the_analysis();
    s.run("two", "Step", "Running");
    s.wait(1_000);
    s.verdict(
        "Failed",
        &json!([{"name": "errors", "phase": "Failed", "count": 1, "failed": 1}]),
    );
    s.wait(1_000);
    aborted(s);
}

fn aborted(s: &mut Stand) {
    s.give_up();
}

fn another(s: &mut Stand, status: &Value) {
    s.set("three", 1, 0);
    let mut status = status.clone();
    status["currentPodHash"] = json!("three");
    status["phase"] = json!("Paused");
    s.status(&status);
}

fn answer(s: &mut Stand, id: &str, verb: &str, status: &Value) {
    let mut status = status.clone();
    status["lastHandledRequest"] = json!({
        "id": id, "verb": verb, "accepted": true, "message": "done", "at": "2026-01-02T03:04:06Z",
    });
    status["pauseConditions"] = Value::Null;
    status["controllerPause"] = Value::Null;
    s.wait(500);
    if verb == "abort" {
        s.weight("0");
    }
    s.status(&status);
}

/// So many were counted, and began at these seconds.
fn measured(s: &mut Stand, seconds: &[&str], counted: i64) {
    if s.get("analysisruns", "web-two-2-3").is_null() {
        s.at_the_analysis();
        s.run("two", "Step", "Running");
        s.status(&json!({"phase": "Paused"}));
    }
    let measurements: Vec<Value> = seconds
        .iter()
        .map(|second| {
            let at = format!("2026-01-02T03:05:{second}Z");
            json!({"phase": "Successful", "startedAt": at, "finishedAt": at})
        })
        .collect();
    let metric = json!({
        "name": "errors", "phase": "Running", "count": counted, "successful": counted, "measurements": measurements,
    });
    s.verdict("Running", &json!([metric]));
}
