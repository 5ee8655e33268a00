//! L8, in our form, for there are no finalizers: what a Rollout that is gone has left on objects of others is put back soon.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::sim::monitors::{Happened, Monitor, Told, View, debt::Debt, release::all_names};

/// It is looked at again from time to time.
const ROUND: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub(super) struct PutBack(BTreeMap<(String, String), Debt>);

/// The name of the Rollout on its mark.
fn marked(object: &Value) -> Option<&str> {
    let labels = object["metadata"]["labels"].as_object()?;
    all_names()
        .iter()
        .find_map(|names| labels.get(&names.managed_by_rollout)?.as_str())
}

/// Marks of this Rollout that is gone, with no two versions that would answer without them.
fn is_owed(view: &View, namespace: &str, rollout: &str) -> bool {
    let left = ["services", "ingresses", "httproutes", "deployments"]
        .into_iter()
        .flat_map(|plural| view.list_in(plural, namespace))
        .any(|(_, object)| marked(object) == Some(rollout));
    if !left || view.release(namespace, rollout).is_some() {
        return false;
    }
    let alive = view
        .list_in("replicasets", namespace)
        .filter(|(_, set)| {
            set["spec"]["replicas"].as_i64().unwrap_or(1) > 0
                || set["status"]["replicas"].as_i64().unwrap_or(0) > 0
        })
        .count();
    alive <= 1
}

impl PutBack {
    fn look(&mut self, view: &View, told: &mut Told) {
        let bound = view.leniency.patience.saturating_add(ROUND);
        for ((namespace, rollout), debt) in &mut self.0 {
            if let Some(since) = debt.look(is_owed(view, namespace, rollout), view.now) {
                told.check("L8", since <= bound, || {
                    format!(
                        "for {since:?} objects still have the marks of {rollout}, which is gone"
                    )
                });
            }
        }
    }
}

impl Monitor for PutBack {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        if change.key.plural == "rollouts" && change.deleted {
            let key = (change.key.namespace.clone(), change.key.name.clone());
            self.0.insert(key, Debt::default());
        }
        let about = matches!(
            change.key.plural,
            "rollouts" | "replicasets" | "services" | "ingresses" | "httproutes" | "deployments"
        );
        if about && !self.0.is_empty() {
            self.look(view, told);
        }
    }

    fn excuse(&mut self) {
        self.0.values_mut().for_each(Debt::forgive);
    }

    fn finish(&mut self, view: &View, told: &mut Told) {
        self.look(view, told);
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
