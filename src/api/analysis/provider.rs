//! Where a metric comes from: one field per provider.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The source of a metric. Exactly one field is set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricProvider {
    /// A Prometheus server, or anything that speaks its HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusMetric>,
    /// An HTTP endpoint that answers with JSON or text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<WebMetric>,
    /// A Kubernetes Job whose completion is the measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobMetric>,
    /// Datadog. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datadog: Option<FreeForm>,
    /// New Relic. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_relic: Option<FreeForm>,
    /// Wavefront. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wavefront: Option<FreeForm>,
    /// Amazon CloudWatch. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch: Option<FreeForm>,
    /// Graphite. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphite: Option<FreeForm>,
    /// InfluxDB. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influxdb: Option<FreeForm>,
    /// Apache SkyWalking. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skywalking: Option<FreeForm>,
    /// Kayenta. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kayenta: Option<FreeForm>,
    /// Provider plugins by name. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<FreeForm>,
}

/// A query to Prometheus.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusMetric {
    /// Base address, such as `http://prometheus.monitoring.svc:9090`. Defaults to the one the controller was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub address: Option<String>,
    /// The PromQL query. `{{args.<name>}}` stands for an argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub query: Option<String>,
    /// How the controller authenticates. A bearer token is sent with `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PrometheusAuthentication>,
    /// Seconds after which a query is given up. Defaults to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout: Option<i64>,
    /// Accept any TLS certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// Certificates in PEM of the authorities that may have signed the server's, in the place of those of the system. May be
    /// an argument from a Secret, `{{args.<name>}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_cert: Option<String>,
    /// Headers sent with each query, such as `Authorization` or `X-Scope-OrgID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub headers: Vec<Header>,
    /// Ask for a range instead of a point in time. `result` is then a list of all values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_query: Option<RangeQuery>,
}

/// A request to an HTTP endpoint.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebMetric {
    /// The method. Defaults to `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<WebMethod>,
    /// Where to ask. May hold arguments, also from Secrets, as `{{args.<name>}}`. The address must be allowed, as those of
    /// metric servers must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub url: Option<String>,
    /// Headers sent with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub headers: Vec<Header>,
    /// What is sent, as text. Only with `POST` and `PUT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
    /// What is sent, as JSON, instead of `body`. Arguments may stand in its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_body: Option<FreeForm>,
    /// Seconds after which the request is given up. Defaults to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300))]
    pub timeout_seconds: Option<i64>,
    /// Where in the answer's JSON the value is, such as `{$.data.errors}`. Defaults to `{$}`, the whole. Several values at
    /// the path are a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub json_path: Option<String>,
    /// Accept any TLS certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// How the controller authenticates. A bearer token is sent with `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PrometheusAuthentication>,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WebMethod {
    /// `GET`
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// `POST`
    #[serde(rename = "POST")]
    Post,
    /// `PUT`
    #[serde(rename = "PUT")]
    Put,
}

/// A Job in the namespace of the AnalysisRun. It is good when it completes and bad when it fails.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobMetric {
    /// Labels and annotations of the Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JobMetadata>,
    /// The Job's spec, which the API server checks. `{{args.<name>}}` stands for an argument that is no Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<FreeForm>,
}

/// Labels and annotations of a Job.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobMetadata {
    /// Labels. They do not override those the controller sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Credentials for a metric server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusAuthentication {
    /// Sign requests for Amazon Managed Prometheus. Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<Sigv4>,
    /// Get a token by OAuth2 client credentials, for each measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// User name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
}

/// AWS Signature Version 4.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sigv4 {
    /// The AWS region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The AWS profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The ARN of the role to assume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
}

/// OAuth2 client credentials.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where tokens are issued. The address must be allowed, as those of metric servers must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub token_url: Option<String>,
    /// The client's identity. May be an argument from a Secret, `{{args.<name>}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub client_id: Option<String>,
    /// The client's secret, as `{{args.<name>}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub client_secret: Option<String>,
    /// Scopes to ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub scopes: Vec<String>,
}

/// HTTP basic authentication.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The user's name. May be an argument from a Secret, `{{args.<name>}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub username: Option<String>,
    /// The password, as `{{args.<name>}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub password: Option<String>,
}

/// An HTTP header.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The header's name.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// The header's value. May hold arguments, also from Secrets, as `{{args.<name>}}`.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// The range of a range query. All fields are needed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeQuery {
    /// The start of the range: `now()` or `date("2026-01-02T03:04:05Z")`, and durations before or after it, such as
    /// `now() - duration("5m")`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub start: Option<String>,
    /// The end of the range, such as `now()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub end: Option<String>,
    /// Distance of two points, such as `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub step: Option<String>,
}

/// An object whose fields are kept as they are and are not checked by the schema.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FreeForm(pub Map<String, Value>);

impl JsonSchema for FreeForm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FreeForm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}
