//! A metric server: it reads the counts of requests now and then, and answers queries from what it has read.
//!
//! Queries are of a small language of our own, not PromQL: `error_ratio{revision="…"}[1m]`, see [`query`].

pub mod query;

use std::{collections::BTreeMap, time::Duration};

use super::traffic::{Counters, chance};
use crate::analysis::{judge::MetricValue, providers::prometheus::FetchError};
use query::{Ask, What};

/// What it calls itself.
const HOST: &str = "prometheus.monitoring.svc:9090";
/// How long it keeps what it has read.
const KEEPS: Duration = Duration::from_hours(2);

/// How the metric server behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// How often it reads the counts.
    pub every: Duration,
    /// How long it takes until it answers with what it has read.
    pub lag: Duration,
    /// The share of times at which it reads nothing, 0 to 1.
    pub gaps: f64,
    /// How often the counts begin again at zero, as those of a program that is started again.
    pub resets: Option<Duration>,
    /// What goes wrong with a query instead of its answer, and for which share of queries, 0 to 1 in all.
    pub faults: Vec<(f64, MetricFault)>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            lag: Duration::from_secs(1),
            gaps: 0.0,
            resets: None,
            faults: Vec::new(),
        }
    }
}

/// What may go wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricFault {
    /// There are no series.
    Empty,
    /// The value is not a number.
    NaN,
    /// It is refused with this status.
    Status(u16),
    /// It is not answered in time.
    NoAnswer,
    /// Nobody listens.
    Unreachable,
    /// It is answered, so much later.
    Slow(Duration),
    /// It is answered with something that is no vector.
    WrongType,
}

/// An answer, and how long it takes.
#[derive(Debug)]
pub struct Answer {
    /// How long it takes.
    pub takes: Duration,
    /// What it says.
    pub says: Result<MetricValue, FetchError>,
}

/// What was counted in a window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Requests that were answered.
    pub requests: f64,
    /// Those answered with an error.
    pub errors: f64,
    /// The sum of the times that answers took, in seconds.
    pub seconds: f64,
}

impl Window {
    /// The share of errors; NaN without requests, as where a server divides by zero.
    pub fn error_ratio(&self) -> f64 {
        self.errors / self.requests
    }

    /// The mean time of an answer, in seconds; NaN without requests.
    pub fn latency(&self) -> f64 {
        self.seconds / self.requests
    }
}

/// The metric server.
#[derive(Clone, Debug)]
pub struct Backend {
    /// How it behaves.
    pub metrics: Metrics,
    next: Duration,
    samples: Vec<Sample>,
    /// What the counts were when they last began again.
    began: BTreeMap<String, Counters>,
    reset_at: Duration,
    random: fastrand::Rng,
}

#[derive(Clone, Debug)]
struct Sample {
    at: Duration,
    series: BTreeMap<String, Counters>,
}

impl Backend {
    /// It has read nothing yet.
    pub fn new(metrics: Metrics, seed: u64) -> Self {
        let every = metrics.every.max(Duration::from_millis(100));
        Self {
            next: every,
            metrics,
            samples: Vec::new(),
            began: BTreeMap::new(),
            reset_at: Duration::ZERO,
            random: fastrand::Rng::with_seed(seed ^ 0x3e7a),
        }
    }

    /// When it reads the counts next.
    pub fn next_scrape(&self) -> Duration {
        self.next
    }

    /// Reads the counts.
    pub fn scrape(&mut self, counters: &BTreeMap<String, Counters>) {
        let at = self.next;
        self.next += self.metrics.every.max(Duration::from_millis(100));
        if let Some(every) = self.metrics.resets
            && at >= self.reset_at + every
        {
            self.reset_at = at;
            self.began = counters.clone();
        }
        if self.metrics.gaps > 0.0 && self.random.f64() < self.metrics.gaps {
            return;
        }
        let series = counters.iter().map(|(revision, counters)| {
            let began = self.began.get(revision).copied().unwrap_or_default();
            let since = Counters {
                requests: counters.requests - began.requests,
                errors: counters.errors - began.errors,
                lost: counters.lost - began.lost,
                seconds: counters.seconds - began.seconds,
            };
            (revision.clone(), since)
        });
        let series = series.collect();
        self.samples.push(Sample { at, series });
        if self
            .samples
            .first()
            .is_some_and(|first| first.at + KEEPS * 2 < at)
        {
            self.samples.retain(|sample| sample.at + KEEPS >= at);
        }
    }

