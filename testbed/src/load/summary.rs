//! Counting requests. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::record::{Ledger, Lost, LostKind, Row};

/// The requests of a span of time, by their due times. Requests still in flight are not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Answered or lost.
    pub requests: u64,
    /// Without an answer, or with an answer that is not the application's.
    pub lost: u64,
    /// Lost ones by why.
    pub lost_by_kind: BTreeMap<LostKind, u64>,
    /// 5xx answers with `X-Version`: the application's own errors, which are not lost.
    pub errors_by_app: u64,
    /// Answers by `X-Version`.
    pub by_version: BTreeMap<String, VersionCount>,
    /// Answers by `X-Pod`.
    pub by_pod: BTreeMap<String, u64>,
    /// Half of all answers took at most this many milliseconds, from when the request was due.
    pub p50_ms: f64,
    /// 99 % of all answers took at most this many milliseconds, from when the request was due.
    pub p99_ms: f64,
    /// Sent on a second connection, because the server had closed the idle first one before a byte was written.
    pub resent: u64,
    /// Details of the first lost requests.
    pub examples: Vec<Lost>,
}

/// The answers of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VersionCount {
    /// All answers.
    pub requests: u64,
    /// Those with a 5xx status.
    pub errors: u64,
}

impl Summary {
    /// The share of all answers that came from this version, 0 to 1; 0 without answers.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of requests are far below 2^52"
    )]
    pub fn share(&self, version: &str) -> f64 {
        let answers: u64 = self.by_version.values().map(|count| count.requests).sum();
        let own = self
            .by_version
            .get(version)
            .map_or(0, |count| count.requests);
        if answers == 0 {
            0.0
        } else {
            own as f64 / answers as f64
        }
    }

    /// Counts the requests that were due in the span.
    pub(super) fn of(ledger: &Ledger, within: impl Fn(Instant) -> bool) -> Self {
        let mut summary = Self::default();
        let mut durations = Vec::new();
        for Row {
            start,
            end,
            result,
            resent,
        } in ledger.rows.iter().filter(|row| within(row.start))
        {
            summary.requests += 1;
            summary.resent += u64::from(*resent);
            match result {
                Ok(answer) => {
                    let error = u64::from(answer.status >= 500);
                    let version = &ledger.names[answer.version];
                    let count = entry(&mut summary.by_version, version);
                    count.requests += 1;
                    count.errors += error;
                    summary.errors_by_app += error;
                    *entry(&mut summary.by_pod, &ledger.names[answer.pod]) += 1;
                    durations.push(*end - *start);
                }
                Err(kind) => {
                    summary.lost += 1;
                    *summary.lost_by_kind.entry(*kind).or_default() += 1;
                }
            }
        }
        let examples = ledger.lost.iter().filter(|(due, _)| within(*due));
        summary.examples = examples.map(|(_, lost)| lost.clone()).collect();
        summary.p50_ms = percentile(&mut durations, 50);
        summary.p99_ms = percentile(&mut durations, 99);
        summary
    }
}

/// One line for a person; the details of lost requests follow on lines of their own.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} lost", self.requests, self.lost)?;
        for (kind, count) in &self.lost_by_kind {
            write!(f, ", {count} × {kind}")?;
        }
        write!(f, ", {} errors by the application", self.errors_by_app)?;
        for (version, count) in &self.by_version {
            write!(
                f,
                ", {version}: {} ({} errors)",
                count.requests, count.errors
            )?;
        }
        write!(
            f,
            ", p50 {:.1} ms, p99 {:.1} ms, {} resent",
            self.p50_ms, self.p99_ms, self.resent
        )?;
        for lost in &self.examples {
            write!(
                f,
                "\n  lost at {} ms, after {} ms: {}: {}",
                lost.at_ms, lost.after_ms, lost.kind, lost.detail
            )?;
        }
        Ok(())
    }
}

/// The entry of a key, without a new String for one that is there.
fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, key: &str) -> &'a mut T {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), T::default());
    }
    map.entry(key.to_owned()).or_default()
}

