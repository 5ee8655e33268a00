//! Writes of our decisions to the simulated server: what the controller sends, without the way there.

use serde_json::Value;

use super::Play;
use crate::{
    api::names::Kind,
    rollout::{
        act::write::{Body, Rendered, Write, status_patch, write_of},
        decision::{Action, Target},
    },
    sim::{
        request::Subresource,
        resources,
        server::{self, Refused},
        store::{Author, Key},
    },
    simulate::SimulateError,
};

/// A conflict or a name that is taken: the next look decides anew.
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;

impl Play<'_> {
    /// Carries an action out. Returns whether the ones after it may follow.
    pub(super) fn carry_out(&mut self, action: &Action) -> Result<bool, SimulateError> {
        let names = self.names.clone();
        let outcome = match write_of(action, &names) {
            Rendered::Write(write) => self.write(write),
            Rendered::Read => {
                self.read_pod_template(action);
                Ok(())
            }
            Rendered::Pods {
                replica_set,
                label: _,
                patch,
            } => self.patch_pods(replica_set, &patch),
            Rendered::Eviction(target) => {
                let key = self.key("pods", &target.name);
                server::delete(&mut self.world, &self.author, &key, &Value::Null).map(drop)
            }
            // What decides here sees everything at once: the Rollout it has seen is there.
            Rendered::Adoption {
                replica_set,
                owner: _,
                patch,
            } => {
                let key = self.key("replicasets", &replica_set.name);
                self.merge(&key, Subresource::None, &patch)
            }
            // Nothing has to be recognised in a cluster that begins empty.
            Rendered::Recognition { .. } => Ok(()),
        };
        self.take_in();
        may_go_on(outcome, action.name())
    }

    fn write(&mut self, write: Write) -> Result<(), Refused> {
        let (version, kind) = (&write.resource.api_version, &write.resource.kind);
        let Some(resource) = resources::of_kind(self.world.store.api(), version, kind) else {
            return Err(invalid(format!("the simulated cluster has no {kind}")));
        };
        let key = Key::new(resource.plural, &self.namespace, &write.name);
        match write.body {
            Body::Create(object) => {
                let namespace = self.namespace.clone();
                server::create(&mut self.world, &self.author, resource, &namespace, object)
                    .map(drop)
            }
            Body::Merge(patch) => self.merge(&key, Subresource::None, &patch),
            Body::Json(patch) => {
                let change = |object: &Value| {
                    let mut object = object.clone();
                    json_patch::patch(&mut object, &patch)
                        .map_err(|why| invalid(why.to_string()))?;
                    Ok(object)
                };
                server::update(
                    &mut self.world,
                    &self.author,
                    resource,
                    &key,
                    Subresource::None,
                    change,
                )
                .map(drop)
            }
            Body::Delete {
                uid,
                resource_version,
            } => {
                let options = serde_json::json!({
                    "preconditions": {"uid": uid, "resourceVersion": resource_version},
                });
                server::delete(&mut self.world, &self.author, &key, &options).map(drop)
            }
        }
    }

    /// A merge patch as the controller.
    pub(super) fn merge(
        &mut self,
        key: &Key,
        subresource: Subresource,
        patch: &Value,
    ) -> Result<(), Refused> {
        self.merge_as(&self.author.clone(), key, subresource, patch)
    }

    /// A merge patch as somebody else.
    pub(super) fn merge_as(
        &mut self,
        author: &Author,
        key: &Key,
        subresource: Subresource,
        patch: &Value,
    ) -> Result<(), Refused> {
        let resource = self.world.store.resource(key.plural);
        let change = |object: &Value| {
            let mut object = object.clone();
            json_patch::merge(&mut object, patch);
            Ok(object)
        };
        server::update(&mut self.world, author, resource, key, subresource, change).map(drop)
    }

    /// Writes what differs between two statuses.
    pub(super) fn write_status(
        &mut self,
        kind: Kind,
        name: &str,
        resource_version: &str,
        difference: Value,
    ) -> Result<bool, SimulateError> {
        let patch = status_patch(&self.names, kind, resource_version, difference);
        let key = self.key(kind.plural(), name);
        let outcome = self.merge(&key, Subresource::Status, &patch);
        self.take_in();
        may_go_on(outcome, "write_status")
    }

    fn read_pod_template(&mut self, action: &Action) {
        let Action::ReadPodTemplate { name } = action else {
            return;
        };
        let key = self.key("replicasets", name);
        let template = self.world.store.get(&key).map(|set| {
            let declared = set["metadata"]["annotations"][&self.names.pod_template]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            declared.unwrap_or_else(|| set["spec"]["template"].clone())
        });
        self.memory
            .pod_templates
            .insert(name.clone(), template.unwrap_or_default());
    }

    fn patch_pods(&mut self, replica_set: &Target, patch: &Value) -> Result<(), Refused> {
        let pods: Vec<Key> = self
            .world
            .store
            .list("pods")
            .filter(|(_, pod)| {
                pod.pointer("/metadata/ownerReferences/0/uid")
                    .is_some_and(|uid| *uid == *replica_set.uid)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in pods {
            self.merge(&key, Subresource::None, patch)?;
        }
        Ok(())
    }
}

fn invalid(message: String) -> Refused {
    Refused::new(422, "Invalid", message)
}

/// Whether a write that was refused is a matter of time: then what follows it has to wait.
pub(super) fn may_go_on(outcome: Result<(), Refused>, what: &str) -> Result<bool, SimulateError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(refused) if matches!(refused.code, CONFLICT | NOT_FOUND) => Ok(false),
        Err(refused) => Err(SimulateError::Internal {
            what: what.to_owned(),
            message: refused.message,
        }),
    }
}
