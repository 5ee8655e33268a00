//! A Rollout as the demo sees it, read from its JSON. Pure.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    /// The new version is the stable one.
    Completed,
    /// An analysis took it back.
    RolledBack,
    /// The progress deadline gave it up.
    DeadlineExceeded,
    /// It was aborted for another reason.
    Aborted,
    /// It did not end in time.
    TimedOut,
}

/// As told to a person.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completed => "completed",
            Self::RolledBack => "rolled back",
            Self::DeadlineExceeded => "given up",
            Self::Aborted => "aborted",
            Self::TimedOut => "not ended",
        })
    }
}

/// What a Rollout says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) generation: i64,
    pub(super) observed_generation: i64,
    pub(super) phase: String,
    pub(super) message: String,
    pub(super) waiting_for: String,
    pub(super) next: String,
    /// The index of the current step.
    pub(super) step: usize,
    /// The steps in a few words.
    pub(super) steps: Vec<String>,
    /// The weight of the new version.
    pub(super) weight: i64,
    pub(super) pods: Pods,
    /// The hash of the version that is declared.
    pub(super) declared: String,
    /// The hash of the version that serves.
    pub(super) stable: String,
    pub(super) aborted: bool,
    pub(super) abort_cause: String,
}

/// Pods as counted in the status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pods {
    pub(super) all: i64,
    pub(super) new: i64,
    pub(super) available: i64,
}

impl Seen {
    /// Reads what is there; what is missing is empty, as in a Rollout that nobody has looked at yet.
    pub(super) fn read(object: &Value) -> Self {
        let text = |path: &str| {
            let found = object.pointer(path).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let steps = object
            .pointer("/spec/strategy/canary/steps")
            .and_then(Value::as_array);
        // A switch is all or nothing.
        let (active, declared) = (
            text("/status/blueGreen/activeSelector"),
            text("/status/currentPodHash"),
        );
        let switched = if active.is_empty() || active != declared {
            0
        } else {
            100
        };
        Self {
            generation: number("/metadata/generation"),
            observed_generation: number("/status/observedGeneration"),
            phase: text("/status/phase"),
            message: text("/status/message"),
            waiting_for: text("/status/waitingFor"),
            next: text("/status/next/action"),
            step: usize::try_from(number("/status/currentStepIndex")).unwrap_or(0),
            steps: steps.into_iter().flatten().map(describe_step).collect(),
            weight: number("/status/canary/weights/canary/weight") + switched,
            pods: Pods {
                all: number("/status/replicas"),
                new: number("/status/updatedReplicas"),
                available: number("/status/availableReplicas"),
            },
            declared: text("/status/currentPodHash"),
            stable: text("/status/stableRS"),
            aborted: object.pointer("/status/abort") == Some(&Value::Bool(true)),
            abort_cause: text("/status/abortCause"),
        }
    }

    /// How the release of this generation ended, if it has.
    pub(super) fn outcome(&self, generation: i64) -> Option<Outcome> {
        if self.generation < generation || self.observed_generation < self.generation {
            return None;
        }
        if self.aborted {
            return Some(if self.abort_cause.starts_with("AnalysisRun ") {
                Outcome::RolledBack
            } else if self.abort_cause.starts_with("no progress ") {
                Outcome::DeadlineExceeded
            } else {
                Outcome::Aborted
            });
        }
        let serves = !self.stable.is_empty() && self.declared == self.stable;
        (serves && self.phase == "Healthy").then_some(Outcome::Completed)
    }
}

fn describe_step(step: &Value) -> String {
    if let Some(weight) = step.get("setWeight") {
        return format!("setWeight {weight}");
    }
    if let Some(analysis) = step.get("analysis") {
        let name = analysis.pointer("/templates/0/templateName");
        return format!(
            "analysis {}",
            name.and_then(Value::as_str).unwrap_or_default()
        );
    }
    let member = step.as_object().and_then(|step| step.keys().next());
    member.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(status: &Value) -> Seen {
        Seen::read(&json!({
            "metadata": {"generation": 7},
            "spec": {"strategy": {"canary": {"steps": [
                {"setWeight": 5}, {"analysis": {"templates": [{"templateName": "error-share"}]}}, {"pause": {}},
            ]}}},
            "status": status,
        }))
    }

    #[test]
    fn a_release_has_completed_when_what_is_declared_serves() {
        let healthy = |declared: &str, observed: i64| {
            seen(&json!({
                "observedGeneration": observed, "phase": "Healthy", "currentPodHash": declared, "stableRS": "abc",
            }))
            .outcome(7)
        };
        assert_eq!(healthy("abc", 7), Some(Outcome::Completed));
        assert_eq!(healthy("def", 7), None);
        assert_eq!(healthy("abc", 6), None);
        assert_eq!(seen(&json!({})).outcome(7), None);
    }

    #[test]
    fn what_was_seen_before_the_change_says_nothing_about_it() {
        let before = seen(&json!({
            "observedGeneration": 7, "phase": "Healthy", "currentPodHash": "abc", "stableRS": "abc",
        }));
        assert_eq!(before.outcome(8), None);
    }

    #[test]
    fn the_cause_tells_a_rollback_from_a_deadline() {
        let aborted = |cause: &str| {
            seen(&json!({"observedGeneration": 7, "phase": "Degraded", "abort": true, "abortCause": cause})).outcome(7)
        };
        assert_eq!(
            aborted("AnalysisRun demo-def-3-1 is Failed: metric error-share"),
            Some(Outcome::RolledBack)
        );
        assert_eq!(
            aborted("no progress for 20 seconds: 0 of 1 pods are available"),
            Some(Outcome::DeadlineExceeded)
        );
        assert_eq!(aborted("requested by ann"), Some(Outcome::Aborted));
    }

    #[test]
    fn a_switch_gives_the_declared_version_everything() {
        let weight = |active: &str| {
            let status = json!({"currentPodHash": "def", "blueGreen": {"activeSelector": active}});
            seen(&status).weight
        };
        assert_eq!((weight("abc"), weight("def")), (0, 100));
        assert_eq!(seen(&json!({"currentPodHash": "def"})).weight, 0);
    }

    #[test]
    fn steps_are_named_by_what_they_do() {
        assert_eq!(
            seen(&json!({})).steps,
            ["setWeight 5", "analysis error-share", "pause"]
        );
    }
}
