//! Leader election by a `coordination.k8s.io` Lease: of several replicas one acts.
//!
//! Whether to claim is decided by [`evaluate`], which is pure; [`Elector`] reads and writes. Clocks of different
//! machines are never compared: a lease has run out when *we* have seen it unchanged for its duration. The leader stops
//! acting at its renew deadline, which is before that, so there are never two who act. (Who deletes the lease or clears its
//! holder by hand can make two, until the first one's next renewal fails.)
//!
//! What leadership allows is not here: whoever writes asks the [`Fence`] (`lease/fence`) just before.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{ApiError, Failure, with_deadline},
    clock::Clock,
};

pub mod config;
pub mod fence;

pub use config::{LeaseConfig, identity};
pub use fence::{Fence, Leadership, LostLease};

/// What is known of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who holds it; nobody after a release.
    pub holder: Option<String>,
    /// How long it is valid without a change.
    pub duration: Duration,
    /// When we first saw it as it is now.
    pub changed_at: Instant,
}

/// What to do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody holds it any more: take it.
    Acquire,
    /// It is ours: write it again.
    Renew,
    /// Somebody holds it, for as long as this at least.
    Wait(Duration),
}

/// What `me` should do about the lease at `now`.
pub fn evaluate(observation: &Observation, me: &str, now: Instant) -> Claim {
    match &observation.holder {
        None => Claim::Acquire,
        Some(holder) if holder == me => Claim::Renew,
        Some(_) => {
            let unchanged_for = now.saturating_duration_since(observation.changed_at);
            match observation.duration.saturating_sub(unchanged_for) {
                Duration::ZERO => Claim::Acquire,
                remaining => Claim::Wait(remaining),
            }
        }
    }
}

/// Why the election ended.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The configuration contradicts itself.
    #[error("lease {namespace}/{name}: {problem}")]
    Config {
        /// Namespace of the lease.
        namespace: String,
        /// Name of the lease.
        name: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// Another replica holds the lease that was ours.
    #[error(
        "lease {namespace}/{name}: taken over by {holder:?}. Exiting, so that this replica starts afresh as a standby"
    )]
    TakenOver {
        /// Namespace of the lease.
        namespace: String,
        /// Name of the lease.
        name: String,
        /// Who holds it now; empty if nobody.
        holder: String,
    },
    /// The lease could not be renewed in time.
    #[error(
        "lease {namespace}/{name}: not renewed within {deadline:?}. Exiting, since another replica may act soon"
    )]
    NotRenewed {
        /// Namespace of the lease.
        namespace: String,
        /// Name of the lease.
        name: String,
        /// The renew deadline.
        deadline: Duration,
        /// What the last attempt ended with, if one ended.
        source: Option<ApiError>,
    },
}

/// Takes part in the election of one lease.
pub struct Elector {
    api: Api<Lease>,
    config: LeaseConfig,
    clock: Clock,
    fence: watch::Sender<Option<Instant>>,
    leading: watch::Sender<bool>,
    /// The lease as last read or written, and when we first saw it so.
    seen: Option<(Lease, Instant)>,
}

impl Elector {
    /// A candidate. `clock` is for the times people read in the lease.
    pub fn new(client: Client, config: LeaseConfig, clock: Clock) -> Result<Self, LeaseError> {
        config.check()?;
        let api = Api::namespaced(client, &config.namespace);
        let (fence, leading) = (watch::Sender::new(None), watch::Sender::new(false));
        Ok(Self {
            api,
            config,
            clock,
            fence,
            leading,
            seen: None,
        })
    }

    /// What writers ask, and what tells when this replica begins to lead.
    pub fn leadership(&self) -> Leadership {
        Leadership {
            fence: Fence::leased(self.fence.subscribe()),
            leading: self.leading.subscribe(),
        }
    }

    /// Stands by, leads, and gives the lease up on `release`, which is to be cancelled only when nobody writes any more.
    ///
    /// Once the lease was held and is lost this is an error and the process has to end: what runs in it may be in the
    /// middle of something.
    pub async fn run(mut self, release: CancellationToken) -> Result<(), LeaseError> {
        let outcome = self.elect(&release).await;
        self.leading.send_replace(false);
        let held_until = self.fence.send_replace(None);
        outcome?;
        if let Some(until) = held_until {
            self.release(until).await;
        }
        Ok(())
    }

