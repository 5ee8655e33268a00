//! The wall clock, read by shells only.
//!
//! Durations are not measured here: those use `tokio::time::Instant`. Wall time is for what is compared with
//! timestamps in the API server, and for `Snapshot.now`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Where a shell reads the time. Cheap to clone.
///
/// In a process it is [`Clock::system`]; a simulation hands its controllers a clock that follows tokio's paused time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Tokio {
        start: Timestamp,
        origin: Instant,
        /// Milliseconds by which the clock was stepped; shared by clones, so that one node's clock steps as one.
        step: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The clock of the machine, which follows corrections of the wall time.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and advances with tokio's time, so also with a paused one.
    pub fn following_tokio(start: Timestamp) -> Self {
        Self(Source::Tokio {
            start,
            origin: Instant::now(),
            step: Arc::default(),
        })
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => now(),
            Source::Tokio {
                start,
                origin,
                step,
            } => {
                let elapsed =
                    SignedDuration::try_from(origin.elapsed()).unwrap_or(SignedDuration::MAX);
                let stepped = elapsed
                    .saturating_add(SignedDuration::from_millis(step.load(Ordering::Relaxed)));
                start.checked_add(stepped).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Steps a clock that follows tokio, as a time daemon may: by `by`, also backwards. The system clock stays as it is.
    pub fn step(&self, by: SignedDuration) {
        if let Source::Tokio { step, .. } = &self.0 {
            let millis = i64::try_from(by.as_millis()).unwrap_or(if by.is_negative() {
                i64::MIN
            } else {
                i64::MAX
            });
            step.fetch_add(millis, Ordering::Relaxed);
        }
    }
}

/// The machine's wall time. Code that a simulation runs takes a [`Clock`] instead.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn start() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().expect("a timestamp")
    }

    #[tokio::test(start_paused = true)]
    async fn advances_with_paused_time() {
        let clock = Clock::following_tokio(start());
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(clock.now(), start() + SignedDuration::from_hours(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_seen_by_every_clone() {
        let clock = Clock::following_tokio(start());
        let other = clock.clone();
        clock.step(SignedDuration::from_secs(-90));
        assert_eq!(other.now(), start() - SignedDuration::from_secs(90));
    }

    #[test]
    fn the_system_clock_is_the_wall_clock() {
        let before = now();
        let read = Clock::system().now();
        assert!(before <= read && read <= now(), "{before} {read}");
    }
}
