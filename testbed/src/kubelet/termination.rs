//! When a pod that is being deleted does what. Pure; `pod` carries it out.

use std::time::Duration;

/// The timetable of a deletion, each time counted from the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    /// The program stops listening: preStop hook, then SIGTERM, then its draining.
    pub close: Duration,
    /// SIGKILL: whatever is still in flight is cut.
    pub kill: Duration,
}

impl Timetable {
    /// Everything fits into the grace period; what would last longer is cut at its end.
    pub fn new(grace: Duration, pre_stop: Duration, drain: Duration) -> Self {
        Self {
            close: pre_stop.saturating_add(drain).min(grace),
            kill: grace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_period_bounds_everything() {
        for (grace, pre_stop, drain, close) in [
            (30, 0, 0, 0),
            (30, 0, 3, 3),
            (30, 5, 3, 8),
            (4, 0, 10, 4),
            (4, 10, 3, 4),
            (0, 5, 5, 0),
        ] {
            let s = Duration::from_secs;
            assert_eq!(
                Timetable::new(s(grace), s(pre_stop), s(drain)),
                Timetable {
                    close: s(close),
                    kill: s(grace)
                },
                "grace {grace} s, preStop {pre_stop} s, drain {drain} s"
            );
        }
    }
}
