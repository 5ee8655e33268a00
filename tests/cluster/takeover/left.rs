//! Objects as the controller of Argo Rollouts leaves them: names, hashes, annotations and status are its own.

use serde_json::{Value, json};

use crate::cluster::harness::{App, Rollout, SOON, World, eventually};

/// Its hash of version 1, and of version 2: no relation to ours.
pub const V1: &str = "687d76d795";
pub const V2: &str = "6f5b8d4c9f";
const SINCE: &str = "2026-01-01T00:00:00Z";

/// A ReplicaSet that it has made.
pub struct Left {
    pub hash: &'static str,
    pub revision: i64,
    pub replicas: i64,
}

/// A condition in its shape.
pub fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": reason,
        "lastTransitionTime": SINCE, "lastUpdateTime": SINCE,
    })
}

/// What stands in every status of its making.
pub fn status(change: &Value) -> Value {
    let mut status = json!({
        "HPAReplicas": 2, "availableReplicas": 2, "readyReplicas": 2, "replicas": 2, "updatedReplicas": 2,
        "blueGreen": {}, "canary": {},
        "conditions": [
            condition("Available", "True", "AvailableReason"),
            condition("Progressing", "True", "NewReplicaSetAvailable"),
            condition("Healthy", "True", "RolloutHealthy"),
            condition("Completed", "True", "RolloutCompleted"),
        ],
        "currentPodHash": V1, "stableRS": V1, "currentStepHash": "5f47fbdb5b",
        "phase": "Healthy", "selector": "app=demo",
    });
    json_patch::merge(&mut status, change);
    status
}

impl World {
    /// Puts everything there, with pods that serve.
    pub async fn leave(
        &self,
        app: &App,
        image: &str,
        sets: &[Left],
        pins: [&str; 2],
        status: &Value,
    ) {
        let mut rollout = app.rollout();
        rollout["apiVersion"] = json!("argoproj.io/v1alpha1");
        rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        let mut services = app.services();
        for (service, pin) in services.iter_mut().zip(pins) {
            service["spec"]["selector"]["rollouts-pod-template-hash"] = json!(pin);
            service["metadata"]["annotations"] =
                json!({"argo-rollouts.argoproj.io/managed-by-rollouts": "demo"});
        }
        self.apply(&services).await;
        self.apply(&[rollout.clone(), app.ingress(self.namespace())])
            .await;
        let stored = self.rollout().await;
        let owner = owner(&stored);
        let made: Vec<Value> = sets
            .iter()
            .map(|set| replica_set(&rollout, set, &owner))
            .collect();
        self.apply(&made).await;
        if status.pointer("/canary/weights").is_some() {
            let weight = &status["canary"]["weights"]["canary"]["weight"];
            self.apply(&[canary_ingress(
                &app.ingress(self.namespace()),
                weight,
                &owner,
            )])
            .await;
        }
        for set in sets {
            let name = format!("demo-{}", set.hash);
            eventually(SOON, &format!("the pods of {name}"), || async {
                let found = self.get("replicasets", &name).await.unwrap();
                let available = found["status"]["availableReplicas"].as_i64().unwrap_or(0);
                if available == set.replicas {
                    Ok(())
                } else {
                    Err(found["status"].to_string())
                }
            })
            .await;
        }
        let mut status = status.clone();
        status["observedGeneration"] = json!(stored.at("/metadata/generation").to_string());
        self.patch("rollouts", "demo/status", &json!({"status": status}))
            .await;
    }

    /// Names of all pods.
    pub async fn all_pods(&self) -> Vec<String> {
        let pods = self.list("pods").await;
        let mut names: Vec<_> = pods
            .iter()
            .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Waits until our controller has written a status, as only ours does.
    pub async fn taken_over(&self) -> Rollout {
        self.until(SOON, "the Rollout is taken over", |rollout| {
            rollout.at("/status/revision").is_i64()
        })
        .await
    }
}

fn owner(rollout: &Rollout) -> Value {
    json!([{
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "demo",
        "uid": rollout.at("/metadata/uid"), "controller": true, "blockOwnerDeletion": true,
    }])
}

fn replica_set(rollout: &Value, set: &Left, owner: &Value) -> Value {
    let mut template = rollout["spec"]["template"].clone();
    // Its template goes through typed structs, which leave empty fields behind.
    template["metadata"]["creationTimestamp"] = Value::Null;
    template["metadata"]["labels"]["rollouts-pod-template-hash"] = json!(set.hash);
    template["spec"]["containers"][0]["resources"] = json!({});
    let version = if set.hash == V1 { "demo:v1" } else { "demo:v2" };
    template["spec"]["containers"][0]["image"] = json!(version);
    let labels = template["metadata"]["labels"].clone();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("demo-{}", set.hash),
            "labels": labels,
            "annotations": {
                "rollout.argoproj.io/revision": set.revision.to_string(),
                "rollout.argoproj.io/desired-replicas": "2",
            },
            "ownerReferences": owner,
        },
        "spec": {"replicas": set.replicas, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// The second Ingress, which leads to the canary Service.
fn canary_ingress(stable: &Value, weight: &Value, owner: &Value) -> Value {
    let mut ingress = stable.clone();
    ingress["metadata"] = json!({
        "name": "demo-demo-canary",
        "annotations": {
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": weight.to_string(),
        },
        "ownerReferences": owner,
    });
    let backend = ingress.pointer_mut("/spec/rules/0/http/paths/0/backend/service/name");
    *backend.unwrap() = json!("demo-canary");
    ingress
}
