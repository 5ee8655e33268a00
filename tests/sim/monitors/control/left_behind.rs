//! C11, in our form: there are no finalizers, and what was changed is put back when its Rollout is gone: whole, and only when no
//! two versions could answer in its place. That it is put back in time is L8.

use serde_json::Value;
use tidegate::sim::store::By;

use crate::sim::monitors::{Happened, Monitor, Told, View, release::all_names};

#[derive(Clone)]
pub(super) struct LeftBehind;

impl Monitor for LeftBehind {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        let Happened::Change(change) = event else {
            return;
        };
        let Some(after) = change.after().filter(|_| change.by == By::Controller) else {
            return;
        };
        let finalizers = |object: &Value| {
            object["metadata"]["finalizers"]
                .as_array()
                .map_or(0, Vec::len)
        };
        let had = change.before.as_deref().map_or(0, finalizers);
        told.check("C11", finalizers(after) <= had, || {
            "a finalizer is set".to_owned()
        });
        let Some(before) = &change.before else { return };
        for names in all_names() {
            let marked =
                |object: &Value| !object["metadata"]["labels"][&names.managed_by_rollout].is_null();
            if !marked(before) || marked(after) {
                continue;
            }
            let annotations = &after["metadata"]["annotations"];
            let rest = [&names.role, &names.weights_at_rest, &names.replicas_at_rest];
            let left = rest
                .into_iter()
                .find(|key| !annotations[key.as_str()].is_null());
            told.check("C11", left.is_none(), || {
                format!("the mark is taken off, and {left:?} stays")
            });
            if change.key.plural != "services" {
                continue;
            }
            let selector = &after["spec"]["selector"];
            told.check("C11", selector[&names.pod_template_hash].is_null(), || {
                "the mark is taken off, and the pin stays".to_owned()
            });
            let alive = view
                .list_in("replicasets", &change.key.namespace)
                .filter(|(_, set)| {
                    set["spec"]["replicas"].as_i64().unwrap_or(1) > 0
                        && !set["metadata"]["labels"][&names.pod_template_hash].is_null()
                        && selects(selector, &set["metadata"]["labels"])
                })
                .count();
            told.check("C11", alive <= 1, || {
                format!("the pin is taken out, and {alive} versions answer")
            });
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}

fn selects(selector: &Value, labels: &Value) -> bool {
    selector
        .as_object()
        .is_some_and(|all| all.iter().all(|(key, value)| labels[key] == *value))
}
