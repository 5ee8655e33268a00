//! Plays a scenario from the first manifest to rest, and says what it came to.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::{
    runtime::clock::Clock,
    sim::{
        request::Subresource,
        resources, server,
        store::{Author, Key},
        world::Nature,
    },
};
use tokio::time::Instant;

use super::{
    entropy,
    faults::Death,
    process::{self, Answers},
    summary::{self, Counts},
    world::{self, Run, Shared},
};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// A controller that writes nothing for so long is at rest.
const QUIET: Duration = Duration::from_secs(30);
/// How long it takes until a dead process is replaced.
const RESTART: Duration = Duration::from_millis(1_500);

/// A story: a cluster, and what people do.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
    pub(super) elect: bool,
    pub(super) answers: Answers,
    pub(super) story: Vec<Beat>,
}

/// A part of a story.
#[derive(Clone)]
pub(super) enum Beat {
    /// People do something.
    Do(fn(&Stage)),
    /// They wait for something that they see.
    Until(&'static str, fn(Get<'_>) -> bool),
    /// They wait.
    Pause(Duration),
}

/// Reads objects by key, such as `rollouts/web`; null where there is none.
pub(super) type Get<'a> = &'a dyn Fn(&str) -> Value;

/// Something that was waited for did not come.
#[derive(Debug)]
pub(super) struct Stuck(String);

/// What people can do and see.
#[derive(Clone)]
pub(super) struct Stage {
    shared: Shared,
}

impl Stage {
    /// As `kubectl create`.
    pub(super) fn create(&self, manifest: Value) {
        let text = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
        let resource = resources::of_kind(&text("apiVersion"), &text("kind"))
            .expect("a kind that is modelled");
        let mut world = self.shared.lock();
        let namespace = if resource.namespaced { "default" } else { "" };
        if let Err(refused) = server::create(
            &mut world.world,
            &Author::person(),
            resource,
            namespace,
            manifest,
        ) {
            world.complain(format_args!("a manifest was refused: {}", refused.message));
        }
    }

    /// As `kubectl patch --type=merge`.
    pub(super) fn patch(&self, plural: &'static str, name: &str, patch: &Value) {
        let mut world = self.shared.lock();
        world.note(format_args!("a person patches {plural}/{name} {patch}"));
        let key = Key::new(plural, "default", name);
        let outcome = server::update(
            &mut world.world,
            &Author::person(),
            resources::named(plural),
            &key,
            Subresource::None,
            |object| {
                let mut object = object.clone();
                json_patch::merge(&mut object, patch);
                Ok(object)
            },
        );
        if let Err(refused) = outcome {
            world.complain(format_args!("a patch was refused: {}", refused.message));
        }
    }

    /// As `kubectl get`; null where there is none.
    pub(super) fn get(&self, path: &str) -> Value {
        let (plural, name) = path.split_once('/').unwrap_or((path, ""));
        let key = Key::new(resources::named(plural).plural, "default", name);
        let world = self.shared.lock();
        world.store.get(&key).cloned().unwrap_or_default()
    }

    /// The names of all objects of this kind.
    pub(super) fn names(&self, plural: &'static str) -> Vec<String> {
        let world = self.shared.lock();
        let all = world.store.list(plural);
        all.map(|(key, _)| key.name.clone()).collect()
    }

    /// As `kubectl delete`.
    pub(super) fn delete(&self, plural: &'static str, name: &str, policy: &str) {
        let mut world = self.shared.lock();
        world.note(format_args!("a person deletes {plural}/{name}"));
        let key = Key::new(plural, "default", name);
        let options = json!({ "propagationPolicy": policy });
        if let Err(refused) = server::delete(&mut world.world, &Author::person(), &key, &options) {
            world.complain(format_args!("a deletion was refused: {}", refused.message));
        }
    }

    /// From here on no requests come in: what is deleted serves nobody.
    pub(super) fn close_traffic(&self) {
        self.shared.lock().proxy.open = false;
    }

    /// From here on requests come in.
    pub(super) fn open_traffic(&self) {
        self.shared.lock().open_traffic();
    }

    /// Plays the story from where the world stands in it.
    async fn play(&self, story: &[Beat]) -> Result<(), Stuck> {
        loop {
            let at = self.shared.lock().beat;
            let Some(beat) = story.get(at) else {
                return Ok(());
            };
            match beat {
                Beat::Do(act) => act(self),
                Beat::Until(what, holds) => self.until(what, *holds).await?,
                Beat::Pause(time) => tokio::time::sleep(*time).await,
            }
            self.shared.lock().beat = at + 1;
        }
    }

