//! A look at an Experiment: observe, decide, carry out, write the status.

use std::{collections::BTreeMap, time::Duration};

use super::{Play, Who, moment};
use crate::{
    api::{merge_patch, names::Kind},
    experiment::{decide::decide, observe::observe},
    rollout::decision::Next,
    simulate::SimulateError,
};

impl Play<'_> {
    pub(super) fn look_at_experiment(&mut self, name: &str) -> Result<(), SimulateError> {
        let store = &self.fed.caches().experiments;
        let Some(experiment) = store.get(&self.namespace, name) else {
            return Ok(());
        };
        let now = self.world.time();
        let nothing_refused = BTreeMap::new();
        let snapshot = observe(
            &experiment,
            self.fed.caches(),
            &self.names,
            &nothing_refused,
            now,
        )
        .map_err(|error| SimulateError::Internal {
            what: "a status".to_owned(),
            message: error.to_string(),
        })?;
        let decision = decide(&snapshot);
        for action in &decision.actions {
            if !self.carry_out(action)? {
                break;
            }
        }
        self.tell_experiment(name, &snapshot, &decision);
        let stored = &snapshot.experiment.status;
        if *stored != decision.status {
            let json = |status| serde_json::to_value(status).unwrap_or_default();
            if let Some(patch) = merge_patch::difference(&json(stored), &json(&decision.status)) {
                let version = experiment.resource_version().to_owned();
                self.write_status(Kind::Experiment, name, &version, patch)?;
            }
        }
        if let Next::At(at) = decision.next {
            let at = moment(at) + Duration::from_millis(1);
            self.wake(Who::Experiment(name.to_owned()), at.max(self.world.now()));
        }
        Ok(())
    }
}
