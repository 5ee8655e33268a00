//! T19: pods that are restarted are not there, whatever the counts say: nothing shrinks before that is seen.

use std::{collections::BTreeMap, time::Duration};

use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View, view::owner};

#[derive(Clone, Default)]
pub(super) struct Restart {
    /// When the controller last took a pod of a ReplicaSet, by its name.
    taken: BTreeMap<String, Duration>,
    /// When it last made one smaller.
    shrunk: BTreeMap<String, Duration>,
}

impl Monitor for Restart {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        if change.by != By::Controller {
            return;
        }
        if change.key.plural == "pods" {
            let leaves =
                change.deleted || !change.object["metadata"]["deletionTimestamp"].is_null();
            if leaves && let Some((set, _)) = owner(&change.object, "ReplicaSet") {
                let just = self
                    .shrunk
                    .get(set)
                    .is_some_and(|at| view.now - *at < view.leniency.lateness);
                told.check("T19", !just, || {
                    format!("a pod of {set} is restarted while it shrinks")
                });
                self.taken.insert(set.to_owned(), view.now);
            }
            return;
        }
        for touched in view
            .touched()
            .filter(|_| change.key.plural == "replicasets")
        {
            for (hash, set) in touched.after.sets.iter() {
                if touched.before.size(hash) <= set.replicas {
                    continue;
                }
                let recent = touched
                    .after
                    .sets
                    .values()
                    .filter_map(|one| self.taken.get(&one.name))
                    .any(|at| view.now - *at < view.leniency.lateness);
                self.shrunk.insert(set.name.clone(), view.now);
                told.check("T19", !recent, || {
                    format!("{hash} shrinks while a pod was just restarted")
                });
            }
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
