//! Counts requests to the Kubernetes API, by what they ask for and never by whom: names of objects and namespaces are
//! in the paths and must not get into labels.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response, StatusCode, Uri};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
};
use tower::{Layer, Service};

/// Every resource that Tidegate asks for. What is not in this list counts as `other`, since a reference in a Rollout
/// can name any kind at all.
const RESOURCES: [&str; 34] = [
    "analysisruns",
    "analysistemplates",
    "apisixroutes",
    "clusteranalysistemplates",
    "configmaps",
    "customresourcedefinitions",
    "deployments",
    "destinationrules",
    "endpoints",
    "endpointslices",
    "events",
    "experiments",
    "gateways",
    "grpcroutes",
    "horizontalpodautoscalers",
    "httpproxies",
    "httproutes",
    "ingresses",
    "jobs",
    "leases",
    "namespaces",
    "nodes",
    "pods",
    "replicasets",
    "rollouts",
    "secrets",
    "serviceaccounts",
    "services",
    "statefulsets",
    "tcproutes",
    "tlsroutes",
    "traefikservices",
    "trafficsplits",
    "virtualservices",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    verb: &'static str,
    resource: &'static str,
    code: Code,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Code {
    Answered(StatusCode),
    Error,
    Cancelled,
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            // Servers may make codes up to 999; the standard's are enough to count by.
            Self::Answered(code) if code.as_u16() < 600 => {
                EncodeLabelValue::encode(&code.as_u16(), encoder)
            }
            Self::Answered(_) => EncodeLabelValue::encode(&"other", encoder),
            Self::Error => EncodeLabelValue::encode(&"error", encoder),
            Self::Cancelled => EncodeLabelValue::encode(&"cancelled", encoder),
        }
    }
}

/// Wraps a client's transport in [`CountRequests`].
pub struct CountLayer<B> {
    counters: Family<RequestLabels, Counter>,
    body: PhantomData<fn(B)>,
}

impl<B> CountLayer<B> {
    pub(super) fn new(counters: Family<RequestLabels, Counter>) -> Self {
        Self {
            counters,
            body: PhantomData,
        }
    }
}

impl<B, S> Layer<S> for CountLayer<B> {
    type Service = CountRequests<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountRequests {
            inner,
            counters: self.counters.clone(),
        }
    }
}

/// A transport whose requests are counted when their answer begins, or when they are given up.
#[derive(Clone, Debug)]
pub struct CountRequests<S> {
    inner: S,
    counters: Family<RequestLabels, Counter>,
}

impl<S, Asked, Answered> Service<Request<Asked>> for CountRequests<S>
where
    S: Service<Request<Asked>, Response = Response<Answered>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        let (verb, resource) = name(request.method(), request.uri());
        let labels = RequestLabels {
            verb,
            resource,
            code: Code::Cancelled,
        };
        let mut count = CountOnDrop {
            labels,
            counters: self.counters.clone(),
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            count.ends_with(
                answer
                    .as_ref()
                    .map_or(Code::Error, |answer| Code::Answered(answer.status())),
            );
            answer
        })
    }
}

struct CountOnDrop {
    labels: RequestLabels,
    counters: Family<RequestLabels, Counter>,
}

impl CountOnDrop {
    /// A method, because an async block would capture a copy of the field.
    fn ends_with(&mut self, code: Code) {
        self.labels.code = code;
    }
}

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.counters.get_or_create(&self.labels).inc();
    }
}

/// Verb and resource of a request, in the words of Kubernetes' RBAC.
fn name(method: &Method, uri: &Uri) -> (&'static str, &'static str) {
    let segments: Vec<&str> = uri
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let below_version = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        ["api" | "apis", ..] => &[],
        _ => return (verb(method, true, false), "other"),
    };
    let (resource, named) = match below_version {
        [] => return ("get", "discovery"),
        ["namespaces", _, resource @ ("status" | "finalize")] => (*resource, true),
        ["namespaces", _namespace, resource, rest @ ..] => (*resource, !rest.is_empty()),
        [resource, rest @ ..] => (*resource, !rest.is_empty()),
    };
    let known = RESOURCES
        .iter()
        .find(|known| **known == resource)
        .copied()
        .unwrap_or("other");
    let watches = uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|parameter| matches!(parameter, "watch" | "watch=true" | "watch=1"))
    });
    (verb(method, named, watches), known)
}

fn verb(method: &Method, named: bool, watches: bool) -> &'static str {
    match (method.as_str(), named) {
        ("GET", _) if watches => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_without_names() {
        let table = [
            (
                "GET",
                "/api/v1/namespaces/demo/services/app",
                "get",
                "services",
            ),
            (
                "GET",
                "/api/v1/namespaces/demo/services",
                "list",
                "services",
            ),
            (
                "GET",
                "/api/v1/services?&watch=true&timeoutSeconds=290",
                "watch",
                "services",
            ),
            (
                "GET",
                "/api/v1/services?labelSelector=watch",
                "list",
                "services",
            ),
            (
                "GET",
                "/apis/tidegate.dev/v1alpha1/rollouts?&limit=500",
                "list",
                "rollouts",
            ),
            (
                "PATCH",
                "/apis/tidegate.dev/v1alpha1/namespaces/demo/rollouts/app/status",
                "patch",
                "rollouts",
            ),
            (
                "POST",
                "/apis/apps/v1/namespaces/demo/replicasets?fieldValidation=Strict",
                "create",
                "replicasets",
            ),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/tidegate/leases/tidegate",
                "update",
                "leases",
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/demo/replicasets/app-1",
                "delete",
                "replicasets",
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/demo/replicasets",
                "deletecollection",
                "replicasets",
            ),
            ("GET", "/api/v1/namespaces/demo", "get", "namespaces"),
            ("GET", "/api/v1/namespaces", "list", "namespaces"),
            (
                "GET",
                "/apis/evil.example/v1/namespaces/demo/customers-of-acme/bob",
                "get",
                "other",
            ),
            ("GET", "/apis/apps/v1", "get", "discovery"),
            ("GET", "/apis", "get", "discovery"),
            ("GET", "/version", "get", "other"),
            ("GET", "/", "get", "other"),
            ("BREW", "/api/v1/namespaces/demo/pods/a", "other", "pods"),
        ];
        for (method, uri, verb, resource) in table {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(
                name(&method, &uri.parse().expect("a uri")),
                (verb, resource),
                "{method} {uri}"
            );
        }
    }
}
