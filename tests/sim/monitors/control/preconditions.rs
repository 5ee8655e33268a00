//! C7: a status is written for the version that it was computed from; what was refused as stale is not sent again as it was.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tidegate::sim::store::Key;

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone, Default)]
pub(super) struct Preconditions {
    /// What was last refused as stale.
    refused: BTreeMap<(u64, Key), (Value, Duration)>,
}

impl Monitor for Preconditions {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Request(asked) = event else {
            return;
        };
        let Some(key) = &asked.key else { return };
        if asked.status || !asked.body["status"].is_null() {
            told.check(
                "C7",
                asked.version.is_some() || asked.verb == "create",
                || format!("the status of {key} is written whatever it is"),
            );
        }
        if !matches!(
            key.plural,
            "rollouts"
                | "replicasets"
                | "services"
                | "ingresses"
                | "httproutes"
                | "analysisruns"
                | "experiments"
                | "deployments"
        ) {
            return;
        }
        let about = (asked.process, key.clone());
        if matches!(asked.verb, "patch" | "update") {
            // A server may say so without a reason; and who hears of nothing new cannot decide otherwise.
            let newest = view.get(key.plural, &key.namespace, &key.name);
            let newest = newest.and_then(|object| object["metadata"]["resourceVersion"].as_str());
            let stale = newest != asked.version.as_deref();
            let refused = self.refused.get(&about);
            let again = refused.is_some_and(|(body, at)| {
                *body == asked.body && stale && at.saturating_add(view.leniency.lateness) < view.now
            });
            told.check("C7", !again, || {
                format!("a write to {key} was refused as stale, and is sent again as it was")
            });
        }
        if asked.code == 409 && asked.verb != "create" {
            self.refused.insert(about, (asked.body.clone(), view.now));
        } else {
            self.refused.remove(&about);
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