    async fn until(&self, what: &str, holds: fn(Get<'_>) -> bool) -> Result<(), Stuck> {
        let mut committed = self.shared.signals.committed.subscribe();
        let deadline = Instant::now() + PATIENCE;
        loop {
            {
                let world = self.shared.lock();
                let get = |path: &str| {
                    let (plural, name) = path.split_once('/').unwrap_or((path, ""));
                    let key = Key::new(resources::named(plural).plural, "default", name);
                    world.store.get(&key).cloned().unwrap_or_default()
                };
                if holds(&get) {
                    return Ok(());
                }
            }
            if !matches!(
                tokio::time::timeout_at(deadline, committed.changed()).await,
                Ok(Ok(()))
            ) {
                return Err(Stuck(format!("waited {PATIENCE:?} for {what}")));
            }
        }
    }

    async fn rest(&self) -> Result<(), Stuck> {
        let deadline = Instant::now() + PATIENCE;
        let writes = || self.shared.lock().writes.list.len();
        let mut before = writes();
        while Instant::now() < deadline {
            tokio::time::sleep(QUIET).await;
            let now = writes();
            if now == before {
                return Ok(());
            }
            before = now;
        }
        Err(Stuck("the controller does not come to rest".to_owned()))
    }
}

/// What a run came to.
pub(super) struct Outcome {
    pub(super) writes: Vec<String>,
    pub(super) deaths: Vec<Death>,
    pub(super) end: BTreeMap<String, Value>,
    pub(super) counts: Counts,
    pub(super) complaints: Vec<String>,
    pub(super) trace: Vec<String>,
    pub(super) tested: BTreeMap<&'static str, u64>,
    pub(super) looks: u64,
    pub(super) lasted: Duration,
}

impl Outcome {
    /// A fingerprint of everything that happened, with its times.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.trace.hash(&mut hasher);
        hasher.finish()
    }

    /// The last lines of the trace.
    pub(super) fn tail(&self, lines: usize) -> String {
        self.trace[self.trace.len().saturating_sub(lines)..].join("\n")
    }
}

/// Plays the scenario from its beginning. With `watched` the outcome has the deaths that the controller could have died.
pub(super) fn play(scenario: &Scenario, seed: u64, watched: bool) -> Outcome {
    let scenario = scenario.clone();
    entropy::seeded(seed, move || async move {
        let shared = Run::begin(seed, beginning(), scenario.nature.clone());
        shared.lock().writes.watched = watched;
        live(shared, scenario).await
    })
}

/// Goes on after a death, with a new process.
pub(super) fn resume(scenario: &Scenario, seed: u64, death: Death) -> Outcome {
    let scenario = scenario.clone();
    entropy::seeded(seed, move || async move {
        let shared = Run::resume(death.world);
        shared
            .lock()
            .note(format_args!("## dies {:?} {}", death.crash, death.write));
        live(shared, scenario).await
    })
}

pub(super) fn beginning() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// What there is when the scenario is over and nothing happens any more.
pub(super) fn objects_at_rest(scenario: &Scenario) -> Vec<(Key, Value)> {
    let scenario = scenario.clone();
    entropy::seeded(1, move || async move {
        let shared = Run::begin(1, beginning(), scenario.nature.clone());
        live(shared.clone(), scenario).await;
        let run = shared.lock();
        let objects = run.world.store.all();
        objects
            .filter(|(key, _)| !matches!(key.plural, "events" | "leases"))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    })
}

async fn live(shared: Shared, scenario: Scenario) -> Outcome {
    let stage = Stage {
        shared: shared.clone(),
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(world::live(shared.clone()));
    let (age, of_process) = (shared.lock().now(), shared.clone());
    let clock = Clock::following_tokio(shared.lock().store.time(age));
    tasks.spawn(async move {
        if age > Duration::ZERO {
            tokio::time::sleep(RESTART).await;
        }
        process::run(of_process, clock, scenario.answers, scenario.elect).await;
    });
    let played = match stage.play(&scenario.story).await {
        Ok(()) => stage.rest().await,
        stuck @ Err(_) => stuck,
    };
    if let Err(Stuck(what)) = played {
        shared.lock().complain(what);
    }
    tasks.shutdown().await;
    let mut world = shared.lock();
    world.finish();
    Outcome {
        writes: std::mem::take(&mut world.writes.list),
        deaths: std::mem::take(&mut world.writes.deaths),
        end: summary::end_state(&world.store),
        counts: std::mem::take(&mut world.counts),
        complaints: std::mem::take(&mut world.complaints),
        trace: std::mem::take(&mut world.trace),
        tested: std::mem::take(&mut world.monitors.told.tested),
        looks: world.proxy.looks,
        lasted: world.now() - age,
    }
}