/// The nearest-rank percentile in milliseconds; 0 without durations.
fn percentile(durations: &mut [Duration], percent: usize) -> f64 {
    if durations.is_empty() {
        return 0.0;
    }
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    let (_, duration, _) = durations.select_nth_unstable(rank - 1);
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::super::record::Outcome;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A ledger of requests, each 10 ms after the one before and answered after 1 ms.
    fn ledger(outcomes: &[Outcome]) -> (Instant, Ledger) {
        let begun = Instant::now();
        let mut ledger = Ledger::new(begun);
        for (number, outcome) in (0..).zip(outcomes) {
            let due = begun + MS * 10 * number;
            ledger.note(due, due + MS, outcome.clone(), false);
        }
        (begun, ledger)
    }

    fn answer(version: &str, status: u16) -> Outcome {
        Outcome::Answered {
            status,
            version: version.to_owned(),
            pod: format!("{version}-pod"),
        }
    }

    fn lost(kind: LostKind) -> Outcome {
        Outcome::Lost {
            kind,
            detail: "as told".to_owned(),
        }
    }

    #[test]
    fn an_error_of_the_application_is_not_a_lost_request() {
        let (_, ledger) = ledger(&[
            answer("v1", 200),
            answer("v1", 500),
            lost(LostKind::WithoutVersion),
        ]);
        let summary = Summary::of(&ledger, |_| true);
        assert_eq!(
            (summary.requests, summary.lost, summary.errors_by_app),
            (3, 1, 1)
        );
        assert_eq!(
            summary.by_version["v1"],
            VersionCount {
                requests: 2,
                errors: 1
            }
        );
    }

    #[test]
    fn lost_requests_are_counted_by_kind_and_told() {
        let (_, ledger) = ledger(&[
            lost(LostKind::Reset),
            answer("v1", 200),
            lost(LostKind::Refused),
            lost(LostKind::Reset),
        ]);
        let summary = Summary::of(&ledger, |_| true);
        assert_eq!(
            summary.lost_by_kind,
            BTreeMap::from([(LostKind::Refused, 1), (LostKind::Reset, 2)])
        );
        assert_eq!(
            summary
                .examples
                .iter()
                .map(|lost| lost.at_ms)
                .collect::<Vec<_>>(),
            [0, 20, 30]
        );
    }

    #[test]
    fn a_span_holds_the_requests_due_in_it() {
        let (begun, ledger) = ledger(&[
            answer("v1", 200),
            answer("v2", 200),
            lost(LostKind::Reset),
            answer("v2", 200),
        ]);
        let span = begun + MS * 10..begun + MS * 30;
        let summary = Summary::of(&ledger, |due| span.contains(&due));
        assert_eq!(
            (summary.requests, summary.lost, summary.examples.len()),
            (2, 1, 1)
        );
    }

    #[test]
    fn the_share_of_a_version_is_that_of_all_answers() {
        let (_, ledger) = ledger(&[
            answer("v1", 200),
            answer("v2", 500),
            answer("v1", 200),
            answer("v1", 200),
            lost(LostKind::Reset),
        ]);
        let summary = Summary::of(&ledger, |_| true);
        let percent =
            ["v1", "v2", "v3"].map(|version| format!("{}", summary.share(version) * 100.0));
        assert_eq!(percent, ["75", "25", "0"]);
        assert!(Summary::default().share("v1").abs() < f64::EPSILON);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut durations: Vec<_> = (1..=200).rev().map(|number| MS * number).collect();
        let found = [50, 99, 100].map(|percent| percentile(&mut durations, percent).round());
        assert_eq!(found.map(|ms| format!("{ms}")), ["100", "198", "200"]);
        assert!(percentile(&mut [], 50).abs() < f64::EPSILON);
    }

    #[test]
    fn a_summary_tells_a_person_what_was_lost() {
        let (_, ledger) = ledger(&[answer("v1", 200), lost(LostKind::Refused)]);
        let told = Summary::of(&ledger, |_| true).to_string();
        assert!(
            told.contains("2 requests, 1 lost, 1 × connection refused"),
            "{told}"
        );
        assert!(
            told.contains("lost at 10 ms, after 1 ms: connection refused: as told"),
            "{told}"
        );
    }
}
