//! The range of a range query: two moments, most often relative to now, and the distance of its points.
//!
//! The texts look like conditions (`now() - duration("5m")`), but the evaluator of conditions reads the machine's clock; here
//! the time comes from the caller, and there is nothing to nest.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, civil::DateTime, tz::TimeZone};

use super::fields::{self, Fields};
use crate::analysis::args::Args;
use crate::api::analysis::RangeQuery;
use crate::api::duration;

/// The most points of a series: a condition is evaluated over each.
pub const MAX_POINTS: u64 = 1_000;

/// The range of a metric, with its arguments in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    start: Moment,
    end: Moment,
    step: Duration,
}

/// A range at one time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimeRange {
    /// The first point.
    pub start: Timestamp,
    /// The time after which there is no point.
    pub end: Timestamp,
    /// The distance of two points, more than 0.
    pub step: Duration,
}

impl TimeRange {
    /// The range in a few words.
    pub fn shown(&self) -> String {
        format!(
            "{} to {} every {}",
            self.start,
            self.end,
            duration::format(self.step)
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    /// `None` means now.
    fixed: Option<Timestamp>,
    before: Duration,
    after: Duration,
}

impl Moment {
    fn at(&self, now: Timestamp) -> Option<Timestamp> {
        let base = self.fixed.unwrap_or(now);
        let moment = base.checked_sub(self.before).ok()?;
        let moment = moment.checked_add(self.after).ok()?;
        // Whole seconds, as they are sent.
        Timestamp::from_second(moment.as_second()).ok()
    }
}

impl Range {
    /// The range at `now`, or why there is none.
    pub fn at(&self, now: Timestamp) -> Result<TimeRange, String> {
        let far = || "the range reaches beyond the times there are".to_owned();
        let start = self.start.at(now).ok_or_else(far)?;
        let end = self.end.at(now).ok_or_else(far)?;
        let length = Duration::try_from(end.duration_since(start))
            .map_err(|_| "the range ends before it starts".to_owned())?;
        let points = length.as_nanos() / self.step.as_nanos().max(1) + 1;
        if points > u128::from(MAX_POINTS) {
            return Err(format!(
                "the range has {points} points; at most {MAX_POINTS} are judged, use a longer step or a shorter range"
            ));
        }
        Ok(TimeRange {
            start,
            end,
            step: self.step,
        })
    }

    /// Whether both ends move with the time: such a range is as long at any time.
    fn is_relative(&self) -> bool {
        self.start.fixed.is_none() && self.end.fixed.is_none()
    }
}

pub(super) fn range(
    path: &str,
    query: &RangeQuery,
    args: &Args,
    errors: &mut Fields,
) -> Option<Range> {
    let mut text = |name: &str, value: &Option<String>, example: &str| {
        let path = format!("{path}.{name}");
        let Some(value) = value.as_deref().filter(|text| !text.trim().is_empty()) else {
            errors.add(
                path,
                format!("it is missing; write something like {example}"),
            );
            return None;
        };
        fields::plain(&path, value, args, errors).map(|text| (path, text))
    };
    let start = text("start", &query.start, "now() - duration(\"5m\")");
    let end = text("end", &query.end, "now()");
    let step = text("step", &query.step, "1m");

    let mut moment = |text: Option<(String, String)>| {
        let (path, text) = text?;
        parse(&text).map_err(|error| errors.add(path, error)).ok()
    };
    let (start, end) = (moment(start), moment(end));
    let step = step.and_then(|(path, text)| match duration::parse(text.trim()) {
        Ok(step) if step.is_zero() => {
            errors.add(path, "it is 0; use something like 1m");
            None
        }
        Ok(step) => Some(step),
        Err(error) => {
            errors.add(path, error.to_string());
            None
        }
    });
    let range = Range {
        start: start?,
        end: end?,
        step: step?,
    };
    if range.is_relative()
        && let Err(error) = range.at(Timestamp::UNIX_EPOCH)
    {
        errors.add(path, error);
        return None;
    }
    Some(range)
}

/// `now()` or `date("…")`, and any number of `+ duration("…")` and `- duration("…")`.
fn parse(text: &str) -> Result<Moment, String> {
    let wrong = || {
        format!(
            "\"{}\" is not understood; write now() or date(\"2026-01-02T03:04:05Z\"), and + or - duration(\"5m\")",
            text.chars().take(64).collect::<String>()
        )
    };
    let (fixed, mut rest) = if let Some(rest) = call(text, "now") {
        (None, rest.trim_start().strip_prefix(')').ok_or_else(wrong)?)
    } else {
        let (quoted, rest) = call(text, "date").and_then(quoted).ok_or_else(wrong)?;
        (Some(date(quoted).ok_or_else(wrong)?), rest)
    };
    let mut moment = Moment {
        fixed,
        before: Duration::ZERO,
        after: Duration::ZERO,
    };
    while !rest.trim().is_empty() {
        let trimmed = rest.trim_start();
        let sign = trimmed.chars().next();
        let tail = trimmed.strip_prefix(['+', '-']).ok_or_else(wrong)?;
        let (quoted, tail) = call(tail, "duration").and_then(quoted).ok_or_else(wrong)?;
        let length = duration::parse(quoted).map_err(|error| error.to_string())?;
        let side = if sign == Some('-') {
            &mut moment.before
        } else {
            &mut moment.after
        };
        *side = side.saturating_add(length);
        rest = tail;
    }
    Ok(moment)
}

/// What comes after `name (`.
fn call<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.trim_start()
        .strip_prefix(name)?
        .trim_start()
        .strip_prefix('(')
}

/// A quoted text and a closing bracket, and what comes after them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let (inside, rest) = text.get(1..)?.split_once(quote)?;
    Some((inside, rest.trim_start().strip_prefix(')')?))
}

