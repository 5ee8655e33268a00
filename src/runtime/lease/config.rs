//! Which lease, in whose name, and by which times.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use super::LeaseError;

/// A lease to compete for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Namespace of the lease: the controller's own.
    pub namespace: String,
    /// Name of the lease, one per set of objects that needs one leader.
    pub name: String,
    /// Who we are; no other process, past or present, may have the same. See [`identity`].
    pub identity: String,
    /// How long a silent leader is waited for. Whole seconds.
    pub duration: Duration,
    /// For how long after a renewal the leader acts. Shorter than `duration` by the longest time a request may still be
    /// under way after we gave it up.
    pub renew_deadline: Duration,
    /// Pause between two attempts.
    pub retry_period: Duration,
}

impl LeaseConfig {
    /// With the times that are usual in Kubernetes: 15 s, 10 s and 2 s.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        identity: impl Into<String>,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    pub(super) fn check(&self) -> Result<(), LeaseError> {
        let problem = if self.identity.is_empty() {
            "the identity is empty; give each replica its own"
        } else if self.duration.subsec_nanos() != 0
            || i32::try_from(self.duration.as_secs()).is_err()
        {
            "the duration must be whole seconds, below 2^31"
        } else if self.duration <= self.renew_deadline {
            "the duration must be longer than the renew deadline, or two replicas act at once"
        } else if self.renew_deadline < self.retry_period * 2 {
            "the renew deadline must be at least two retry periods, or one failed request loses the lease"
        } else if self.retry_period.is_zero() {
            "the retry period must be longer than zero"
        } else {
            return Ok(());
        };
        Err(LeaseError::Config {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            problem,
        })
    }

    /// How long one attempt may take: less than the renew deadline, so that one lost connection is not the end.
    pub(super) fn request_timeout(&self) -> Duration {
        self.renew_deadline / 2
    }

    pub(super) fn duration_seconds(&self) -> i32 {
        i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)
    }
}

/// An identity for this process: the pod's name, which people recognise, and a random part, since a container that is
/// started again in its pod must not take its predecessor's lease for its own.
pub fn identity(pod: &str) -> String {
    // The keys of a RandomState are random, and this is all the randomness the process needs.
    let random = RandomState::new().build_hasher().finish();
    format!("{pod}_{random:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_would_allow_two_leaders_or_none_are_refused() {
        let seconds = Duration::from_secs;
        let table = [
            ("me", seconds(15), seconds(10), seconds(2), true),
            (
                "me",
                seconds(4),
                seconds(3),
                Duration::from_millis(1_500),
                true,
            ),
            ("", seconds(15), seconds(10), seconds(2), false),
            (
                "me",
                Duration::from_millis(15_500),
                seconds(10),
                seconds(2),
                false,
            ),
            ("me", seconds(1 << 31), seconds(10), seconds(2), false),
            ("me", seconds(10), seconds(10), seconds(2), false),
            ("me", seconds(15), seconds(10), seconds(6), false),
            ("me", seconds(15), seconds(10), seconds(0), false),
        ];
        for (identity, duration, renew_deadline, retry_period, expected) in table {
            let config = LeaseConfig {
                duration,
                renew_deadline,
                retry_period,
                ..LeaseConfig::new("ns", "l", identity)
            };
            assert_eq!(config.check().is_ok(), expected, "{config:?}");
        }
    }

    #[test]
    fn two_processes_in_one_pod_differ() {
        let (first, second) = (identity("tidegate-0"), identity("tidegate-0"));
        assert!(
            first.starts_with("tidegate-0_") && first != second,
            "{first} {second}"
        );
    }
}
