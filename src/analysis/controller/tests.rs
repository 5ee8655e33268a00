mod answers;
mod credentials;
mod web;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use kube::client::Body;
use serde_json::json;
use wiremock::matchers::query_param;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::api::analysis::AnalysisPhase;
use crate::api::names::{ApiNames, Kind};
use crate::runtime::client::install_crypto_provider;

/// An API server with one AnalysisRun and some Secrets, and a Prometheus.
struct World {
    run: Arc<Mutex<Value>>,
    /// Method and path of each request to the API server.
    requests: Arc<Mutex<Vec<String>>>,
    prometheus: MockServer,
    context: Context,
}

impl World {
    async fn new(metrics: Value, secrets: &[(&str, &str)]) -> Self {
        install_crypto_provider();
        let prometheus = MockServer::start().await;
        let run = Arc::new(Mutex::new(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisRun",
            "metadata": {"name": "run", "namespace": "shop", "uid": "u", "resourceVersion": "1"},
            "spec": {
                "metrics": metrics,
                "args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "prometheus", "key": "token"}}}],
            },
        })));
        let requests = Arc::default();
        let client = api_server(&run, &requests, secrets);
        let context = Context {
            client,
            resource: super::act::StatusResource {
                resource: ApiNames::default().resource(Kind::AnalysisRun),
                subresource: true,
            },
            names: ApiNames::default(),
            fence: crate::runtime::lease::Leadership::without_election().fence,
            clock: Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap()),
            metrics: Arc::new(super::super::providers::connection::client().unwrap()),
            allow_list: AllowList::cluster_local(Some(&prometheus.uri())),
            installation: Installation {
                address: Some(prometheus.uri()),
                ..Installation::default()
            },
            permits: Arc::new(Semaphore::new(8)),
            instruments: crate::runtime::instruments::Instruments::new(),
        };
        Self {
            run,
            requests,
            prometheus,
            context,
        }
    }

    async fn answers(self, query: &str, value: &str, delay: Duration) -> Self {
        let body = json!({"status": "success", "data": {
            "resultType": "vector", "result": [{"metric": {}, "value": [1, value]}],
        }});
        Mock::given(query_param("query", query))
            .respond_with(
                ResponseTemplate::new(200)
                    .set_body_json(body)
                    .set_delay(delay),
            )
            .mount(&self.prometheus)
            .await;
        self
    }

    async fn reconcile(&self) -> Reconciled {
        let run = self.run.lock().unwrap().clone();
        reconcile(&run, Vec::new(), &self.context).await.unwrap()
    }

    fn status(&self) -> AnalysisRunStatus {
        let status = self.run.lock().unwrap().get("status").cloned();
        status
            .map(|status| serde_json::from_value(status).unwrap())
            .unwrap_or_default()
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// The message of the only metric's newest measurement.
    fn newest_message(&self) -> String {
        let status = self.status();
        let measurement = status.metric_results[0]
            .measurements
            .last()
            .cloned()
            .unwrap_or_default();
        measurement.message.unwrap_or_default()
    }
}

fn api_server(
    run: &Arc<Mutex<Value>>,
    requests: &Arc<Mutex<Vec<String>>>,
    secrets: &[(&str, &str)],
) -> Client {
    let data: BTreeMap<String, ByteString> = secrets
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect();
    let secret = json!({"metadata": {"name": "prometheus"}, "data": data});
    let (run, requests) = (run.clone(), requests.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (run, requests, secret) = (run.clone(), requests.clone(), secret.clone());
        async move {
            let path = request.uri().path().to_owned();
            let method = request.method().clone();
            requests.lock().unwrap().push(format!("{method} {path}"));
            let body = request.into_body().collect_bytes().await.unwrap();
            let (code, answer) =
                if method == Method::GET && path == "/api/v1/namespaces/shop/secrets/prometheus" {
                    if secret["data"] == json!({}) {
                        refusal(404, "NotFound")
                    } else {
                        (200, secret)
                    }
                } else if method == Method::PATCH
                    && path.ends_with("/namespaces/shop/analysisruns/run/status")
                {
                    patch(
                        &mut run.lock().unwrap(),
                        &serde_json::from_slice(&body).unwrap(),
                    )
                } else {
                    refusal(405, "MethodNotAllowed")
                };
            let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
            Ok::<_, Infallible>(
                response
                    .body(Body::from(answer.to_string().into_bytes()))
                    .unwrap(),
            )
        }
    });
    Client::new(service, "shop")
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}),
    )
}

