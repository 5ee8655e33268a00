//! A look at the Rollout: observe, decide, carry out, write the status.

use std::{rc::Rc, time::Duration};

use super::{Play, Who, moment};
use crate::{
    api::{names::Kind, object::CachedObject},
    rollout::{
        decide::{decide, note_of_action, wants_pods},
        decision::{Action, Next},
        observe::{self, observe},
        status::{self, Weight},
    },
    sim::actors::pod_serves,
    simulate::{SimulateError, traffic},
};

/// A timer that fires a moment early would find nothing to do.
const LATE: Duration = Duration::from_millis(1);

impl Play<'_> {
    pub(super) fn look_at_rollout(&mut self) -> Result<(), SimulateError> {
        let store = &self.fed.caches().rollouts;
        let Some(rollout) = store.get(&self.namespace, &self.rollout) else {
            return Ok(());
        };
        let now = self.world.time();
        self.memory.since.get_or_insert(now);
        let mut snapshot = observe(&rollout, self.fed.caches(), &self.names, &self.memory, now)
            .map_err(|error| SimulateError::Internal {
                what: "a status".to_owned(),
                message: error.to_string(),
            })?;
        if wants_pods(&snapshot) {
            let pods = self.world.store.list("pods").map(|(_, pod)| pod.clone());
            let pods = pods.map(CachedObject::new);
            snapshot.attach_pods(pods.filter_map(|pod| observe::pod(&pod)).collect());
        }
        let decision = decide(&snapshot);
        let now = self.world.now();
        let serves = |pod: &str| {
            let pod = self.world.store.get(&self.key("pods", pod));
            pod.is_some_and(|pod| pod_serves(pod, now))
        };
        self.shares = traffic::shares(&snapshot, &self.new_hash, serves);
        let snapshot = Rc::new(snapshot);
        self.seen = Some(snapshot.clone());
        self.sample(&decision.status);
        let mut whole = true;
        for action in &decision.actions {
            if !self.carry_out(action)? {
                whole = false;
                break;
            }
            if let Some(note) = note_of_action(action, &snapshot) {
                self.tell_action(action, &note);
            }
        }
        if decision
            .actions
            .iter()
            .any(|action| matches!(action, Action::CreateExperiment { .. }))
        {
            self.memory.pod_templates.clear();
        }
        self.tell_decision(&snapshot, &decision);
        let stored = &snapshot.rollout.status;
        if let Some(patch) = status::difference(stored, &decision.status)
            && status::weight(&patch, &decision.status) > Weight::Idle
        {
            let version = rollout.resource_version().to_owned();
            let name = self.rollout.clone();
            self.write_status(Kind::Rollout, &name, &version, patch)?;
        }
        let again = match decision.next {
            Next::OnChange => None,
            Next::At(at) => Some(moment(at) + LATE),
        };
        let reads = decision
            .actions
            .iter()
            .any(|action| matches!(action, Action::ReadPodTemplate { .. }));
        if reads || !whole {
            self.wake(Who::Rollout, self.world.now() + super::NOTICE);
        } else if let Some(at) = again {
            self.wake(Who::Rollout, at.max(self.world.now() + LATE));
        }
        self.expect_person(&decision.status);
        Ok(())
    }
}
