//! Durations and numbers as the API spells them: `1h30m`, `500ms`, seconds as an integer, integers as text.
//!
//! The grammar is that of Go's `time.ParseDuration`, because that is what people's manifests hold. Signs are refused.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use thiserror::Error;

/// The longest duration that is accepted: what fits in 64 bits of nanoseconds, about 292 years.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Why a text is no duration.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum DurationError {
    /// There is nothing.
    #[error("the duration is empty; write something like \"30s\", \"5m\" or \"1h30m\"")]
    Empty,
    /// It has a sign.
    #[error("\"{0}\" is negative or has a sign; a duration is 0 or more, such as \"30s\"")]
    Signed(String),
    /// A number has no unit.
    #[error("\"{0}\" has a number without a unit; write \"{1}s\" for seconds")]
    MissingUnit(String, String),
    /// The unit does not exist.
    #[error("\"{0}\" has the unknown unit \"{1}\"; use h, m, s, ms, us or ns")]
    UnknownUnit(String, String),
    /// It is something else.
    #[error("\"{0}\" is not a duration; write something like \"30s\", \"5m\" or \"1h30m\"")]
    Malformed(String),
    /// It does not fit.
    #[error("\"{0}\" is too long; the longest duration is about 292 years")]
    TooLong(String),
}

/// Why a text is no number.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error("\"{0}\" is not a whole number")]
pub struct NumberError(String);

/// Reads a duration such as `1h30m`, `1.5h` or `0`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let shown = || text.chars().take(64).collect::<String>();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with(['-', '+']) {
        return Err(DurationError::Signed(shown()));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_len = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(DurationError::Malformed(shown()));
        }
        let unit_len = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let unit_nanos: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            "" => {
                return Err(DurationError::MissingUnit(
                    shown(),
                    number.chars().take(20).collect(),
                ));
            }
            other => {
                return Err(DurationError::UnknownUnit(
                    shown(),
                    other.chars().take(20).collect(),
                ));
            }
        };
        nanos = add_part(nanos, whole, fraction, unit_nanos)
            .filter(|sum| *sum <= MAX_NANOS)
            .ok_or_else(|| DurationError::TooLong(shown()))?;
        rest = tail;
    }
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| DurationError::TooLong(shown()))
}

/// Adds one `<number><unit>` part. `None` when it does not fit.
fn add_part(sum: u128, whole: &str, fraction: &str, unit_nanos: u128) -> Option<u128> {
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut part = whole.checked_mul(unit_nanos)?;
    // Digits beyond a nanosecond are dropped, as Go does; 15 digits are finer than that for every unit.
    let mut scale = unit_nanos;
    let mut remainder: u128 = 0;
    let mut divisor: u128 = 1;
    for digit in fraction.bytes().take(15) {
        divisor *= 10;
        remainder = remainder * 10 + u128::from(digit - b'0');
    }
    scale = scale.checked_mul(remainder)? / divisor;
    part = part.checked_add(scale)?;
    sum.checked_add(part)
}

/// Reads a duration that may also be given in whole seconds, as an integer or as text (`30`, `"30"`, `"30s"`).
pub fn seconds_or_duration(value: &IntOrString) -> Result<Duration, DurationError> {
    match value {
        IntOrString::Int(seconds) => u64::try_from(*seconds)
            .map(Duration::from_secs)
            .map_err(|_| DurationError::Signed(seconds.to_string())),
        IntOrString::String(text)
            if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) =>
        {
            text.parse::<u64>()
                .ok()
                .filter(|seconds| u128::from(*seconds) * 1_000_000_000 <= MAX_NANOS)
                .map(Duration::from_secs)
                .ok_or_else(|| DurationError::TooLong(text.chars().take(64).collect()))
        }
        IntOrString::String(text) => parse(text),
    }
}

/// Reads a whole number that may also be given as text.
pub fn number(value: &IntOrString) -> Result<i32, NumberError> {
    match value {
        IntOrString::Int(number) => Ok(*number),
        IntOrString::String(text) => text
            .trim()
            .parse()
            .map_err(|_| NumberError(text.chars().take(64).collect())),
    }
}

/// Writes a duration the way people write it: `1h30m`, `45s`, `500ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let (hours, rest) = (duration.as_secs() / 3_600, duration.as_secs() % 3_600);
    let (minutes, seconds) = (rest / 60, rest % 60);
    let millis = duration.subsec_millis();
    let mut out = String::new();
    for (amount, unit) in [
        (hours, "h"),
        (minutes, "m"),
        (seconds, "s"),
        (u64::from(millis), "ms"),
    ] {
        if amount > 0 {
            out += &amount.to_string();
            out += unit;
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("2m3.25s", 123_250),
            ("1000us", 1),
            ("1000µs", 1),
            ("1000000ns", 1),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, error) in [
            (
                "",
                "the duration is empty; write something like \"30s\", \"5m\" or \"1h30m\"",
            ),
            (
                "-5s",
                "\"-5s\" is negative or has a sign; a duration is 0 or more, such as \"30s\"",
            ),
            (
                "10",
                "\"10\" has a number without a unit; write \"10s\" for seconds",
            ),
            (
                "1d",
                "\"1d\" has the unknown unit \"d\"; use h, m, s, ms, us or ns",
            ),
            (
                "5 m",
                "\"5 m\" has the unknown unit \" m\"; use h, m, s, ms, us or ns",
            ),
            (
                "soon",
                "\"soon\" is not a duration; write something like \"30s\", \"5m\" or \"1h30m\"",
            ),
            (
                "1.2.3s",
                "\"1.2.3s\" is not a duration; write something like \"30s\", \"5m\" or \"1h30m\"",
            ),
            (
                ".s",
                "\".s\" is not a duration; write something like \"30s\", \"5m\" or \"1h30m\"",
            ),
            (
                "9999999999h",
                "\"9999999999h\" is too long; the longest duration is about 292 years",
            ),
        ] {
            assert_eq!(
                parse(text).map_err(|e| e.to_string()),
                Err(error.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn seconds_may_be_numbers_or_text() {
        for (value, expected) in [
            (IntOrString::Int(30), Some(30)),
            (IntOrString::String("30".into()), Some(30)),
            (IntOrString::String("2m".into()), Some(120)),
            (IntOrString::Int(-1), None),
            (IntOrString::String("99999999999999999999".into()), None),
        ] {
            let read = seconds_or_duration(&value).ok().map(|d| d.as_secs());
            assert_eq!(read, expected, "{value:?}");
        }
    }

    #[test]
    fn numbers_may_be_text() {
        assert_eq!(number(&IntOrString::Int(-1)), Ok(-1));
        assert_eq!(number(&IntOrString::String("7".into())), Ok(7));
        let error = number(&IntOrString::String("many".into())).unwrap_err();
        assert_eq!(error.to_string(), "\"many\" is not a whole number");
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        for (millis, text) in [
            (0, "0s"),
            (500, "500ms"),
            (45_000, "45s"),
            (5_400_000, "1h30m"),
            (61_001, "1m1s1ms"),
        ] {
            assert_eq!(format(Duration::from_millis(millis)), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            drop(parse(&text));
        }

        #[test]
        fn what_is_written_is_read_back(millis in 0_u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            proptest::prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
