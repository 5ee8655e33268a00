//! The one place where the testbed reads the wall clock, for the times in what it writes.

/// The time now.
#[expect(clippy::disallowed_methods, reason = "nothing is decided by it")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
