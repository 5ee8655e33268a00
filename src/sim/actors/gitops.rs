//! A GitOps agent: again and again it compares the objects of the cluster with its manifests, and applies them.
//!
//! What a manifest names it makes so; lists, and selectors of Services, as a whole.

use std::time::Duration;

use serde_json::{Value, json};

use super::Due;
use crate::{
    api::names::{ApiNames, Conventions, is_hash_label},
    sim::{
        request::Subresource,
        resources, server,
        store::{Author, By, Key},
        world::World,
    },
};

/// The kinds that it adopts.
const ADOPTED: [&str; 4] = ["rollouts", "services", "ingresses", "analysistemplates"];

/// By what it knows its objects.
const TRACKED: &str = "app.kubernetes.io/instance";

/// The agent.
#[derive(Clone, Debug)]
pub struct Agent {
    /// How often it looks.
    pub every: Duration,
    /// What there is to be.
    pub manifests: Vec<Value>,
    /// Whether objects of its own are deleted that are in no manifest.
    pub prunes: bool,
    /// Fields that it leaves alone: plural kind and JSON pointer.
    pub ignores: Vec<(String, String)>,
    /// Whether it leaves alone what carries our mark.
    pub respects_marks: bool,
}

/// The agent begins to look after the cluster.
pub fn begin(world: &mut World, agent: Agent) {
    let every = agent.every;
    world.actors.gitops = Some(agent);
    world.plan(every, Due::GitOps);
}

/// The agent begins to look after what people have made by now: as it is, without what a controller has put into it. Routes
/// it leaves alone.
pub fn adopt(world: &mut World, every: Duration) {
    let owned = |object: &Value| object["metadata"]["ownerReferences"].is_array();
    let manifests = world
        .store
        .all()
        .filter(|(key, object)| ADOPTED.contains(&key.plural) && !owned(object))
        .map(|(_, object)| {
            let metadata = &object["metadata"];
            let mut manifest = json!({
                "apiVersion": object["apiVersion"], "kind": object["kind"],
                "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
                "spec": object["spec"],
            });
            if let Some(selector) = manifest.pointer_mut("/spec/selector")
                && let Some(selector) = selector.as_object_mut()
            {
                selector.retain(|key, _| !is_hash_label(key));
            }
            manifest
        })
        .collect();
    let agent = Agent {
        every,
        manifests,
        prunes: false,
        ignores: Vec::new(),
        respects_marks: false,
    };
    begin(world, agent);
}

/// The agent goes.
pub fn end(world: &mut World) {
    world.actors.gitops = None;
}

/// A person changes a manifest by a merge patch. Returns whether there is such a manifest.
pub(super) fn commit(world: &mut World, key: &Key, patch: &Value) -> bool {
    let api = world.store.api();
    let Some(agent) = &mut world.actors.gitops else {
        return false;
    };
    let manifest = agent
        .manifests
        .iter_mut()
        .find(|manifest| key_of(api, manifest).as_ref() == Some(key));
    match manifest {
        Some(manifest) => {
            json_patch::merge(manifest, patch);
            true
        }
        None => false,
    }
}

fn key_of(api: Conventions, manifest: &Value) -> Option<Key> {
    let text = |field: &str| manifest[field].as_str().unwrap_or_default();
    let resource = resources::of_kind(api, text("apiVersion"), text("kind"))?;
    let namespace = manifest["metadata"]["namespace"].as_str();
    let name = manifest["metadata"]["name"].as_str()?;
    Some(Key::new(
        resource.plural,
        namespace.unwrap_or(crate::sim::proxy::NAMESPACE),
        name,
    ))
}

pub(super) fn sync(world: &mut World) {
    let Some(agent) = world.actors.gitops.clone() else {
        return;
    };
    world.plan(agent.every, Due::GitOps);
    for manifest in &agent.manifests {
        apply(world, &agent, manifest);
    }
    if agent.prunes {
        prune(world, &agent);
    }
}

fn author() -> Author {
    Author {
        by: By::Person,
        manager: "argocd-controller".to_owned(),
    }
}

fn apply(world: &mut World, agent: &Agent, manifest: &Value) {
    let Some(key) = key_of(world.store.api(), manifest) else {
        return;
    };
    let mut manifest = manifest.clone();
    if agent.prunes {
        manifest["metadata"]["labels"][TRACKED] = json!("app");
    }
    let resource = world.store.resource(key.plural);
    let Some(live) = world.store.get(&key) else {
        world.note(format_args!("the GitOps agent creates {key}"));
        let created = server::create(world, &author(), resource, &key.namespace, manifest);
        if let Err(refused) = created {
            world.note(format_args!("refused: {}", refused.message));
        }
        return;
    };
    let mark = &live["metadata"]["labels"][&ApiNames::default().managed_by_rollout];
    if agent.respects_marks && !mark.is_null() {
        return;
    }
    for (plural, pointer) in &agent.ignores {
        if plural == key.plural {
            ignore(&mut manifest, pointer);
        }
    }
    let mut wanted = live.clone();
    json_patch::merge(&mut wanted, &manifest);
    if let Some(selector) = manifest.pointer("/spec/selector")
        && key.plural == "services"
    {
        // One atomic map.
        wanted["spec"]["selector"] = selector.clone();
    }
    if wanted == *live {
        return;
    }
    world.note(format_args!("the GitOps agent applies {key}"));
    let applied = server::update(world, &author(), resource, &key, Subresource::None, |_| {
        Ok(wanted)
    });
    if let Err(refused) = applied {
        world.note(format_args!("refused: {}", refused.message));
    }
}

/// Takes a field out of the manifest.
fn ignore(manifest: &mut Value, pointer: &str) {
    let Some((parent, field)) = pointer.rsplit_once('/') else {
        return;
    };
    let field = field.replace("~1", "/");
    if let Some(Value::Object(fields)) = manifest.pointer_mut(parent) {
        fields.remove(&field);
    }
}

/// Deletes what it has made and is in no manifest any more, and what carries its label by mistake.
fn prune(world: &mut World, agent: &Agent) {
    let api = world.store.api();
    let manifests = agent.manifests.iter();
    let wanted: Vec<Key> = manifests
        .filter_map(|manifest| key_of(api, manifest))
        .collect();
    let gone: Vec<Key> = world
        .store
        .all()
        .filter(|(key, object)| {
            object["metadata"]["labels"][TRACKED] == "app"
                && object["metadata"]["ownerReferences"].is_null()
                && !wanted.contains(key)
        })
        .map(|(key, _)| key.clone())
        .collect();
    for key in gone {
        world.note(format_args!("the GitOps agent prunes {key}"));
        let options = json!({"propagationPolicy": "Background"});
        if let Err(refused) = server::delete(world, &author(), &key, &options) {
            world.note(format_args!("refused: {}", refused.message));
        }
    }
}
