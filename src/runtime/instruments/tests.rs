use std::{collections::BTreeSet, convert::Infallible};

use http::{Request, Response};
use kube::client::Body;
use tower::{Layer, ServiceExt};

use super::*;

const SAMPLE: RolloutSample = RolloutSample {
    strategy: "canary",
    phase: "Progressing",
    weight: 20,
    replicas: ReplicaCounts {
        desired: 10,
        updated: 2,
        ready: 11,
        available: 9,
    },
};

/// The samples of the families whose name begins like this, without values of histograms' buckets.
fn samples(instruments: &Instruments, prefix: &str) -> Vec<String> {
    let text = instruments.text().expect("text");
    text.lines()
        .filter(|line| line.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_rollout_has_series_as_long_as_it_lives() {
    let instruments = Instruments::new();
    instruments.upsert(
        "demo",
        "app",
        RolloutSample {
            phase: "Healthy",
            ..SAMPLE
        },
    );
    instruments.upsert("demo", "app", SAMPLE);
    instruments.upsert("demo", "gone", SAMPLE);
    instruments.upsert("demo", "unlisted", SAMPLE);
    instruments.remove("demo", "gone");
    instruments.retain(|_, name| name != "unlisted");
    assert_eq!(
        samples(&instruments, "tidegate_rollout"),
        [
            r#"tidegate_rollout_info{namespace="demo",name="app",strategy="canary",phase="Progressing"} 1"#,
            r#"tidegate_rollout_weight{namespace="demo",name="app"} 20"#,
            r#"tidegate_rollout_replicas{namespace="demo",name="app",state="desired"} 10"#,
            r#"tidegate_rollout_replicas{namespace="demo",name="app",state="updated"} 2"#,
            r#"tidegate_rollout_replicas{namespace="demo",name="app",state="ready"} 11"#,
            r#"tidegate_rollout_replicas{namespace="demo",name="app",state="available"} 9"#,
        ]
    );
}

#[test]
fn what_is_noted_is_shown_under_its_name() {
    let instruments = Instruments::new();
    instruments.reconciled("Rollout", "changed", Duration::from_millis(30));
    instruments.reconcile_failed("Rollout", "conflict");
    instruments.acted("setWeight", "done");
    instruments.measured("prometheus", "success", Duration::from_millis(30));
    instruments.set_leader(true);
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        format!(r#"tidegate_build_info{{version="{version}"}} 1"#),
        r#"tidegate_reconcile_seconds_count{kind="Rollout",outcome="changed"} 1"#.to_owned(),
        r#"tidegate_reconcile_errors_total{kind="Rollout",category="conflict"} 1"#.to_owned(),
        r#"tidegate_actions_total{action="setWeight",outcome="done"} 1"#.to_owned(),
        r#"tidegate_measurement_seconds_count{provider="prometheus",outcome="success"} 1"#
            .to_owned(),
        "tidegate_leader 1".to_owned(),
    ];
    let shown = samples(&instruments, "tidegate_");
    let missing: Vec<_> = expected
        .iter()
        .filter(|line| !shown.contains(line))
        .collect();
    assert!(missing.is_empty(), "missing {missing:?} in {shown:#?}");
}

/// Sends requests through the layer to a server that answers with `status`, or not at all.
async fn request(instruments: &Instruments, method: &str, uri: &str, status: Option<u16>) {
    let server = tower::service_fn(move |_request: Request<Body>| async move {
        match status {
            Some(status) => Ok::<_, Infallible>(
                Response::builder()
                    .status(status)
                    .body(Body::empty())
                    .expect("a response"),
            ),
            None => std::future::pending().await,
        }
    });
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::empty())
        .expect("a request");
    let call = instruments
        .count_requests::<Body>()
        .layer(server)
        .oneshot(request);
    drop(tokio::time::timeout(Duration::from_secs(1), call).await);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_their_answer_and_when_given_up() {
    let instruments = Instruments::new();
    let pods = "/api/v1/namespaces/demo/pods";
    for status in [Some(200), Some(200), Some(409), Some(799), None] {
        request(&instruments, "GET", pods, status).await;
    }
    let shown: BTreeSet<_> = samples(&instruments, "tidegate_api_requests_total")
        .into_iter()
        .collect();
    let expected = [("200", 2), ("409", 1), ("cancelled", 1), ("other", 1)].map(|(code, count)| {
        format!(
            r#"tidegate_api_requests_total{{verb="list",resource="pods",code="{code}"}} {count}"#
        )
    });
    assert_eq!(shown, BTreeSet::from(expected));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_series_does_not_grow_with_the_objects() {
    let instruments = Instruments::new();
    let mut sizes = Vec::new();
    for round in 0..3 {
        for object in 0..200 {
            let id = 200 * round + object;
            request(
                &instruments,
                "GET",
                &format!("/api/v1/namespaces/n{id}/services/s{id}"),
                Some(200),
            )
            .await;
            request(
                &instruments,
                "GET",
                &format!("/apis/g{id}.io/v1/namespaces/n{id}/kind{id}s/x"),
                Some(200),
            )
            .await;
            request(
                &instruments,
                "PATCH",
                &format!("/unheard/of/{id}"),
                Some(404),
            )
            .await;
        }
        sizes.push(instruments.text().expect("text").lines().count());
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
}
