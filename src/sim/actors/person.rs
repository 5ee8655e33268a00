//! A person with kubectl, who sees what there is and asks for something.
//!
//! When a person does what is drawn by [`draw`], or told by a scenario, and put on the agenda by [`plan`].

use std::time::Duration;

use serde_json::{Value, json};

use super::{Due, gitops};
use crate::{
    api::{
        names::ApiNames,
        request::{Request, Verb},
    },
    sim::{
        nature::Span,
        request::Subresource,
        server::{self, Refused},
        store::{Author, Key},
        world::World,
    },
};

/// How often a person looks whether a Rollout is healthy.
const LOOKS: Duration = Duration::from_secs(5);

/// What a person wants of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The Rollout.
    pub rollout: Key,
    /// What.
    pub what: What,
}

/// What a person may want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A request, bound to the revision and the step that the person sees.
    Request(Verb),
    /// `spec.paused`.
    Pause(bool),
    /// Another image of the first container; where there is a GitOps agent, in its repository.
    Image(String),
    /// Another `spec.replicas`, through the scale subresource.
    Scale(i64),
    /// To be rid of it, and of its pods unless they are to stay.
    Delete {
        /// Whether its ReplicaSets stay.
        orphan: bool,
    },
    /// To have it again as it was when it was deleted.
    CreateAgain,
}

/// Puts a wish on the agenda.
pub fn plan(world: &mut World, after: Duration, wish: Wish) {
    world.plan(after, Due::Wish(wish));
}

/// So many wishes, with such times between them. A Rollout that is deleted is created again by the next wish.
pub fn draw(
    random: &mut fastrand::Rng,
    rollout: &Key,
    count: usize,
    between: Span,
    images: &[String],
) -> Vec<(Duration, Wish)> {
    let mut at = Duration::ZERO;
    let mut deleted = false;
    let mut paused = false;
    let mut wishes = Vec::new();
    for _ in 0..count {
        at += between.draw(random);
        let what = if std::mem::take(&mut deleted) {
            What::CreateAgain
        } else {
            match random.u32(0..20) {
                0..=3 => What::Request(Verb::Promote),
                4 | 5 => What::Request(Verb::PromoteFull),
                6..=8 => What::Request(Verb::Abort),
                9..=11 => What::Request(Verb::Retry),
                12 | 13 => {
                    paused = !paused;
                    What::Pause(paused)
                }
                14 | 15 => What::Scale(random.i64(1..=8)),
                16 => {
                    deleted = true;
                    let orphan = random.bool();
                    What::Delete { orphan }
                }
                _ => match images.get(random.usize(0..images.len().max(1))) {
                    Some(image) => What::Image(image.clone()),
                    None => What::Request(Verb::Promote),
                },
            }
        };
        let rollout = rollout.clone();
        wishes.push((at, Wish { rollout, what }));
    }
    // Nobody leaves a cluster with what waits for them for ever.
    at += between.draw(random);
    let mut last = |what| {
        let rollout = rollout.clone();
        wishes.push((at, Wish { rollout, what }));
    };
    if deleted {
        last(What::CreateAgain);
    }
    if paused {
        last(What::Pause(false));
    }
    wishes
}

pub(super) fn act(world: &mut World, wish: &Wish) {
    let key = &wish.rollout;
    let done = match &wish.what {
        What::Request(verb) => request(world, key, *verb),
        What::Pause(paused) => patch(world, key, &json!({"spec": {"paused": paused}})),
        What::Image(image) => set_image(world, key, image),
        What::Scale(replicas) => server::update(
            world,
            &Author::person(),
            world.store.resource(key.plural),
            key,
            Subresource::Scale,
            |scale| {
                let mut scale = scale.clone();
                scale["spec"]["replicas"] = json!(replicas);
                Ok(scale)
            },
        )
        .map(drop),
        What::Delete { orphan } => delete(world, key, *orphan),
        What::CreateAgain => create_again(world, key),
    };
    let what = &wish.what;
    match done {
        Ok(()) => world.note(format_args!("a person: {what:?} {key}")),
        Err(why) => world.note(format_args!(
            "a person: {what:?} {key}, which is refused: {}",
            why.message
        )),
    }
}

fn patch(world: &mut World, key: &Key, patch: &Value) -> Result<(), Refused> {
    server::update(
        world,
        &Author::person(),
        world.store.resource(key.plural),
        key,
        Subresource::None,
        |object| {
            let mut object = object.clone();
            json_patch::merge(&mut object, patch);
            Ok(object)
        },
    )
    .map(drop)
}