    /// What was counted for this revision (for all of them, if it is `None`) in the window before now, as far as it was
    /// read: nothing, unless it was read twice.
    pub fn window(
        &self,
        revision: Option<&str>,
        window: Duration,
        now: Duration,
    ) -> Option<Window> {
        let (oldest, newest) = (
            now.saturating_sub(window),
            now.saturating_sub(self.metrics.lag),
        );
        let first = self.samples.partition_point(|sample| sample.at < oldest);
        let last = self.samples.partition_point(|sample| sample.at <= newest);
        let samples = self.samples.get(first..last).unwrap_or_default();
        let mut found: Option<Window> = None;
        for pair in samples.windows(2) {
            let [before, after] = pair else { continue };
            for (name, now) in &after.series {
                let Some(was) = before.series.get(name) else {
                    continue;
                };
                if name.is_empty() || revision.is_some_and(|revision| revision != name) {
                    continue;
                }
                // A count that is less than before has begun again.
                let was = if now.requests < was.requests {
                    Counters::default()
                } else {
                    *was
                };
                let found = found.get_or_insert_default();
                found.requests += chance::whole(now.requests - was.requests);
                found.errors += chance::whole(now.errors.saturating_sub(was.errors));
                found.seconds += (now.seconds - was.seconds).max(0.0);
            }
        }
        found
    }

    /// The answer to a query now. It has so much time.
    pub fn answer(&mut self, query: &str, now: Duration, timeout: Duration) -> Answer {
        let mut takes = Duration::from_millis(self.random.u64(5..=50));
        let host = HOST.to_owned();
        let failed = |takes, why| Answer {
            takes,
            says: Err(why),
        };
        match self.draw() {
            None => {}
            Some(MetricFault::Empty) => {
                return Answer {
                    takes,
                    says: Ok(MetricValue::Vector(Vec::new())),
                };
            }
            Some(MetricFault::NaN) => {
                return Answer {
                    takes,
                    says: Ok(MetricValue::Vector(vec![f64::NAN])),
                };
            }
            Some(MetricFault::Status(status)) => {
                let detail = None;
                return failed(takes, FetchError::Refused { status, detail });
            }
            Some(MetricFault::NoAnswer) => {
                return failed(timeout, FetchError::Timeout { host, timeout });
            }
            Some(MetricFault::Unreachable) => {
                let reason = "connection refused".to_owned();
                return failed(takes, FetchError::Unreachable { host, reason });
            }
            Some(MetricFault::Slow(by)) => {
                takes += by;
                if takes >= timeout {
                    return failed(timeout, FetchError::Timeout { host, timeout });
                }
            }
            Some(MetricFault::WrongType) => {
                return failed(takes, FetchError::ResultType("string".to_owned()));
            }
        }
        let Some(ask) = query::parse(query) else {
            let (status, detail) = (400, Some(format!("unknown query {query}")));
            return failed(takes, FetchError::Refused { status, detail });
        };
        let value = self.value(&ask, now).into_iter().collect();
        Answer {
            takes,
            says: Ok(MetricValue::Vector(value)),
        }
    }

    fn draw(&mut self) -> Option<MetricFault> {
        if self.metrics.faults.is_empty() {
            return None;
        }
        let mut left = self.random.f64();
        for (share, fault) in &self.metrics.faults {
            if left < *share {
                return Some(*fault);
            }
            left -= share;
        }
        None
    }

    fn value(&self, ask: &Ask, now: Duration) -> Option<f64> {
        let window = self.window(ask.revision.as_deref(), ask.window, now)?;
        Some(match ask.what {
            What::ErrorRatio => window.error_ratio(),
            What::SuccessRatio => 1.0 - window.error_ratio(),
            What::Requests => window.requests,
            What::Errors => window.errors,
            What::Rate => window.requests / ask.window.as_secs_f64().max(1e-3),
            What::Latency => window.latency(),
        })
    }
}

#[cfg(test)]
mod tests;
