//! The permission to write, asked for just before each write.
//!
//! It is only as good as the caller's discipline: a request must also end when the fence does.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

/// This replica does not lead, or not any more: nothing may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not hold the lease, so it must not write")]
pub struct LostLease;

/// Says whether this replica may write, and for how long. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fence(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Valid until the instant, if there is one.
    Leased(watch::Receiver<Option<Instant>>),
    /// There is no election.
    #[expect(
        dead_code,
        reason = "keeps the sender alive: who waits for a change must not hear that the election ended"
    )]
    Always(Arc<watch::Sender<bool>>),
}

impl Fence {
    pub(super) fn leased(until: watch::Receiver<Option<Instant>>) -> Self {
        Self(Kind::Leased(until))
    }

    /// How long this replica may still write: zero if it may not, [`Duration::MAX`] without an election.
    pub fn remaining(&self) -> Duration {
        match &self.0 {
            Kind::Always(_) => Duration::MAX,
            Kind::Leased(until) => until.borrow().map_or(Duration::ZERO, |until| {
                until.saturating_duration_since(Instant::now())
            }),
        }
    }

    /// Whether this replica may write now.
    pub fn check(&self) -> Result<(), LostLease> {
        self.bound(Duration::MAX).map(drop)
    }

    /// How long a write that is begun now may take: `limit`, or less if the fence ends earlier.
    pub fn bound(&self, limit: Duration) -> Result<Duration, LostLease> {
        match self.remaining() {
            Duration::ZERO => Err(LostLease),
            remaining => Ok(remaining.min(limit)),
        }
    }
}

/// What an election gives to the rest of the process.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// To be asked before each write.
    pub fence: Fence,
    /// Whether this replica leads, for who waits for it to begin. For writes ask the fence.
    pub leading: watch::Receiver<bool>,
}

impl Leadership {
    /// For a controller that runs alone by arrangement: it always leads.
    pub fn without_election() -> Self {
        let (sender, leading) = watch::channel(true);
        Self {
            fence: Fence(Kind::Always(Arc::new(sender))),
            leading,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_with_the_renew_deadline_even_if_nobody_says_so() {
        let until = watch::Sender::new(Some(Instant::now() + Duration::from_secs(10)));
        let fence = Fence::leased(until.subscribe());
        let limit = Duration::from_secs(3);
        let mut bounds = Vec::new();
        for _ in 0..3 {
            bounds.push(fence.bound(limit));
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
        assert_eq!(
            bounds,
            [Ok(limit), Ok(Duration::from_secs(2)), Err(LostLease)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn is_closed_before_the_lease_was_ever_held() {
        let until = watch::Sender::new(None);
        assert_eq!(Fence::leased(until.subscribe()).check(), Err(LostLease));
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_election_it_never_ends() {
        let mut leadership = Leadership::without_election();
        let leads = *leadership.leading.borrow();
        let change =
            tokio::time::timeout(Duration::from_hours(24), leadership.leading.changed()).await;
        assert_eq!(
            (leads, change.is_err(), leadership.fence.check()),
            (true, true, Ok(()))
        );
    }
}
