//! What was measured in each release, and what of it is not as it must be. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::{releases::Release, rollout::Outcome};
use crate::load::{Lost, Summary};

/// A proxy has followed a change of the weight after this time; until then requests are not counted to the step.
const FOLLOWED: Duration = Duration::from_millis(500);
/// The status tells of a new weight this much after it was written; such requests are not counted to the step before.
const TOLD: Duration = Duration::from_millis(300);

/// The whole demo. Its JSON is the report file.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Report {
    pub(super) releases: Vec<Played>,
    pub(super) lost_total: u64,
}

/// One release as it was played.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Played {
    pub(super) name: &'static str,
    pub(super) strategy: &'static str,
    pub(super) outcome: Outcome,
    /// From the change of the image to the outcome, with one decimal.
    pub(super) seconds: f64,
    /// From the change of the image to when nothing moved any more.
    pub(super) requests: u64,
    pub(super) errors_by_app: u64,
    pub(super) lost: u64,
    pub(super) steps: Vec<Step>,
    #[serde(skip)]
    pub(super) by_version: BTreeMap<String, u64>,
    #[serde(skip)]
    pub(super) problems: Vec<String>,
    #[serde(skip)]
    pub(super) lost_examples: Vec<Lost>,
}

/// The requests while one weight was live.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Step {
    /// What was asked of the router, percent.
    pub(super) weight: i64,
    /// What the new version got, percent with two decimals.
    pub(super) observed_share: f64,
    pub(super) requests: u64,
}

/// The weight changed; seen at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WeightChange {
    pub(super) at: Instant,
    pub(super) weight: i64,
}

/// The span in which a weight was live for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) weight: i64,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// The spans of all weights above 0 between `begun` and `ended`.
pub(super) fn spans(changes: &[WeightChange], begun: Instant, ended: Instant) -> Vec<Span> {
    let ends = changes
        .iter()
        .skip(1)
        .map(|next| next.at - TOLD)
        .chain([ended]);
    let all = changes.iter().zip(ends).map(|(change, end)| Span {
        weight: change.weight,
        from: change.at + FOLLOWED,
        until: end.min(ended),
    });
    all.filter(|span| span.weight > 0 && span.from >= begun && span.from < span.until)
        .collect()
}

impl Step {
    pub(super) fn of(span: Span, summary: &Summary, version: &str) -> Self {
        Self {
            weight: span.weight,
            observed_share: (summary.share(version) * 1e4).round() / 100.0,
            requests: summary.requests,
        }
    }
}

impl Played {
    /// What was measured, and what of it is not as it must be.
    pub(super) fn of(
        release: &Release,
        strategy: &'static str,
        outcome: Outcome,
        took: Duration,
        all: Summary,
        steps: Vec<Step>,
    ) -> Self {
        let mut problems = Vec::new();
        if outcome != release.expected {
            problems.push(format!(
                "{}: {outcome}, but it must be {} within {} s",
                release.name,
                release.expected,
                release.deadline.as_secs()
            ));
        }
        if all.lost > 0 {
            problems.push(format!("{}: {} requests were lost", release.name, all.lost));
        }
        Self {
            name: release.name,
            strategy,
            outcome,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            requests: all.requests,
            errors_by_app: all.errors_by_app,
            lost: all.lost,
            steps,
            by_version: all
                .by_version
                .into_iter()
                .map(|(version, count)| (version, count.requests))
                .collect(),
            problems,
            lost_examples: all.examples,
        }
    }
}

impl Report {
    pub(super) fn add(&mut self, played: Played) {
        self.lost_total += played.lost;
        self.releases.push(played);
    }

