//! The state of one pass of `decide`: what is known, and what has been decided so far.
//!
//! Not here: any rule.

use jiff::{SignedDuration, Timestamp};

use super::{
    conditions, duration, notes, restart::Restart, revisions::Revisions, summary, takeover,
};
use crate::{
    api::{rollout::RolloutSpec, rollout_status::RolloutStatus, strategy::Declared},
    rollout::{
        decision::{Action, Decision, Next, Note, Wait},
        snapshot::Snapshot,
    },
    traffic::{Desired, Observed, Routers},
};

/// Seconds that proxies get to follow a change of weight or of endpoints before pods are taken away.
pub(super) const MIN_DRAIN: SignedDuration = SignedDuration::from_secs(5);
/// Default of `scaleDownDelaySeconds` and `abortScaleDownDelaySeconds` with a router.
pub(super) const DEFAULT_DELAY: i32 = 30;

/// Where the Rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The declared version is the stable one: first deploy, after promotion, or back to the stable template.
    Stable,
    /// A new version takes its steps.
    Stepping,
    /// A new version skips its steps.
    Full,
    /// The new version was given up.
    Aborted,
}

/// One pass.
pub(super) struct Pass<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) spec: &'a RolloutSpec,
    pub(super) strategy: Declared<'a>,
    pub(super) router: Option<Routers<'a>>,
    pub(super) observed: Observed,
    pub(super) revisions: Revisions<'a>,
    /// The status under construction.
    pub(super) status: RolloutStatus,
    /// What the router last rendered: a pass asks for the live split first, and mostly for no other.
    rendered: Option<(Desired<'a>, Result<Vec<Action>, String>)>,
    /// Why no forward move and no scale-down may happen, if so.
    pub(super) hold: Option<String>,
    /// What is wrong with the spec, if anything.
    pub(super) invalid: Option<String>,
    /// Objects that the spec names and that do not exist.
    pub(super) missing: Vec<String>,
    /// What this pass does about `spec.restartAt`.
    pub(super) restart: Restart,
    pub(super) actions: Vec<Action>,
    pub(super) notes: Vec<Note>,
    pub(super) waits: Vec<Wait>,
    pub(super) next: Next,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        spec: &'a RolloutSpec,
        strategy: Declared<'a>,
    ) -> Self {
        let router = strategy.canary().and_then(Routers::of);
        let mut status = RolloutStatus {
            observed_generation: Some(snapshot.rollout.generation),
            waiting_for: None,
            next: None,
            ..snapshot.rollout.status.clone()
        };
        takeover::read(&mut status, &snapshot.names, strategy);
        let revisions = Revisions::identify(snapshot, spec, strategy, &status);
        // What the user declared for times of rest is harmless while the canary Service leads to the stable version.
        let pin = strategy
            .canary_service()
            .and_then(|name| snapshot.services.get(name))
            .and_then(|service| service.selector.get(&snapshot.names.pod_template_hash));
        let harmless = pin.is_none_or(|pin| *pin == revisions.stable_hash);
        let observed = router.as_ref().map_or_else(Observed::default, |router| {
            router.observe(snapshot, strategy.max_weight(), harmless)
        });
        Self {
            snapshot,
            spec,
            strategy,
            router,
            observed,
            revisions,
            status,
            rendered: None,
            hold: None,
            invalid: None,
            missing: Vec::new(),
            restart: Restart::default(),
            actions: Vec::new(),
            notes: Vec::new(),
            waits: Vec::new(),
            next: Next::OnChange,
        }
    }

    /// The writes that bring the router's objects to what is desired, rendered once; `None` without a router.
    pub(super) fn render(&mut self, desired: Desired<'a>) -> Option<Result<Vec<Action>, String>> {
        let router = self.router.as_ref()?;
        let known = self.rendered.take().filter(|(known, _)| *known == desired);
        let (_, rendered) = known.unwrap_or_else(|| {
            let rendered = router.render(self.snapshot, &desired);
            (desired.clone(), rendered)
        });
        self.rendered = Some((desired, rendered.clone()));
        Some(rendered)
    }

    /// `spec.replicas`.
    pub(super) fn replicas(&self) -> i32 {
        self.spec.desired_replicas()
    }

    /// The whole of the traffic.
    pub(super) fn max_weight(&self) -> i32 {
        self.strategy.max_weight()
    }

    /// When proxies have followed what changed at `since`. A clock that differs from that of the process before, or was put forward, takes
    /// nothing of their time away.
    pub(super) fn drained_at(&self, since: Timestamp) -> Timestamp {
        let watched = self.snapshot.watched_since.unwrap_or(Timestamp::MIN);
        since
            .max(watched)
            .saturating_add(MIN_DRAIN)
            .unwrap_or(Timestamp::MAX)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.snapshot.now
    }

    pub(super) fn mode(&self) -> Mode {
        if self.revisions.new_hash == self.status.stable_rs {
            Mode::Stable
        } else if self.status.abort {
            Mode::Aborted
        } else if self.status.promote_full {
            Mode::Full
        } else {
            Mode::Stepping
        }
    }

    /// The index of the current step.
    pub(super) fn step_index(&self) -> usize {
        usize::try_from(self.status.current_step_index.unwrap_or(0)).unwrap_or(0)
    }

    /// Whether forward moves and scale-downs are stopped, by a hold or by a person's `spec.paused`.
    pub(super) fn frozen(&self) -> bool {
        self.hold.is_some() || self.spec.paused
    }

    /// Whether the status says which version is declared. Nobody is sent to a version of which nobody can read that it is released.
    pub(super) fn is_recorded(&self) -> bool {
        self.snapshot.rollout.status.current_pod_hash == self.revisions.new_hash
    }

    /// Stops forward moves and scale-downs; the first reason is told.
    pub(super) fn stop_forward(&mut self, why: String) {
        self.hold.get_or_insert(why);
    }

    /// Remembers what is waited for; the first one is told.
    pub(super) fn wait(&mut self, why: impl Into<String>, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.look_again(until);
        }
        self.waits.push(Wait {
            why: why.into(),
            until,
        });
    }

    /// Asks for another look at `at`.
    pub(super) fn look_again(&mut self, at: Timestamp) {
        self.next = self.next.or_at(at);
    }

    pub(super) fn note(&mut self, warning: bool, reason: &'static str, message: String) {
        self.notes.push(Note {
            warning,
            reason,
            message,
        });
    }

    /// The decision, with everything that is told about it.
    pub(super) fn finish(mut self) -> Decision {
        summary::count(&mut self);
        conditions::tell(&mut self);
        duration::tell(&mut self);
        notes::tell_edges(&mut self);
        Decision {
            actions: self.actions,
            status: self.status,
            notes: self.notes,
            next: self.next,
        }
    }
}

/// `at` plus whole seconds, saturating.
pub(super) fn after(at: Timestamp, seconds: i32) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(i64::from(seconds)))
        .unwrap_or(Timestamp::MAX)
}
