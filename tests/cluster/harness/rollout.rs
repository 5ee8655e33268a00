//! The Rollout `demo` as a person sees it, and the states that tests wait for.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SOON, World, eventually};

/// One reading of a Rollout.
#[derive(Clone, Debug)]
pub struct Rollout(pub Value);

impl Rollout {
    /// The value at a JSON pointer, `null` where there is none.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// `status.phase`.
    pub fn phase(&self) -> &str {
        self.text("/status/phase")
    }

    /// `status.message`.
    pub fn message(&self) -> &str {
        self.text("/status/message")
    }

    /// The index of the current step.
    pub fn step(&self) -> i64 {
        self.at("/status/currentStepIndex").as_i64().unwrap_or(-1)
    }

    /// The weight of the new version.
    pub fn weight(&self) -> i64 {
        let weight = self.at("/status/canary/weights/canary/weight");
        weight.as_i64().unwrap_or(0)
    }

    /// Hash of the declared version.
    pub fn declared(&self) -> &str {
        self.text("/status/currentPodHash")
    }

    /// Hash of the version that serves.
    pub fn stable(&self) -> &str {
        self.text("/status/stableRS")
    }

    /// Why it was aborted; empty when it was not.
    pub fn abort_cause(&self) -> &str {
        self.text("/status/abortCause")
    }

    /// Whether the status is about the spec as it is.
    pub fn is_observed(&self) -> bool {
        // Text in the group of Argo Rollouts.
        let observed = self.at("/status/observedGeneration");
        let observed = observed
            .as_i64()
            .or_else(|| observed.as_str().and_then(|text| text.parse().ok()));
        observed == self.at("/metadata/generation").as_i64()
    }

    /// Whether it waits for a person or a timer, for this reason.
    pub fn is_paused_for(&self, reason: &str) -> bool {
        let conditions = self.at("/status/pauseConditions").as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["reason"] == reason)
    }

    /// `status`, `reason` and `message` of a condition.
    pub fn condition(&self, type_: &str) -> Option<[&str; 3]> {
        let conditions = self.at("/status/conditions").as_array()?;
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == type_)?;
        Some(["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default()))
    }

    /// The message of a condition that is True.
    pub fn told(&self, type_: &str) -> Option<&str> {
        match self.condition(type_)? {
            ["True", _, message] => Some(message),
            _ => None,
        }
    }
}

impl World {
    /// The Rollout now.
    pub async fn rollout(&self) -> Rollout {
        Rollout(self.get("rollouts", "demo").await.expect("the Rollout"))
    }

    /// Waits until the Rollout, in a status that is about its spec, fulfils `wanted`.
    pub async fn until(
        &self,
        within: Duration,
        what: &str,
        wanted: impl Fn(&Rollout) -> bool,
    ) -> Rollout {
        eventually(within, what, || async {
            let rollout = self.rollout().await;
            if rollout.is_observed() && wanted(&rollout) {
                Ok(rollout)
            } else {
                Err(rollout.at("/status").to_string())
            }
        })
        .await
    }

    /// Waits until what is declared serves.
    pub async fn healthy(&self) -> Rollout {
        self.until(SOON, "the Rollout is Healthy", |rollout| {
            rollout.phase() == "Healthy" && rollout.declared() == rollout.stable()
        })
        .await
    }

    /// Waits until it is paused in this step.
    pub async fn paused_at(&self, step: i64) -> Rollout {
        self.until(SOON, &format!("paused at step {step}"), |rollout| {
            rollout.step() == step && rollout.is_paused_for("CanaryPauseStep")
        })
        .await
    }

    /// Waits until a switch waits for a person or a timer.
    pub async fn paused_before_the_switch(&self) -> Rollout {
        self.until(SOON, "paused before the switch", |rollout| {
            rollout.is_paused_for("BlueGreenPause")
        })
        .await
    }

    /// Waits until the update is given up.
    pub async fn aborted(&self) -> Rollout {
        self.until(SOON, "the update is aborted", |rollout| {
            rollout.phase() == "Degraded" && !rollout.abort_cause().is_empty()
        })
        .await
    }

    /// Declares another image.
    pub async fn set_image(&self, image: &str) {
        let mut rollout = self.rollout().await;
        let containers = "/spec/template/spec/containers";
        let containers = rollout.0.pointer_mut(containers).unwrap();
        containers[0]["image"] = json!(image);
        let containers = containers.clone();
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        self.patch("rollouts", "demo", &patch).await;
    }

    /// Names of the pods that are to stay, of the version with this hash.
    pub async fn pods_of(&self, hash: &str) -> Vec<String> {
        let pods = self.list("pods").await;
        let own = pods.iter().filter(|pod| {
            pod["metadata"]["labels"][&self.names().pod_template_hash] == json!(hash)
                && pod["metadata"]["deletionTimestamp"].is_null()
        });
        own.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Says for the kubelet whether a pod is ready: `True` or `False`.
    pub async fn set_ready(&self, pod: &str, status: &str) {
        let mut object = self.get("pods", pod).await.expect("the pod");
        let conditions = object["status"]["conditions"].as_array_mut().unwrap();
        for condition in conditions.iter_mut() {
            if ["Ready", "ContainersReady"]
                .iter()
                .any(|type_| condition["type"] == *type_)
            {
                condition["status"] = json!(status);
            }
        }
        let patch = json!({"status": {"conditions": conditions}});
        self.patch("pods", &format!("{pod}/status"), &patch).await;
    }

    /// Waits until only pods of this version are left.
    pub async fn only_pods_of(&self, hash: &str) {
        eventually(SOON, "the other version's pods are gone", || async {
            let (all, own) = (
                self.list("pods").await.len(),
                self.pods_of(hash).await.len(),
            );
            if all == own && own > 0 {
                Ok(())
            } else {
                Err(format!("{own} of {all} pods are of {hash}"))
            }
        })
        .await;
    }

    /// The version that a Service is pinned to.
    pub async fn pin(&self, service: &str) -> Option<String> {
        let object = self.get("services", service).await?;
        let pin = &object["spec"]["selector"][&self.names().pod_template_hash];
        pin.as_str().map(str::to_owned)
    }

    /// Waits until a Service is pinned to this version.
    pub async fn pinned(&self, service: &str, hash: &str) {
        eventually(
            SOON,
            &format!("Service {service} is pinned to {hash}"),
            || async {
                let pin = self.pin(service).await;
                if pin.as_deref() == Some(hash) {
                    Ok(())
                } else {
                    Err(format!("{pin:?}"))
                }
            },
        )
        .await;
    }

    /// Reasons of the Events on the Rollout, with their notes.
    pub async fn told(&self) -> Vec<(String, String)> {
        let events = self.list("events").await;
        let about = events
            .iter()
            .filter(|event| event["regarding"]["kind"] == "Rollout");
        about
            .map(|event| {
                let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                (text("reason"), text("note"))
            })
            .collect()
    }
}
