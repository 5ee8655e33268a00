//! What people and fate do to the release: the new version is declared, a pause is ended, a node is lost.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Play, Who, moment, writes::may_go_on};
use crate::{
    api::{
        names::Kind,
        request::{Request, Verb},
        rollout_status::RolloutStatus,
    },
    sim::{
        actors::{Due, nodes},
        request::Subresource,
        store::{Author, Key},
    },
    simulate::{
        SimulateError, manifests::text, metrics::Marks, scenario::Scenario, story::MomentKind,
    },
};

impl Play<'_> {
    /// Declares the new version.
    pub(super) fn begin_release(&mut self) -> Result<(), SimulateError> {
        let (key, containers) = self.pod_template_containers();
        let object = self.world.store.get(&key).cloned().unwrap_or_default();
        let all = object.pointer(containers).and_then(Value::as_array);
        let mut all = all.cloned().unwrap_or_default();
        let wish = self.options.image.clone();
        let (name, image) = match wish.as_deref().and_then(|wish| wish.split_once('=')) {
            Some((name, image)) => (Some(name), Some(image)),
            None => (None, wish.as_deref()),
        };
        let mut wanted = all
            .iter_mut()
            .filter(|container| name.is_none_or(|name| container["name"] == *name));
        let Some(container) = wanted.next() else {
            return Err(SimulateError::NoContainer(wish.unwrap_or_default()));
        };
        let from = text(container, "/image").to_owned();
        let to = image.map_or_else(|| with_words(&from, "-next"), str::to_owned);
        if to == from {
            return Err(SimulateError::SameImage(to));
        }
        container["image"] = json!(to);
        let images = &mut self.world.nature.images;
        images.insert(to.clone(), self.options.scenario.behaviour());
        let old = self.status();
        let old_hash = text(&old, "/stableRS").to_owned();
        self.marks = self.marks_of(&old_hash);
        let mut patch = Value::Array(all);
        for field in containers
            .split('/')
            .skip(1)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            patch = json!({ (*field): patch });
        }
        let status = serde_json::from_value(old).unwrap_or_default();
        self.begin_record(from, to.clone(), &status);
        let person = Author::person();
        let outcome = self.merge_as(&person, &key, Subresource::None, &patch);
        outcome.map_err(|refused| SimulateError::Refused {
            kind: Kind::Rollout.name().to_owned(),
            name: key.name.clone(),
            message: refused.message,
        })?;
        self.take_in();
        self.tell(MomentKind::Person, format!("{to} is declared"));
        if self.options.scenario == Scenario::NodeLoss {
            self.wake(Who::Fate, self.world.now() + self.options.after);
        }
        Ok(())
    }

    /// The object that has the pod template, and where its containers are.
    fn pod_template_containers(&self) -> (Key, &'static str) {
        let reference = self.manifests.rollout.pointer("/spec/workloadRef");
        match reference.map(|reference| (text(reference, "/kind"), text(reference, "/name"))) {
            Some(("Deployment", name)) => (
                self.key("deployments", name),
                "/spec/template/spec/containers",
            ),
            Some(("ReplicaSet", name)) => (
                self.key("replicasets", name),
                "/spec/template/spec/containers",
            ),
            Some((_, _)) | None => (
                self.key(Kind::Rollout.plural(), &self.rollout),
                "/spec/template/spec/containers",
            ),
        }
    }

    /// By which words a query is known to be about a version.
    fn marks_of(&self, old_hash: &str) -> Marks {
        let named = |pointer: &str| text(&self.manifests.rollout, pointer).to_owned();
        Marks {
            new: vec![
                named("/spec/strategy/canary/canaryService"),
                named("/spec/strategy/blueGreen/previewService"),
            ],
            old: vec![
                old_hash.to_owned(),
                named("/spec/strategy/canary/stableService"),
            ],
        }
    }

    /// A person comes when a pause waits for one.
    pub(super) fn expect_person(&mut self, status: &RolloutStatus) {
        let pause = status.pause_conditions.first();
        let ends_by_itself = status.next.as_ref().is_some_and(|next| next.at.is_some());
        let Some(pause) = pause.filter(|pause| !pause.reason.asks_person() && !ends_by_itself)
        else {
            return;
        };
        if let Some(patience) = self.options.promote_after {
            let at = moment(pause.start_time) + patience;
            if at >= self.world.now() {
                self.wake(Who::Person, at);
            }
        }
    }

    /// A person ends the pause, if it is still there.
    pub(super) fn person_looks(&mut self) -> Result<(), SimulateError> {
        let status: RolloutStatus = serde_json::from_value(self.status()).unwrap_or_default();
        let Some(pause) = status.pause_conditions.first() else {
            return Ok(());
        };
        let since = moment(pause.start_time);
        let patience = self.options.promote_after.unwrap_or(Duration::MAX);
        if pause.reason.asks_person() || self.world.now() < since.saturating_add(patience) {
            return Ok(());
        }
        let request = Request {
            id: format!("simulated-{}", self.world.now().as_millis()),
            verb: Verb::Promote,
            revision: Some(status.current_pod_hash.clone()),
            step: status.current_step_index,
            by: None,
        };
        let patch = json!({"metadata": {"annotations": {
            &self.names.request: json!(request).to_string(),
        }}});
        let key = self.key(Kind::Rollout.plural(), &self.rollout);
        let outcome = self.merge_as(&Author::person(), &key, Subresource::None, &patch);
        may_go_on(outcome, "promote")?;
        self.tell(
            MomentKind::Person,
            "a person promotes it (--promote-after)".to_owned(),
        );
        self.take_in();
        Ok(())
    }

    /// A node is lost, and with it about a third of the pods.
    pub(super) fn fate_strikes(&mut self) {
        self.world
            .plan(Duration::ZERO, Due::Node(0, nodes::Step::Lost));
        self.tell(MomentKind::Bad, "a node is lost with its pods".to_owned());
    }
}

/// The image with words at the end of its tag.
fn with_words(image: &str, words: &str) -> String {
    if words.is_empty() {
        return image.to_owned();
    }
    let (image, _) = image.split_once('@').unwrap_or((image, ""));
    let has_tag = image
        .rsplit_once(':')
        .is_some_and(|(_, tag)| !tag.contains('/'));
    if has_tag {
        format!("{image}{words}")
    } else {
        format!("{image}:{}", words.trim_start_matches('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_image_differs_in_its_tag() {
        for (image, expected) in [
            ("web:v1", "web:v1-next"),
            ("web", "web:next"),
            (
                "registry.example:5000/web",
                "registry.example:5000/web:next",
            ),
            ("web:v1@sha256:0011", "web:v1-next"),
        ] {
            assert_eq!(with_words(image, "-next"), expected, "{image}");
        }
    }
}
