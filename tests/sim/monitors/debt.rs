//! What is owed within a time: liveness as deadlines on virtual time.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct Debt(Option<Duration>);

impl Debt {
    /// How long it has been owed until now, if it was; and whether it is from now on.
    pub(super) fn look(&mut self, owed: bool, now: Duration) -> Option<Duration> {
        let since = self.0;
        self.0 = owed.then(|| since.unwrap_or(now));
        since.map(|since| now.saturating_sub(since))
    }

    /// It counts from now on.
    pub(super) fn forgive(&mut self) {
        self.0 = None;
    }
}
