//! Which providers this release knows, and which of them a metric names.

use super::fields::Fields;
use super::job::{self, JobPlan};
use super::prometheus::{self, PrometheusPlan};
use super::web::{self, WebPlan};
use crate::analysis::args::{ArgText, Args};
use crate::api::analysis::{Metric, SecretKeyRef};

/// Where a metric's values come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A query to Prometheus.
    Prometheus(PrometheusPlan),
    /// A request to an HTTP endpoint.
    Web(WebPlan),
    /// A Job.
    Job(JobPlan),
}

impl Source {
    /// The provider, as in manifests and in the label of the instruments.
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::Prometheus(_) => "prometheus",
            Self::Web(_) => "web",
            Self::Job(_) => "job",
        }
    }

    /// What is asked, with secrets left out. A Job asks nothing.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Prometheus(plan) => Some(plan.query.shown()),
            Self::Web(plan) => Some(plan.shown()),
            Self::Job(_) => None,
        }
    }

    /// Whether a measurement takes longer than an answer: it is begun, and found done later.
    pub const fn is_job(&self) -> bool {
        match self {
            Self::Prometheus(_) | Self::Web(_) => false,
            Self::Job(_) => true,
        }
    }
}

/// All Secrets that texts need, each with the name of its argument.
pub(super) fn secrets_of<'a>(
    texts: impl Iterator<Item = &'a ArgText>,
) -> impl Iterator<Item = (&'a str, &'a SecretKeyRef)> {
    texts.flat_map(ArgText::secrets)
}

pub(super) fn source(
    path: &str,
    metric: &Metric,
    args: &Args,
    errors: &mut Fields,
) -> Option<Source> {
    let provider = &metric.provider;
    let others = [
        ("datadog", &provider.datadog),
        ("newRelic", &provider.new_relic),
        ("wavefront", &provider.wavefront),
        ("cloudWatch", &provider.cloud_watch),
        ("graphite", &provider.graphite),
        ("influxdb", &provider.influxdb),
        ("skywalking", &provider.skywalking),
        ("kayenta", &provider.kayenta),
        ("plugin", &provider.plugin),
    ];
    let mut unsupported = false;
    for (name, _) in others.into_iter().filter(|(_, value)| value.is_some()) {
        unsupported = true;
        errors.add(
            format!("{path}.provider.{name}"),
            "this provider is not supported by this release; use prometheus, web or job",
        );
    }
    let path = format!("{path}.provider");
    match (&provider.prometheus, &provider.web, &provider.job) {
        (None, None, None) => {
            if !unsupported {
                errors.add(path, "there is no provider; set prometheus, web or job");
            }
            None
        }
        (Some(metric), None, None) => {
            let path = format!("{path}.prometheus");
            prometheus::plan(&path, metric, args, errors).map(Source::Prometheus)
        }
        (None, Some(metric), None) => {
            web::plan(&format!("{path}.web"), metric, args, errors).map(Source::Web)
        }
        (None, None, Some(job)) => {
            job::plan(&format!("{path}.job"), metric, job, args, errors).map(Source::Job)
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            errors.add(
                path,
                "there is more than one provider; an own metric is needed for each",
            );
            None
        }
    }
}