fn patch(run: &mut Value, patch: &Value) -> (u16, Value) {
    let version = run["metadata"]["resourceVersion"].clone();
    if patch["metadata"]["resourceVersion"] != version {
        return refusal(409, "Conflict");
    }
    json_patch::merge(run, &json!({"status": patch["status"]}));
    let next = version.as_str().unwrap().parse::<u32>().unwrap() + 1;
    run["metadata"]["resourceVersion"] = json!(next.to_string());
    (200, run.clone())
}

fn metric(name: &str, query: &str, change: &Value) -> Value {
    let mut metric = json!({
        "name": name, "successCondition": "result[0] < 0.05", "provider": {"prometheus": {"query": query}},
    });
    json_patch::merge(&mut metric, change);
    metric
}

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn a_good_run_is_measured_and_ends_with_its_evidence() {
    let world = World::new(
        json!([metric(
            "errors",
            "up",
            &json!({"interval": "30s", "count": 2})
        )]),
        &[],
    )
    .await;
    let world = world.answers("up", "0.01", AT_ONCE).await;

    let first = world.reconcile().await;
    assert_eq!(
        (world.status().phase, first.requeue.unwrap().as_secs()),
        (Some(AnalysisPhase::Running), 30)
    );
    assert_eq!(
        world.requests(),
        ["PATCH /apis/tidegate.dev/v1alpha1/namespaces/shop/analysisruns/run/status"]
    );

    assert_eq!(
        world.reconcile().await.written,
        None,
        "nothing is due, so nothing is written"
    );
    assert_eq!(world.requests(), Vec::<String>::new());

    world.context.clock.step(SignedDuration::from_secs(31));
    let last = world.reconcile().await;
    let status = world.status();
    let newest = status.metric_results[0].measurements[1].clone();
    assert_eq!(
        (status.phase, last.requeue),
        (Some(AnalysisPhase::Successful), None)
    );
    assert_eq!(
        (newest.value.as_deref(), newest.query.as_deref()),
        (Some("[0.01]"), Some("up"))
    );
    assert_eq!(
        (last.written.as_deref(), last.notes[0].reason),
        (Some("3"), "AnalysisRunSuccessful")
    );
}

#[tokio::test]
async fn a_bad_value_ends_the_run_without_waiting_for_a_slow_metric() {
    let metrics = json!([
        metric("slow", "slow", &json!({})),
        metric("errors", "up", &json!({}))
    ]);
    let world = World::new(metrics, &[]).await;
    let world = world
        .answers("up", "0.21", AT_ONCE)
        .await
        .answers("slow", "0", Duration::from_secs(20))
        .await;
    let started = tokio::time::Instant::now();
    world.reconcile().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        world.status().message.as_deref(),
        Some(
            "metric \"errors\" assessed Failed: [0.21] does not satisfy `result[0] < 0.05`; 1 failure exceeds failureLimit 0"
        )
    );
}

