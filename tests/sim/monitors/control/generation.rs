//! C3: a status never says that it is about an older spec than before, or about one that does not exist yet.

use serde_json::Value;
use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone)]
pub(super) struct Generation;

fn observed(object: &Value) -> Option<i64> {
    let observed = &object["status"]["observedGeneration"];
    observed
        .as_i64()
        .or_else(|| observed.as_str()?.parse().ok())
}

impl Monitor for Generation {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        let ours = matches!(change.key.plural, "rollouts" | "experiments");
        let Some(after) = change
            .after()
            .filter(|_| ours && change.by == By::Controller)
        else {
            return;
        };
        let was = change.before.as_deref().and_then(observed);
        let Some(is) = observed(after) else {
            told.check("C3", was.is_none(), || {
                format!("the generation {was:?} is forgotten")
            });
            return;
        };
        let generation = after["metadata"]["generation"].as_i64().unwrap_or(0);
        told.check("C3", is <= generation, || {
            format!("generation {is} is observed, and {generation} is the newest")
        });
        // Somebody may have written nonsense there before.
        let sane = was.filter(|was| *was <= generation);
        told.check("C3", sane.is_none_or(|was| was <= is), || {
            format!("the observed generation goes from {was:?} to {is}")
        });
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