/// As `tidegate promote` and its like do it.
fn request(world: &mut World, key: &Key, verb: Verb) -> Result<(), Refused> {
    let rollout = world.store.get(key).cloned().unwrap_or_default();
    let status = &rollout["status"];
    let step = status["currentStepIndex"].as_i64();
    world.actors.wishes += 1;
    let request = Request {
        id: format!("wish-{}", world.actors.wishes),
        verb,
        revision: status["currentPodHash"]
            .as_str()
            .filter(|hash| !hash.is_empty())
            .map(str::to_owned),
        step: step.and_then(|step| i32::try_from(step).ok()),
        by: Some("somebody".to_owned()),
    };
    let names = names_of(&rollout);
    let key_of_request = &names.request;
    let text = json!(request).to_string();
    let annotations = json!({ key_of_request: text });
    patch(
        world,
        key,
        &json!({"metadata": {"annotations": annotations}}),
    )
}

fn names_of(object: &Value) -> ApiNames {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    group.parse().unwrap_or_default()
}

fn set_image(world: &mut World, key: &Key, image: &str) -> Result<(), Refused> {
    let rollout = world.store.get(key).cloned().unwrap_or_default();
    let reference = &rollout["spec"]["workloadRef"];
    let workload = reference["name"]
        .as_str()
        .filter(|_| reference["kind"] == "Deployment")
        .map(|name| Key::new("deployments", &key.namespace, name));
    let key = workload.as_ref().unwrap_or(key);
    let object = world.store.get(key).cloned().unwrap_or_default();
    let path = "/spec/template/spec/containers";
    let mut containers = object.pointer(path).cloned().unwrap_or_default();
    if let Some(first) = containers.get_mut(0) {
        first["image"] = json!(image);
    }
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    if gitops::commit(world, key, &change) {
        return Ok(());
    }
    patch(world, key, &change)
}

fn delete(world: &mut World, key: &Key, orphan: bool) -> Result<(), Refused> {
    if let Some(object) = world.store.get(key) {
        let manifest = manifest(object);
        world.actors.deleted.insert(key.clone(), manifest);
        if !orphan {
            // Its pods go with it: nobody does that to users, nor lets them in before it is back.
            let awaited = world.actors.awaited || world.proxy.open;
            world.close_traffic();
            world.actors.awaited = awaited;
            world.actors.sent_away = true;
        }
    }
    let policy = if orphan { "Orphan" } else { "Background" };
    let options = json!({ "propagationPolicy": policy });
    server::delete(world, &Author::person(), key, &options).map(drop)
}

fn create_again(world: &mut World, key: &Key) -> Result<(), Refused> {
    let Some(manifest) = world.actors.deleted.remove(key) else {
        return Ok(());
    };
    if world.store.get(key).is_some() {
        return Ok(());
    }
    let resource = world.store.resource(key.plural);
    let author = Author::person();
    server::create(world, &author, resource, &key.namespace, manifest)?;
    world.plan(LOOKS, Due::Reopen(key.clone()));
    Ok(())
}

/// Whether the status is about what is declared now. In Argo Rollouts' group the generation is a text.
pub fn is_up_to_date(rollout: &Value) -> bool {
    let observed = &rollout["status"]["observedGeneration"];
    let text = observed.as_str().and_then(|text| text.parse().ok());
    observed.as_i64().or(text) == rollout["metadata"]["generation"].as_i64()
}

/// Users come back when what was created again is healthy.
pub(super) fn reopen(world: &mut World, key: &Key) {
    let Some(rollout) = world.store.get(key).filter(|_| world.actors.sent_away) else {
        return;
    };
    let healthy = rollout["status"]["phase"] == "Healthy" && is_up_to_date(rollout);
    let long = std::mem::replace(&mut world.actors.healthy, healthy);
    if healthy && long {
        world.actors.sent_away = false;
        world.actors.healthy = false;
        if std::mem::take(&mut world.actors.awaited) {
            world.note("users come back");
            world.open_traffic();
        }
        return;
    }
    world.plan(LOOKS, Due::Reopen(key.clone()));
}

/// What a person has applied to have this object.
fn manifest(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {"name": metadata["name"], "labels": metadata["labels"]},
        "spec": object["spec"],
    })
}