    async fn elect(&mut self, release: &CancellationToken) -> Result<(), LeaseError> {
        if !self.stand_by(release).await {
            return Ok(());
        }
        tracing::info!(
            lease = self.config.name,
            identity = self.config.identity,
            "leading"
        );
        self.leading.send_replace(true);
        self.lead(release).await
    }

    /// Tries until the lease is ours; says whether it is.
    async fn stand_by(&mut self, release: &CancellationToken) -> bool {
        loop {
            let wait = match self.attempt(self.config.request_timeout()).await {
                Ok(Claimed::Ours) => return true,
                // The holder may release it early, so it is looked at each period and not only when it runs out.
                Ok(Claimed::Theirs(remaining)) => remaining.min(self.config.retry_period),
                Err(error) => {
                    tracing::warn!(lease = self.config.name, "lease not claimed: {error}");
                    self.config.retry_period
                }
            };
            if released_before(Instant::now() + wait, release).await {
                return false;
            }
        }
    }

    /// Renews until that fails for too long, or until the release.
    async fn lead(&mut self, release: &CancellationToken) -> Result<(), LeaseError> {
        let mut last_error = None;
        loop {
            let deadline = self.fence.borrow().unwrap_or_else(Instant::now);
            let next_try = Instant::now() + self.config.retry_period;
            if released_before(next_try.min(deadline), release).await {
                return Ok(());
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Err(self.not_renewed(last_error));
            }
            match self
                .attempt(self.config.request_timeout().min(remaining))
                .await
            {
                Ok(Claimed::Ours) => last_error = None,
                Ok(Claimed::Theirs(_)) => return Err(self.taken_over()),
                Err(error) => {
                    tracing::warn!(lease = self.config.name, "lease not renewed: {error}");
                    last_error = Some(error);
                }
            }
        }
    }

    /// One attempt to write the lease where it is ours to write.
    async fn attempt(&mut self, timeout: Duration) -> Result<Claimed, ApiError> {
        let end = Instant::now() + timeout;
        let leads = self.fence.borrow().is_some();
        // Who leads knows the lease from its last write, and reads only when that turns out to be wrong.
        let mut fresh = !leads;
        if fresh {
            self.read(timeout).await?;
        }
        loop {
            let now = Instant::now();
            let claim = self.observe(now).map_or(Claim::Acquire, |seen| {
                evaluate(&seen, &self.config.identity, now)
            });
            match claim {
                Claim::Wait(remaining) => return Ok(Claimed::Theirs(remaining)),
                // It was taken from us, even if nobody holds it now: somebody may have acted in between.
                Claim::Acquire if leads => return Ok(Claimed::Theirs(Duration::ZERO)),
                Claim::Acquire | Claim::Renew => {}
            }
            let error = match self.write(claim, end.saturating_duration_since(now)).await {
                Ok(()) => {
                    // Counted from before the request: nobody can have seen the change earlier than that.
                    self.fence
                        .send_replace(Some(now + self.config.renew_deadline));
                    return Ok(Claimed::Ours);
                }
                Err(error) => error,
            };
            match error.failure() {
                // A competitor, a person, or our own write whose answer was lost: look who it was.
                Failure::Conflict | Failure::AlreadyExists | Failure::NotFound if !fresh => {
                    self.read(end.saturating_duration_since(Instant::now()))
                        .await?;
                    fresh = true;
                }
                Failure::Conflict
                | Failure::AlreadyExists
                | Failure::NotFound
                | Failure::Invalid(_)
                | Failure::Forbidden(_)
                | Failure::Transient(_) => return Err(error),
            }
        }
    }

    async fn read(&mut self, timeout: Duration) -> Result<(), ApiError> {
        let lease = with_deadline(timeout, self.api.get_opt(&self.config.name)).await?;
        self.saw(lease);
        Ok(())
    }

    /// Remembers the lease; the time only moves when its content has changed.
    fn saw(&mut self, lease: Option<Lease>) {
        let since = match (&self.seen, &lease) {
            (Some((old, since)), Some(new)) if old.spec == new.spec => *since,
            (Some(_) | None, _) => Instant::now(),
        };
        self.seen = lease.map(|lease| (lease, since));
    }

