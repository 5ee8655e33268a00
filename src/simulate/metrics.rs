//! What a metric would measure in a scenario. What is assumed is told: nobody can know a query's value without its server.
//!
//! Not here: what a value says (`analysis::judge`) and where requests go (`super::traffic`).

pub(super) mod overrides;
mod probe;

use std::{sync::LazyLock, time::Duration};

use regex::Regex;

use super::{
    scenario::Scenario,
    traffic::{Log, Seen, Side},
};
use crate::{
    analysis::{
        judge::{Conditions, MetricValue, judge},
        plan::Source,
    },
    api::analysis::MeasurementPhase,
};
use overrides::MetricOverride;
use probe::Wanted;

/// The window of a query that names none.
const WINDOW: Duration = Duration::from_mins(1);

/// Texts in a query by which it is told whose requests it is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) new: Vec<String>,
    pub(super) old: Vec<String>,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) source: &'a Source,
    pub(super) conditions: &'a Conditions,
    pub(super) overridden: Option<&'a MetricOverride>,
}

/// What is known when it is asked.
pub(super) struct World<'a> {
    pub(super) scenario: Scenario,
    pub(super) log: &'a Log,
    pub(super) marks: &'a Marks,
    pub(super) now: Duration,
}

/// An answer, and what was assumed about the metric.
pub(super) struct Answer {
    pub(super) value: Result<MetricValue, String>,
    pub(super) assumed: String,
}

/// Whose requests a query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Of(Side),
    Both,
}

impl Subject {
    fn of(text: &str, marks: &Marks) -> Self {
        let names = |marks: &[String]| {
            marks
                .iter()
                .any(|mark| !mark.is_empty() && text.contains(mark))
        };
        match (names(&marks.new), names(&marks.old)) {
            (true, false) => Self::Of(Side::New),
            (false, true) => Self::Of(Side::Old),
            (true, true) | (false, false) => Self::Both,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Of(Side::New) => "of the new version",
            Self::Of(Side::Old) => "of the stable version",
            Self::Both => "of both versions together",
        }
    }
}

/// What a query's value is, as a function of what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    ErrorShare { percent: bool },
    SuccessShare { percent: bool },
    Errors,
    ErrorsPerSecond,
    RequestsPerSecond,
    Latency,
    Unknown,
}

/// Answers a question.
pub(super) fn answer(question: &Question<'_>, world: &World<'_>) -> Answer {
    let text = question.source.shown().unwrap_or_default();
    let subject = Subject::of(&text, world.marks);
    let seen = seen(world, subject, window(&text));
    let faulty = world.scenario.is_bad() && seen.errors > 0.0;
    if world.scenario == Scenario::NoMetrics {
        return Answer {
            value: Err("the simulated metric server does not answer".to_owned()),
            assumed: "the metric server does not answer".to_owned(),
        };
    }
    if let Some((value, assumed)) = question
        .overridden
        .and_then(|overridden| overridden.value(question.source, faulty))
    {
        return Answer {
            value: Ok(value),
            assumed,
        };
    }
    let meaning = meaning(&text, question);
    // Longer ones would only look exact.
    let number = |number: f64| Ok(MetricValue::Vector(vec![(number * 1e4).round() / 1e4]));
    let per_second = |count: f64| number(count / window(&text).as_secs_f64());
    let share = seen.errors / seen.requests;
    let of = subject.words();
    let (value, assumed) = match meaning {
        Meaning::ErrorShare { percent: false } => {
            (number(share), format!("the share of errors {of}"))
        }
        Meaning::ErrorShare { percent: true } => (
            number(share * 100.0),
            format!("the share of errors {of}, in percent"),
        ),
        Meaning::SuccessShare { percent: false } => (
            number(1.0 - share),
            format!("the share of good answers {of}"),
        ),
        Meaning::SuccessShare { percent: true } => (
            number((1.0 - share) * 100.0),
            format!("the share of good answers {of}, in percent"),
        ),
        Meaning::Errors => (number(seen.errors), format!("the number of errors {of}")),
        Meaning::ErrorsPerSecond => (per_second(seen.errors), format!("errors per second {of}")),
        Meaning::RequestsPerSecond => (
            per_second(seen.requests),
            format!("requests per second {of}"),
        ),
        Meaning::Latency => (
            probed(question, Wanted::Good),
            "a latency, which this scenario leaves as it is: a value that its conditions accept"
                .to_owned(),
        ),
        Meaning::Unknown if faulty => (
            probed(question, Wanted::Bad),
            "unknown what it measures; that it sees the fault: a value that its conditions do not accept"
                .to_owned(),
        ),
        Meaning::Unknown => (
            probed(question, Wanted::Good),
            "unknown what it measures; a value that its conditions accept".to_owned(),
        ),
    };
    let value = match meaning {
        // Without a request there is no latency either.
        Meaning::Latency | Meaning::Unknown if seen.requests == 0.0 && is_prometheus(question) => {
            Ok(MetricValue::Vector(Vec::new()))
        }
        Meaning::Errors | Meaning::ErrorsPerSecond | Meaning::RequestsPerSecond
            if seen.requests == 0.0 && !text.contains("vector(") =>
        {
            Ok(MetricValue::Vector(Vec::new()))
        }
        Meaning::ErrorShare { .. }
        | Meaning::SuccessShare { .. }
        | Meaning::Errors
        | Meaning::ErrorsPerSecond
        | Meaning::RequestsPerSecond
        | Meaning::Latency
        | Meaning::Unknown => value,
    };
    Answer { value, assumed }
}

