//! The metrics that a pod exports. No pod or ReplicaSet labels: Prometheus' relabelling sets those.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the latency histogram, seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `http_requests_total{version,code}` and `http_request_duration_seconds{version}` of one container.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    duration: Histogram,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    version: String,
    code: u16,
}

impl Metrics {
    /// Counters at zero. `rate` needs two samples, so the series for code 200 exists from the start.
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Answer, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        drop(requests.get_or_create(&Answer {
            version: version.to_owned(),
            code: 200,
        }));
        let duration = Histogram::new(BUCKETS);
        registry
            .sub_registry_with_label(("version".into(), version.to_owned().into()))
            .register(
                "http_request_duration_seconds",
                "Time to answer",
                duration.clone(),
            );
        Self {
            registry,
            requests,
            duration,
            version: version.to_owned(),
        }
    }

    /// Notes one answer.
    pub fn note(&self, code: u16, took: Duration) {
        self.requests
            .get_or_create(&Answer {
                version: self.version.clone(),
                code,
            })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// All series in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Formatting into a String cannot fail; an empty page would show as a failed scrape.
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_for_success_exists_before_the_first_request() {
        assert!(
            Metrics::new("v1")
                .text()
                .contains("http_requests_total{version=\"v1\",code=\"200\"} 0\n")
        );
    }

    #[test]
    fn answers_are_counted_by_code_and_time() {
        let metrics = Metrics::new("v2");
        metrics.note(200, Duration::from_millis(3));
        metrics.note(500, Duration::from_millis(70));
        metrics.note(500, Duration::from_millis(70));
        let text = metrics.text();
        for line in [
            "http_requests_total{version=\"v2\",code=\"200\"} 1",
            "http_requests_total{version=\"v2\",code=\"500\"} 2",
            "http_request_duration_seconds_bucket{version=\"v2\",le=\"0.005\"} 1",
            "http_request_duration_seconds_bucket{version=\"v2\",le=\"+Inf\"} 3",
            "http_request_duration_seconds_count{version=\"v2\"} 3",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is missing in\n{text}"
            );
        }
    }
}
