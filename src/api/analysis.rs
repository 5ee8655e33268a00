//! The analysis part of the API: templates, metrics, runs, and how a Rollout refers to them.
//!
//! Only shapes live here. Whether a value makes sense is [`crate::analysis::validate`]'s concern,
//! what the numbers mean for a version is [`crate::analysis::decide`]'s.

pub mod provider;
pub mod rollout;
pub mod run;
pub mod template;

pub use provider::{
    BasicAuth, FreeForm, Header, JobMetadata, JobMetric, MetricProvider, OAuth2,
    PrometheusAuthentication, PrometheusMetric, RangeQuery, Sigv4, WebMethod, WebMetric,
};
pub use rollout::{
    AnalysisRunArgument, AnalysisRunMetadata, AnalysisTemplateRef, ArgumentValueFrom,
    PodTemplateHashValue, RolloutAnalysis, RolloutAnalysisBackground,
};
pub use run::{
    AnalysisPhase, AnalysisRunSpec, AnalysisRunStatus, Measurement, MeasurementPhase, MetricResult,
    RunSummary, TtlStrategy,
};
pub use template::{
    AnalysisTemplateSpec, Argument, DryRun, FieldRef, MeasurementRetention, Metric, NoData,
    NoDataPolicy, SecretKeyRef, ValueFrom,
};
