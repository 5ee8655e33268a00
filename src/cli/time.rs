//! Spans of time in few letters, for people.

use std::time::Duration;

use jiff::Timestamp;

/// `45s`, `12m`, `3h20m`, `2d`.
pub fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, 1..10) if !seconds.is_multiple_of(60) => format!("{minutes}m{}s", seconds % 60),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) if !minutes.is_multiple_of(60) => format!("{hours}h{}m", minutes % 60),
        (0, _, _) => format!("{hours}h"),
        (1..10, _, _) if !hours.is_multiple_of(24) => format!("{days}d{}h", hours % 24),
        (_, _, _) => format!("{days}d"),
    }
}

/// How long ago: `5m`; a time that is still to come counts as now.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    short(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

/// `in 5m`, or `now` when it is due.
pub fn until(at: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(at.duration_since(now)) {
        Ok(span) if span.as_secs() > 0 => format!("in {}", short(span)),
        Ok(_) | Err(_) => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_with_at_most_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m1s"),
            (9 * 60 + 59, "9m59s"),
            (10 * 60 + 59, "10m"),
            (3600, "1h"),
            (3600 * 3 + 20 * 60, "3h20m"),
            (86400, "1d"),
            (86400 * 2 + 3600, "2d1h"),
            (86400 * 20 + 3600, "20d"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_time_that_is_past_is_now() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        assert_eq!(until(later, now), "in 5m");
        assert_eq!(until(now, later), "now");
        assert_eq!(age(now, later), "5m");
        assert_eq!(age(later, now), "0s");
    }
}