    /// Everything that is not as it must be.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for played in &self.releases {
            problems.extend(played.problems.iter().cloned());
            problems.extend(played.lost_examples.iter().take(5).map(|lost| {
                format!(
                    "  lost {:.1} s after the first request: {}: {}",
                    Duration::from_millis(lost.at_ms).as_secs_f64(),
                    lost.kind,
                    lost.detail
                )
            }));
        }
        problems
    }

    /// Whether the demo shows what it should.
    pub(super) fn is_good(&self) -> bool {
        self.lost_total == 0
            && self
                .releases
                .iter()
                .all(|played| played.problems.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        demo::releases::APPLICATIONS,
        load::{LostKind, VersionCount},
    };

    const S: Duration = Duration::from_secs(1);

    fn changes(begun: Instant, weights: &[(u32, i64)]) -> Vec<WeightChange> {
        weights
            .iter()
            .map(|(second, weight)| WeightChange {
                at: begun + S * *second,
                weight: *weight,
            })
            .collect()
    }

    #[test]
    fn a_weight_counts_from_when_the_proxy_has_followed_until_the_next_one() {
        let begun = Instant::now();
        let found = spans(
            &changes(begun, &[(2, 5), (10, 25), (20, 0)]),
            begun,
            begun + S * 30,
        );
        let expected = [(5, 2, 10), (25, 10, 20)].map(|(weight, from, until)| Span {
            weight,
            from: begun + S * from + FOLLOWED,
            until: begun + S * until - TOLD,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_weight_that_is_live_at_the_end_counts_until_then() {
        let begun = Instant::now();
        let ended = begun + S * 6;
        let found = spans(&changes(begun, &[(2, 100)]), begun, ended);
        assert_eq!(found[0].until, ended);
    }

    #[test]
    fn a_weight_of_the_release_before_or_one_that_was_gone_at_once_does_not_count() {
        let begun = Instant::now() + S * 10;
        let mut weights = vec![WeightChange {
            at: begun - S * 5,
            weight: 50,
        }];
        weights.extend(changes(begun, &[(2, 5)]));
        weights.push(WeightChange {
            at: begun + S * 2 + FOLLOWED,
            weight: 0,
        });
        assert_eq!(spans(&weights, begun, begun + S * 30), []);
    }

    fn summary(lost: u64) -> Summary {
        let counts = [("v1", 950, 0), ("v2", 50, 10)].map(|(version, requests, errors)| {
            (version.to_owned(), VersionCount { requests, errors })
        });
        let example = Lost {
            at_ms: 1500,
            after_ms: 3,
            kind: LostKind::Reset,
            detail: "by peer".to_owned(),
        };
        Summary {
            requests: 1000 + lost,
            lost,
            errors_by_app: 10,
            by_version: counts.into_iter().collect(),
            examples: vec![example; usize::from(lost > 0)],
            ..Summary::default()
        }
    }

    fn played(outcome: Outcome, lost: u64) -> Played {
        let begun = Instant::now();
        let span = Span {
            weight: 5,
            from: begun,
            until: begun + S,
        };
        let steps = vec![Step::of(span, &summary(0), "v2")];
        let application = APPLICATIONS[0];
        Played::of(
            &application.releases[1],
            application.strategy,
            outcome,
            S * 40,
            summary(lost),
            steps,
        )
    }

    fn report(played: Played) -> Report {
        let mut report = Report::default();
        report.add(played);
        report
    }

    #[test]
    fn the_report_has_exactly_the_fields_that_were_promised() {
        let written = serde_json::to_value(report(played(Outcome::Completed, 0))).unwrap();
        assert_eq!(
            written,
            json!({
                "releases": [{
                    "name": "good-canary", "strategy": "canary", "outcome": "completed", "seconds": 40.0,
                    "requests": 1000, "errors_by_app": 10, "lost": 0,
                    "steps": [{"weight": 5, "observed_share": 5.0, "requests": 1000}],
                }],
                "lost_total": 0,
            })
        );
    }

    #[test]
    fn an_expected_outcome_without_loss_is_good() {
        assert!(report(played(Outcome::Completed, 0)).is_good());
    }

    #[test]
    fn another_outcome_is_a_problem() {
        let report = report(played(Outcome::RolledBack, 0));
        assert!(!report.is_good());
        assert_eq!(
            report.problems(),
            ["good-canary: rolled back, but it must be completed within 150 s"]
        );
    }

    #[test]
    fn a_lost_request_is_a_problem_with_its_reason() {
        let report = report(played(Outcome::Completed, 2));
        assert!(!report.is_good());
        assert_eq!(report.lost_total, 2);
        assert_eq!(
            report.problems(),
            [
                "good-canary: 2 requests were lost",
                "  lost 1.5 s after the first request: connection reset: by peer",
            ]
        );
    }
}