/// A time with its zone, or a day or a time in UTC.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let time: DateTime = match text.parse::<Date>() {
        Ok(day) if text.len() <= "2026-01-02".len() => day.into(),
        _ => text.parse().ok()?,
    };
    time.to_zoned(TimeZone::UTC)
        .ok()
        .map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(start: &str, end: &str, step: &str) -> Result<String, String> {
        let query = RangeQuery {
            start: Some(start.into()),
            end: Some(end.into()),
            step: Some(step.into()),
        };
        let mut errors = Fields::default();
        let range = range("r", &query, &Args::default(), &mut errors);
        let errors: Vec<String> = errors
            .into_errors()
            .iter()
            .map(ToString::to_string)
            .collect();
        let Some(range) = range else {
            return Err(errors.join("; "));
        };
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        range.at(now).map(|range| range.shown())
    }

    #[test]
    fn a_range_is_relative_to_now_or_fixed() {
        for (start, end, step, expected) in [
            (
                r#"now() - duration("5m")"#,
                "now()",
                "1m",
                "2026-01-02T02:59:05Z to 2026-01-02T03:04:05Z every 1m",
            ),
            (
                "now()-duration('1h30m') + duration(`10s`)",
                " now( ) ",
                "15s",
                "2026-01-02T01:34:15Z to 2026-01-02T03:04:05Z every 15s",
            ),
            (
                r#"date("2026-01-02")"#,
                r#"date("2026-01-02T01:00:00+01:00") + duration("10m")"#,
                "30s",
                "2026-01-02T00:00:00Z to 2026-01-02T00:10:00Z every 30s",
            ),
            (
                r#"date("2026-01-02 03:00:00")"#,
                "now()",
                "1s",
                "2026-01-02T03:00:00Z to 2026-01-02T03:04:05Z every 1s",
            ),
        ] {
            assert_eq!(found(start, end, step), Ok(expected.to_owned()), "{start}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_asked_says_why() {
        let long = format!("now(){}", " - duration(\"2500000h\")".repeat(50));
        for (start, end, step, expected) in [
            (
                "",
                "now()",
                "1m",
                "r.start: it is missing; write something like now() - duration(\"5m\")",
            ),
            (
                "now()",
                "",
                "1m",
                "r.end: it is missing; write something like now()",
            ),
            (
                "now()",
                "now()",
                "",
                "r.step: it is missing; write something like 1m",
            ),
            (
                "now()",
                "now()",
                "0s",
                "r.step: it is 0; use something like 1m",
            ),
            (
                "yesterday",
                "now()",
                "1m",
                "r.start: \"yesterday\" is not understood; write now() or date(\"2026-01-02T03:04:05Z\"), and + or - duration(\"5m\")",
            ),
            (
                "now() - 5m",
                "now()",
                "1m",
                "r.start: \"now() - 5m\" is not understood; write now() or date(\"2026-01-02T03:04:05Z\"), and + or - duration(\"5m\")",
            ),
            (
                "now() - duration(\"5x\")",
                "now()",
                "1m",
                "r.start: \"5x\" has the unknown unit \"x\"; use h, m, s, ms, us or ns",
            ),
            (
                "now()",
                "now() - duration(\"5m\")",
                "1m",
                "r: the range ends before it starts",
            ),
            (
                "now() - duration(\"1h\")",
                "now()",
                "1s",
                "r: the range has 3601 points; at most 1000 are judged, use a longer step or a shorter range",
            ),
            (
                "date(\"2020-01-01\")",
                "now()",
                "1s",
                "the range has 189486246 points; at most 1000 are judged, use a longer step or a shorter range",
            ),
            (
                &long,
                "now()",
                "1m",
                "r: the range reaches beyond the times there are",
            ),
        ] {
            assert_eq!(found(start, end, step), Err(expected.to_owned()), "{start}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(now|date|duration|\\(|\\)|\"|'|2026-01-02|T00:00:00Z|9{1,12}h|[+ -]|é){0,12}") {
            drop(parse(&text).map(|moment| moment.at(Timestamp::MAX)));
        }
    }
}
