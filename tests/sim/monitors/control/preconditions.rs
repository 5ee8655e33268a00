//! C7: a status is written for the version that it was computed from; what was refused as stale is not sent again as it was.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate::sim::store::Key;

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone, Default)]
pub(super) struct Preconditions {
    /// What was last refused as stale.
    refused: BTreeMap<(u64, Key), Value>,
}

impl Monitor for Preconditions {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
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
            let again = self.refused.get(&about) == Some(&asked.body);
            told.check("C7", !again, || {
                format!("a write to {key} was refused as stale, and is sent again as it was")
            });
        }
        if asked.code == 409 && asked.verb != "create" {
            self.refused.insert(about, asked.body.clone());
        } else {
            self.refused.remove(&about);
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