#[tokio::test]
async fn a_secret_is_sent_and_never_shown() {
    let world = World::new(
        json!([metric("errors", "up{t=\"{{args.token}}\"}", &json!({}))]),
        &[("token", "hunter2")],
    )
    .await;
    let world = world.answers("up{t=\"hunter2\"}", "0.01", AT_ONCE).await;
    world.reconcile().await;
    let status = world.status();
    assert_eq!(status.phase, Some(AnalysisPhase::Successful));
    let shown = serde_json::to_string(&status).unwrap();
    assert!(
        shown.contains("up{t=\\\"***\\\"}") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_a_server_repeats_of_a_secret_is_not_shown() {
    let refused = json!({"status": "error", "errorType": "bad_data", "error": "no token hunter2"});
    let text =
        json!({"status": "success", "data": {"resultType": "string", "result": [1, "hunter2"]}});
    for (answer, value, message) in [
        (
            ResponseTemplate::new(400).set_body_json(refused),
            None,
            "Prometheus answered 400: bad_data: no token ***",
        ),
        (
            ResponseTemplate::new(200).set_body_json(text),
            Some("***"),
            "`result[0] < 0.05` cannot be evaluated on ***: Invalid operand for operator []: Integer(0)",
        ),
    ] {
        let metrics = json!([metric("errors", "{{args.token}}", &json!({}))]);
        let world = World::new(metrics, &[("token", "hunter2")]).await;
        Mock::given(query_param("query", "hunter2"))
            .respond_with(answer)
            .mount(&world.prometheus)
            .await;
        world.reconcile().await;
        let found = world.status().metric_results[0].measurements[0].clone();
        assert_eq!(
            (found.value.as_deref(), found.message.as_deref()),
            (value, Some(message))
        );
    }
}

#[tokio::test]
async fn a_secret_is_not_read_for_an_address_that_is_not_allowed() {
    let elsewhere = json!({"provider": {"prometheus": {"address": "http://169.254.169.254"}}});
    let world = World::new(
        json!([metric("errors", "{{args.token}}", &elsewhere)]),
        &[("token", "hunter2")],
    )
    .await;
    world.reconcile().await;
    assert_eq!(
        world.newest_message(),
        "the address http://169.254.169.254 is not allowed; an administrator can allow it with --metric-address-allow"
    );
    assert!(
        !world
            .requests()
            .iter()
            .any(|request| request.contains("secrets"))
    );
}

#[tokio::test]
async fn a_missing_secret_is_an_error_that_names_it() {
    let metrics = json!([metric("errors", "{{args.token}}", &json!({}))]);
    for (secrets, message) in [
        (
            vec![],
            "argument \"token\": Secret shop/prometheus: there is none; create it",
        ),
        (
            vec![("other", "x")],
            "argument \"token\": Secret shop/prometheus has no key \"token\"",
        ),
    ] {
        let world = World::new(metrics.clone(), &secrets).await;
        let reconciled = world.reconcile().await;
        assert_eq!(world.newest_message(), message);
        // Tried again after 10 s, less what passed since the answer came.
        let again = reconciled.requeue.unwrap();
        assert!(
            again < Duration::from_secs(11) && again > Duration::from_secs(8),
            "{again:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_and_no_verdict() {
    let world = World::new(json!([metric("errors", "up", &json!({}))]), &[]).await;
    world.reconcile().await;
    let status = world.status();
    assert_eq!(
        (status.phase, status.metric_results[0].error),
        (Some(AnalysisPhase::Running), 1)
    );
    assert_eq!(world.newest_message(), "Prometheus answered 404");
}

#[tokio::test]
async fn a_run_that_changed_meanwhile_is_not_written_over() {
    let world = World::new(json!([metric("errors", "up", &json!({}))]), &[]).await;
    let world = world.answers("up", "0.01", AT_ONCE).await;
    let stale = world.run.lock().unwrap().clone();
    world.run.lock().unwrap()["metadata"]["resourceVersion"] = json!("9");
    let reconciled = reconcile(&stale, Vec::new(), &world.context).await.unwrap();
    assert_eq!(
        reconciled,
        Reconciled {
            requeue: Some(AFTER_CONFLICT),
            ..Reconciled::default()
        }
    );
    assert_eq!(world.status(), AnalysisRunStatus::default());
}

#[tokio::test]
async fn a_status_or_spec_that_cannot_be_read_ends_in_error() {
    for (field, value) in [
        ("status", json!({"phase": "Splendid"})),
        (
            "status",
            json!({"phase": "Running", "metricResults": "none"}),
        ),
        ("spec", json!({"metrics": [{"name": 7}]})),
    ] {
        let world = World::new(json!([metric("errors", "up", &json!({}))]), &[]).await;
        world.run.lock().unwrap()[field] = value.clone();
        world.reconcile().await;
        let status = world.status();
        assert_eq!(status.phase, Some(AnalysisPhase::Error), "{value}");
        assert!(
            status
                .message
                .clone()
                .unwrap()
                .starts_with(&format!("the {field} cannot be read: ")),
            "{status:?}"
        );
        assert_eq!(
            world.reconcile().await,
            Reconciled::default(),
            "and stays so"
        );
    }
}

#[tokio::test]
async fn a_terminated_run_measures_nothing_more() {
    let world = World::new(json!([metric("errors", "up", &json!({}))]), &[]).await;
    world.run.lock().unwrap()["spec"]["terminate"] = json!(true);
    world.reconcile().await;
    assert_eq!(world.status().phase, Some(AnalysisPhase::Inconclusive));
    assert_eq!(world.prometheus.received_requests().await.unwrap().len(), 0);
}
