//! How long one decision takes, beside parsing the same Rollout from JSON: `cargo bench`.
#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark ends when its set-up fails"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate::{
    api::{
        names::ApiNames, rollout::RolloutSpec, rollout_status::RolloutStatus, strategy::ServiceRole,
    },
    rollout::{
        decide::{decide, pod_template_hash},
        decision::Action,
        snapshot::{
            EndpointView, IngressView, ReplicaSetView, RolloutView, ServiceView, Snapshot, Workload,
        },
    },
};

fn main() {
    divan::main();
}

fn object() -> Value {
    let steps: Vec<Value> = (1..=5)
        .flat_map(|n| {
            [
                json!({"setWeight": n * 20}),
                json!({"pause": {"duration": "10m"}}),
            ]
        })
        .collect();
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "demo", "namespace": "default", "uid": "u", "generation": 2},
        "spec": {
            "replicas": 5,
            "selector": {"matchLabels": {"app": "demo"}},
            "template": {
                "metadata": {"labels": {"app": "demo"}},
                "spec": {"containers": [{"name": "demo", "image": "demo:v2"}]},
            },
            "strategy": {"canary": {
                "canaryService": "demo-canary",
                "stableService": "demo-stable",
                "trafficRouting": {"nginx": {"stableIngress": "demo"}},
                "steps": steps,
            }},
        },
    })
}

/// A canary of ten steps that is being scaled for its second weight, with everything it needs and the status of the look before.
fn snapshot() -> Snapshot {
    let mut snapshot = first_look();
    for action in decide(&snapshot).actions {
        if let Action::CreateIngress { name, object } = action {
            let view = IngressView {
                name: name.clone(),
                resource_version: "7".to_owned(),
                controller_uid: Some("u".to_owned()),
                annotations_written_by: None,
                object,
            };
            snapshot.ingresses.insert(name, view);
        }
    }
    snapshot.rollout.status = decide(&snapshot).status;
    assert_eq!(snapshot.ingresses.len(), 2, "nothing is missing");
    snapshot
}

/// The user's Ingress.
fn ingress() -> IngressView {
    let backend = json!({"service": {"name": "demo-stable", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    IngressView {
        name: "demo".to_owned(),
        resource_version: "7".to_owned(),
        object: json!({
            "metadata": {"name": "demo"},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "demo.local", "http": {"paths": paths}}]},
        }),
        ..IngressView::default()
    }
}

fn first_look() -> Snapshot {
    let object = object();
    let names = ApiNames::default();
    let spec: RolloutSpec = serde_json::from_value(object["spec"].clone()).unwrap();
    let new_hash = pod_template_hash(&spec, &RolloutStatus::default());
    let replica_set = |hash: &str, revision, replicas| ReplicaSetView {
        name: format!("demo-{hash}"),
        uid: hash.to_owned(),
        resource_version: "7".to_owned(),
        pod_template_hash: hash.to_owned(),
        revision,
        replicas,
        current: replicas,
        ready: replicas,
        available: replicas,
        ..ReplicaSetView::default()
    };
    let service = |name: &str, hash: &str, pods: i32, role: &str| ServiceView {
        name: name.to_owned(),
        resource_version: "7".to_owned(),
        selector: BTreeMap::from([
            ("app".to_owned(), "demo".to_owned()),
            (names.pod_template_hash.clone(), hash.to_owned()),
        ]),
        type_: "ClusterIP".to_owned(),
        managed_by: Some("demo".to_owned()),
        role: ServiceRole::named(role),
        endpoints: (0..pods)
            .map(|n| EndpointView {
                pod: format!("demo-{hash}-{n:05}"),
                ready: true,
                terminating: false,
            })
            .collect(),
        ..ServiceView::default()
    };
    let services = [
        service("demo-stable", "old", 5, "stable"),
        service("demo-canary", &new_hash, 1, "canary"),
    ];
    Snapshot {
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
        replica_sets: vec![replica_set("old", 1, 5), replica_set(&new_hash, 2, 1)],
        watched_since: None,
        foreign_replica_sets: Vec::new(),
        foreign_analysis_runs: Vec::new(),
        foreign_experiments: Vec::new(),
        services: services
            .into_iter()
            .map(|service| (service.name.clone(), service))
            .collect(),
        ingresses: BTreeMap::from([("demo".to_owned(), ingress())]),
        routes: BTreeMap::new(),
        unserved: std::collections::BTreeSet::new(),
        templates: BTreeMap::new(),
        analysis_runs: Vec::new(),
        pods: None,
        eviction_refused: None,
        refusal: None,
        compared: None,
        experiments: Vec::new(),
        pod_templates: BTreeMap::new(),
        workload: Workload::NotNamed,
        rollout: RolloutView {
            name: "demo".to_owned(),
            namespace: "default".to_owned(),
            uid: "u".to_owned(),
            generation: 2,
            spec: Ok(spec),
            status: RolloutStatus {
                stable_rs: "old".to_owned(),
                current_pod_hash: new_hash,
                current_step_index: Some(2),
                ..RolloutStatus::default()
            },
            request: None,
            deleting: false,
            object,
        },
        names,
    }
}

/// One decision in the middle of a canary of ten steps.
// Samples are long: what is asked is how many of them a busy controller makes.
#[divan::bench(sample_size = 1000)]
fn decide_a_ten_step_canary(bencher: divan::Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench(|| decide(divan::black_box(&snapshot)));
}

/// For the ratio: reading the same Rollout from its JSON text.
#[divan::bench(sample_size = 1000)]
fn parse_the_same_rollout(bencher: divan::Bencher<'_, '_>) {
    let text = object().to_string();
    bencher.bench(|| serde_json::from_str::<Value>(divan::black_box(&text)));
}
