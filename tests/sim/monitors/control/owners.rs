//! C8: an object is who its uid says: nothing is written for an owner that is gone, however its namesake is called.

use std::{collections::BTreeMap, time::Duration};

use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View, view::owner};

const KINDS: [(&str, &str); 3] = [
    ("Rollout", "rollouts"),
    ("AnalysisRun", "analysisruns"),
    ("Experiment", "experiments"),
];

#[derive(Clone, Default)]
pub(super) struct Owners {
    /// When each of ours was deleted, by uid.
    gone: BTreeMap<String, Duration>,
}

impl Monitor for Owners {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        if KINDS.iter().any(|(_, plural)| *plural == change.key.plural) && change.deleted {
            let uid = change.object["metadata"]["uid"]
                .as_str()
                .unwrap_or_default();
            self.gone.insert(uid.to_owned(), view.now);
        }
        let Some(after) = change.after().filter(|_| change.by == By::Controller) else {
            return;
        };
        for (kind, plural) in KINDS {
            let Some((name, uid)) = owner(after, kind) else {
                continue;
            };
            let lives = view
                .get(plural, &change.key.namespace, name)
                .is_some_and(|one| one["metadata"]["uid"] == uid);
            let just = self
                .gone
                .get(uid)
                .is_some_and(|at| view.now - *at <= view.leniency.lateness);
            told.check("C8", lives || just, || {
                format!(
                    "{} is written for {kind} {name} with uid {uid}, which is gone",
                    change.key
                )
            });
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
