//! The one place where the kubelet stand-in reads the wall clock, for the times in what it writes.

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's own clock; nothing is decided by it"
)]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