    fn observe(&self, now: Instant) -> Option<Observation> {
        let (lease, changed_at) = self.seen.as_ref()?;
        let Some(spec) = &lease.spec else {
            return Some(Observation {
                holder: None,
                duration: Duration::ZERO,
                changed_at: now,
            });
        };
        let holder = spec
            .holder_identity
            .clone()
            .filter(|holder| !holder.is_empty());
        // The holder lives by what it wrote, not by what we are configured to.
        let duration = match spec.lease_duration_seconds.map(u64::try_from) {
            Some(Ok(seconds @ 1..)) => Duration::from_secs(seconds),
            Some(Ok(_) | Err(_)) | None => self.config.duration,
        };
        Some(Observation {
            holder,
            duration,
            changed_at: *changed_at,
        })
    }

    /// Writes our claim; the resourceVersion we saw is the precondition.
    async fn write(&mut self, claim: Claim, timeout: Duration) -> Result<(), ApiError> {
        let mut lease = self
            .seen
            .as_ref()
            .map(|(lease, _)| lease.clone())
            .unwrap_or_default();
        lease.metadata.name = Some(self.config.name.clone());
        lease.metadata.namespace = Some(self.config.namespace.clone());
        let spec = lease.spec.get_or_insert_default();
        self.claim(spec, claim);
        let parameters = parameters();
        let written = if self.seen.is_some() {
            with_deadline(
                timeout,
                self.api.replace(&self.config.name, &parameters, &lease),
            )
            .await?
        } else {
            with_deadline(timeout, self.api.create(&parameters, &lease)).await?
        };
        self.saw(Some(written));
        Ok(())
    }

    fn claim(&self, spec: &mut LeaseSpec, claim: Claim) {
        let now = MicroTime(self.clock.now());
        if claim == Claim::Acquire {
            spec.lease_transitions = Some(
                spec.lease_transitions
                    .map_or(0, |count| count.saturating_add(1)),
            );
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.config.identity.clone());
        spec.lease_duration_seconds = Some(self.config.duration_seconds());
        spec.renew_time = Some(now);
    }

    /// Lets the next replica lead at once.
    async fn release(&mut self, until: Instant) {
        let left = || {
            until
                .saturating_duration_since(Instant::now())
                .min(self.config.request_timeout())
        };
        let give_up = async {
            let Some(mut lease) =
                with_deadline(left(), self.api.get_opt(&self.config.name)).await?
            else {
                return Ok(());
            };
            match &mut lease.spec {
                Some(spec) if spec.holder_identity.as_ref() == Some(&self.config.identity) => {
                    spec.holder_identity = None;
                }
                Some(_) | None => return Ok(()),
            }
            with_deadline(
                left(),
                self.api.replace(&self.config.name, &parameters(), &lease),
            )
            .await
            .map(drop)
        };
        match give_up.await {
            Ok(()) => tracing::info!(lease = self.config.name, "lease released"),
            Err(error) => tracing::warn!(
                lease = self.config.name,
                "lease not released, it runs out by itself: {error}"
            ),
        }
    }

    fn taken_over(&self) -> LeaseError {
        let spec = self
            .seen
            .as_ref()
            .and_then(|(lease, _)| lease.spec.as_ref());
        let holder = spec
            .and_then(|spec| spec.holder_identity.clone())
            .unwrap_or_default();
        LeaseError::TakenOver {
            namespace: self.config.namespace.clone(),
            name: self.config.name.clone(),
            holder,
        }
    }

    fn not_renewed(&self, source: Option<ApiError>) -> LeaseError {
        LeaseError::NotRenewed {
            namespace: self.config.namespace.clone(),
            name: self.config.name.clone(),
            deadline: self.config.renew_deadline,
            source,
        }
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some("tidegate-lease".to_owned()),
        ..PostParams::default()
    }
}

/// Waits until `end`; says whether `release` came before it.
async fn released_before(end: Instant, release: &CancellationToken) -> bool {
    timeout_at(end, release.cancelled()).await.is_ok()
}

enum Claimed {
    Ours,
    /// Somebody else holds it, for at least this long.
    Theirs(Duration),
}

#[cfg(test)]
mod tests;
