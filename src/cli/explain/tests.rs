use serde_json::{Value, json};

use super::*;
use crate::api::{names::ApiNames, object::CachedObject};

fn explained(status: &Value, analysis_runs: Vec<Value>, annotations: &Value) -> String {
    let object = json!({
        "metadata": { "name": "demo", "namespace": "shop", "generation": 3, "annotations": annotations },
        "spec": { "strategy": { "canary": { "steps": [{ "setWeight": 25 }, { "analysis": { "templates": [{ "templateName": "errors" }] } }] } } },
        "status": status,
    });
    let family = Family {
        rollout: Rollout::read(&ApiNames::default(), &CachedObject::new(object)).unwrap(),
        replica_sets: Vec::new(),
        pods: Vec::new(),
        analysis_runs,
    };
    let text = render(&family, "2026-01-01T12:00:00Z".parse().unwrap());
    anstream::adapter::strip_str(&text).to_string()
}

fn failed_run() -> Value {
    json!({
        "metadata": { "name": "demo-2-1" },
        "status": {
            "phase": "Failed",
            "message": "metric errors failed",
            "metricResults": [
                { "name": "latency", "phase": "Successful", "measurements": [{ "phase": "Failed", "value": "3" }] },
                { "name": "extra", "phase": "Failed", "dryRun": true, "measurements": [{ "phase": "Failed", "value": "4" }] },
                { "name": "errors", "phase": "Failed", "measurements": [
                    { "phase": "Failed", "value": "[0.1]" },
                    {
                        "phase": "Failed", "value": "[0.2]", "query": "errors{hash=\"new\"}",
                        "message": "failureCondition result[0] > 0.05 is true", "finishedAt": "2026-01-01T11:59:00Z",
                    },
                    { "phase": "Successful", "value": "[0.0]" },
                ] },
            ],
        },
    })
}

#[test]
fn a_failed_analysis_is_explained_by_its_measurement() {
    let status = json!({
        "observedGeneration": 3,
        "phase": "Degraded",
        "message": "RolloutAborted: analysis demo-2-1 failed",
        "abort": true,
        "currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1,
        "canary": { "currentStepAnalysisRunStatus": { "name": "demo-2-1", "status": "Failed" } },
        "conditions": [
            { "type": "Stalled", "status": "True", "reason": "RolloutAborted", "message": "it was aborted", "lastTransitionTime": "2026-01-01T11:58:00Z" },
            { "type": "Available", "status": "True", "reason": "AvailableReason", "message": "" },
            { "type": "Progressing", "status": "False", "reason": "RolloutAborted", "message": "stopped" },
        ],
        "lastHandledRequest": { "id": "1", "verb": "promote", "accepted": false, "message": "nothing to promote", "at": "2026-01-01T11:00:00Z" },
    });
    assert_eq!(
        explained(&status, vec![failed_run()], &json!({}))
            .lines()
            .collect::<Vec<_>>(),
        [
            "✖ Rollout shop/demo is Degraded: RolloutAborted: analysis demo-2-1 failed",
            "  Steps:         1/2 done, stopped at analysis errors",
            "  Waiting for:   nothing",
            "  Condition:     Stalled is True for 2m (RolloutAborted): it was aborted",
            "  Condition:     Progressing is False (RolloutAborted): stopped",
            "  Last request:  promote refused 1h ago: nothing to promote",
            "  Analysis:      ✖ demo-2-1 is Failed: metric errors failed",
            "    metric errors: the measurement failed, 1m ago",
            "      value: [0.2]",
            "      query: errors{hash=\"new\"}",
            "      why:   failureCondition result[0] > 0.05 is true",
        ]
    );
}

#[test]
fn what_comes_next_has_its_time_and_an_open_request_its_author() {
    let status = json!({
        "observedGeneration": 3,
        "phase": "Paused",
        "message": "CanaryPauseStep",
        "waitingFor": "the pause to end",
        "next": { "action": "set the weight to 50", "at": "2026-01-01T12:05:00Z" },
        "pauseConditions": [{ "reason": "CanaryPauseStep", "startTime": "2026-01-01T11:58:00Z" }],
    });
    let request = json!({ "id": "2", "verb": "abort", "by": "ann" }).to_string();
    let annotations = json!({ ApiNames::default().request: request });
    assert_eq!(
        explained(&status, Vec::new(), &annotations)
            .lines()
            .collect::<Vec<_>>(),
        [
            "॥ Rollout shop/demo is Paused: CanaryPauseStep",
            "  Steps:         0/2 done, now setWeight 25",
            "  Paused:        CanaryPauseStep for 2m; `promote` goes on",
            "  Waiting for:   the pause to end",
            "  Next:          set the weight to 50 in 5m (2026-01-01T12:05:00Z)",
            "  Request:       abort by ann, not handled yet",
        ]
    );
}