const fn is_prometheus(question: &Question<'_>) -> bool {
    match question.source {
        Source::Prometheus(_) => true,
        Source::Web(_) | Source::Job(_) => false,
    }
}

/// Whether a Job that measures ends well, and what is assumed about it.
pub(super) fn job_succeeds(
    overridden: Option<&MetricOverride>,
    world: &World<'_>,
) -> (bool, String) {
    let seen = seen(world, Subject::Of(Side::New), WINDOW);
    let faulty = world.scenario.is_bad() && (seen.errors > 0.0 || seen.requests == 0.0);
    if let Some((succeeds, assumed)) = overridden.and_then(|one| one.job(faulty)) {
        return (succeeds, assumed);
    }
    let assumed = if faulty {
        "a Job that tries the new version: that it sees the fault"
    } else {
        "a Job that tries the new version: that it succeeds"
    };
    (!faulty, assumed.to_owned())
}

fn seen(world: &World<'_>, subject: Subject, window: Duration) -> Seen {
    let of = |side| {
        world
            .log
            .seen(side, world.now.saturating_sub(window), world.now)
    };
    match subject {
        Subject::Of(side) => of(side),
        Subject::Both => of(Side::New) + of(Side::Old),
    }
}

fn probed(question: &Question<'_>, wanted: Wanted) -> Result<MetricValue, String> {
    probe::value(question.source, question.conditions, wanted).ok_or_else(|| {
        "no value was found that its conditions would take for this; give one with --metric"
            .to_owned()
    })
}

/// The first range in the query, as `[5m]`.
fn window(query: &str) -> Duration {
    #[expect(clippy::expect_used, reason = "a constant of the program, and tested")]
    static RANGE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[(\d{1,6})(ms|s|m|h|d)").expect("a regular expression"));
    let found = RANGE.captures(query).and_then(|captures| {
        let number: u64 = captures.get(1)?.as_str().parse().ok()?;
        let millis = match captures.get(2)?.as_str() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        Some(Duration::from_millis(number.saturating_mul(millis)))
    });
    found.filter(|found| !found.is_zero()).unwrap_or(WINDOW)
}

/// What a query means, by the words in it and by what its conditions accept.
fn meaning(query: &str, question: &Question<'_>) -> Meaning {
    let text = query.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if !is_prometheus(question) {
        return Meaning::Unknown;
    }
    if has(&["histogram_quantile", "duration", "latency", "response_time"]) {
        return Meaning::Latency;
    }
    let of_errors = has(&[
        "5..", "5xx", "5.*", "\"5", "error", "fail", "success", "non_5", "[45]",
    ]);
    if text.contains('/') && of_errors {
        let accepts = |value: f64| {
            let found = judge(&MetricValue::Vector(vec![value]), question.conditions);
            found.phase == MeasurementPhase::Successful
        };
        // What all is well and what all is bad would be, in each of the ways to write it.
        let ways = [
            (Meaning::ErrorShare { percent: false }, 0.0, 1.0),
            (Meaning::SuccessShare { percent: false }, 1.0, 0.0),
            (Meaning::ErrorShare { percent: true }, 0.0, 100.0),
            (Meaning::SuccessShare { percent: true }, 100.0, 0.0),
        ];
        let fits = ways
            .iter()
            .find(|(_, well, bad)| accepts(*well) && !accepts(*bad));
        return fits.map_or(Meaning::Unknown, |(meaning, _, _)| *meaning);
    }
    if of_errors {
        return if text.contains("rate(") {
            Meaning::ErrorsPerSecond
        } else {
            Meaning::Errors
        };
    }
    if text.contains("request") && text.contains("rate(") && !text.contains('/') {
        return Meaning::RequestsPerSecond;
    }
    Meaning::Unknown
}

#[cfg(test)]
mod tests;
