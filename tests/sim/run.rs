//! Plays a scenario from the first manifest to rest, and says what it came to.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate::sim::{
    request::Subresource,
    resources, server,
    store::{Author, By, Key},
    traffic::Counters,
    world::Nature,
};
use tokio::time::Instant;

use super::{
    entropy,
    faults::{
        self, Faults,
        deaths::Death,
        plan::{Fault, What},
    },
    process::{self, Answers, RESTART, Setting},
    summary::{self, Counts},
    trouble::{self, Trouble},
    world::{self, AFTERWARDS, Run, Shared},
};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// A controller that writes nothing for so long is at rest.
const QUIET: Duration = Duration::from_secs(30);
/// And goes on to write nothing, for as long as this is looked at.
const LASTING: Duration = Duration::from_secs(600);

/// How much of a line of the trace is told.
const WIDTH: usize = 500;

/// A story: a cluster, and what people do.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
    pub(super) elect: bool,
    pub(super) answers: Answers,
    pub(super) story: Vec<Beat>,
    /// What must come out the same, whatever goes wrong.
    pub(super) same: Same,
}

/// What a run has in common with one in which nothing goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// Its end, and what was done to each object on the way.
    Steps,
    /// Its end. Somebody else takes part in what is done on the way.
    End,
}

/// What goes wrong in a run, and how it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordeal {
    pub(super) faults: Vec<Fault>,
    pub(super) troubles: Vec<Trouble>,
    /// From here on nothing goes wrong.
    pub(super) until: Duration,
    /// Faults go on to the end, which is `until`: only what must never happen is looked for.
    pub(super) endless: bool,
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
    /// They install the controller. In a story that says so it is not there before; in others it is there from the beginning.
    Install,
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
        let mut world = self.shared.lock();
        let resource = resources::of_kind(world.store.api(), &text("apiVersion"), &text("kind"))
            .expect("a kind that is modelled");
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

    /// What another controller has made, before ours.
    pub(super) fn leave(&self, manifest: Value) {
        let text = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
        let mut world = self.shared.lock();
        let resource = resources::of_kind(world.store.api(), &text("apiVersion"), &text("kind"))
            .expect("a kind that is modelled");
        let left = server::create(
            &mut world.world,
            &before_ours(),
            resource,
            "default",
            manifest,
        );
        if let Err(refused) = left {
            world.complain(format_args!(
                "what is left was refused: {}",
                refused.message
            ));
        }
    }

    /// What another controller has written into an object of somebody, before ours.
    pub(super) fn leave_in(&self, path: &str, part: Subresource, patch: &Value) {
        let (plural, name) = path.split_once('/').unwrap_or((path, ""));
        let mut world = self.shared.lock();
        let resource = world.store.resource(plural);
        let key = Key::new(resource.plural, "default", name);
        let author = before_ours();
        let left = server::update(&mut world.world, &author, resource, &key, part, |object| {
            let mut object = object.clone();
            json_patch::merge(&mut object, patch);
            Ok(object)
        });
        if let Err(refused) = left {
            world.complain(format_args!(
                "what is left was refused: {}",
                refused.message
            ));
        }
    }

    /// As `kubectl patch --type=merge`.
    pub(super) fn patch(&self, plural: &'static str, name: &str, patch: &Value) {
        self.patch_part(plural, name, Subresource::None, patch);
    }

    /// The same with `--subresource=status`.
    pub(super) fn patch_status(&self, plural: &'static str, name: &str, patch: &Value) {
        self.patch_part(plural, name, Subresource::Status, patch);
    }

    fn patch_part(&self, plural: &'static str, name: &str, part: Subresource, patch: &Value) {
        let mut world = self.shared.lock();
        world.note(format_args!("a person patches {plural}/{name} {patch}"));
        let key = Key::new(plural, "default", name);
        let resource = world.store.resource(plural);
        let outcome = server::update(
            &mut world.world,
            &Author::person(),
            resource,
            &key,
            part,
            |object| {
                let mut object = object.clone();
                json_patch::merge(&mut object, patch);
                Ok(object)
            },
        );
        if let Err(refused) = outcome {
            if refused.code == 404 && world.faults.strikes > 0 {
                // Another person has deleted it.
                world.note("there is nothing to patch");
                world.missed += 1;
                return;
            }
            world.complain(format_args!("a patch was refused: {}", refused.message));
        }
    }

    /// As `kubectl get`; null where there is none.
    pub(super) fn get(&self, path: &str) -> Value {
        let (plural, name) = path.split_once('/').unwrap_or((path, ""));
        let world = self.shared.lock();
        let key = Key::new(world.store.resource(plural).plural, "default", name);
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
            if refused.code == 404 && world.faults.strikes > 0 {
                // Another person has deleted it.
                world.missed += 1;
                return;
            }
            world.complain(format_args!("a deletion was refused: {}", refused.message));
        }
    }

    /// From here on all pods do as they should.
    pub(super) fn heal(&self) {
        self.shared.lock().world.nature.images.clear();
    }

    /// From here on no requests come in: what is deleted serves nobody.
    pub(super) fn close_traffic(&self) {
        self.shared.lock().close_traffic();
    }

    /// The cluster itself, to have things happen in it.
    pub(super) fn world(&self) -> world::Guard<'_> {
        self.shared.lock()
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
                Beat::Install => self.shared.lock().install(),
            }
            self.shared.lock().beat = at + 1;
        }
    }

    async fn until(&self, what: &str, holds: fn(Get<'_>) -> bool) -> Result<(), Stuck> {
        let mut committed = self.shared.signals.committed.subscribe();
        let deadline = Instant::now() + self.excused() + PATIENCE;
        loop {
            {
                let world = self.shared.lock();
                let get = |path: &str| {
                    let (plural, name) = path.split_once('/').unwrap_or((path, ""));
                    let key = Key::new(world.store.resource(plural).plural, "default", name);
                    world.store.get(&key).cloned().unwrap_or_default()
                };
                if holds(&get) {
                    return Ok(());
                }
            }
            if matches!(
                tokio::time::timeout_at(deadline, committed.changed()).await,
                Ok(Ok(()))
            ) {
                continue;
            }
            let mut run = self.shared.lock();
            if run.faults.strikes == 0 {
                return Err(Stuck(format!("waited {PATIENCE:?} for {what}")));
            }
            // A moment that a fault has made pass unseen, perhaps: the end will tell.
            run.note(format_args!("## missed: {what}"));
            run.missed += 1;
            return Ok(());
        }
    }

    /// How long faults still go on.
    fn excused(&self) -> Duration {
        let run = self.shared.lock();
        run.faults.until().saturating_sub(run.now())
    }

    /// Nothing is at rest before the last trouble is over.
    async fn rest(&self, troubles: Duration) -> Result<(), Stuck> {
        let now = self.shared.lock().now();
        tokio::time::sleep(troubles.saturating_sub(now)).await;
        // A clock that was put back has to come to the same time again.
        let quiet = QUIET + self.shared.lock().faults.most_skew();
        let deadline = Instant::now() + self.excused() + PATIENCE + quiet;
        let writes = || self.shared.lock().writes.list.len();
        let mut before = writes();
        while Instant::now() < deadline {
            tokio::time::sleep(quiet).await;
            let now = writes();
            if now == before && !self.waits() {
                return Ok(());
            }
            before = now;
        }
        Err(Stuck("the controller does not come to rest".to_owned()))
    }

    /// Whether a Rollout says that something is still to come, on the clock that the controller has.
    fn waits(&self) -> bool {
        let run = self.shared.lock();
        let now = run.time() + SignedDuration::from_millis(run.faults.skew);
        run.store.list("rollouts").any(|(_, rollout)| {
            let next = rollout["status"]["next"]["at"].as_str();
            let next = next.and_then(|at| at.parse::<Timestamp>().ok());
            next.is_some_and(|at| at > now)
        })
    }

    /// It stays at rest, and says what it is at rest with.
    async fn last(&self) -> Result<(), Stuck> {
        let writes = self.shared.lock().writes.list.len();
        tokio::time::sleep(LASTING).await;
        let run = self.shared.lock();
        if let Some(write) = run.writes.list.get(writes) {
            return Err(Stuck(format!("L3: at rest it writes {write}")));
        }
        for (key, rollout) in run.store.list("rollouts") {
            let status = &rollout["status"];
            if !matches!(
                status["phase"].as_str(),
                Some("Healthy" | "Degraded" | "Paused")
            ) {
                let (phase, message) = (&status["phase"], &status["message"]);
                return Err(Stuck(format!(
                    "L2: {key} is at rest with the phase {phase}: {message}"
                )));
            }
            let request = rollout["metadata"]["annotations"]["tidegate.dev/request"].as_str();
            let asked = request.and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(asked) = asked
                && asked["id"] != status["lastHandledRequest"]["id"]
            {
                return Err(Stuck(format!("{key}: a person's request is lost: {asked}")));
            }
        }
        Ok(())
    }
}

/// The controller that was there before ours.
fn before_ours() -> Author {
    Author {
        by: By::Cluster,
        manager: "rollouts-controller".to_owned(),
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
    /// How many faults have struck.
    pub(super) strikes: usize,
    /// Moments that people waited for in vain.
    pub(super) missed: usize,
    /// Requests that have come to the API server.
    pub(super) requests: u64,
    pub(super) lasted: Duration,
    /// What became of requests, by revision.
    pub(super) traffic: BTreeMap<String, Counters>,
}

impl Outcome {
    /// A fingerprint of everything that happened, with its times.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.trace.hash(&mut hasher);
        hasher.finish()
    }

    /// What led to the first complaint and a little of what came then, or else the last lines: without what is only read, leases and events.
    pub(super) fn around(&self, lines: usize) -> String {
        let quiet = [" GET ", " event", "/leases"];
        let told: Vec<&String> = self
            .trace
            .iter()
            .filter(|line| !quiet.iter().any(|what| line.contains(what)))
            .collect();
        let first = told.iter().position(|line| line.contains(" !! "));
        let end = first.map_or(told.len(), |first| told.len().min(first + lines / 4));
        let told = &told[end.saturating_sub(lines)..end];
        let short = |line: &&String| line.chars().take(WIDTH).collect::<String>();
        told.iter().map(short).collect::<Vec<_>>().join("\n")
    }
}

/// Plays the scenario from its beginning. With `watched` the outcome has the deaths that the controller could have died.
pub(super) fn play(scenario: &Scenario, seed: u64, watched: bool) -> Outcome {
    let scenario = scenario.clone();
    entropy::seeded(seed, move || async move {
        let shared = Run::begin(seed, beginning(), scenario.nature.clone());
        shared.lock().writes.watched = watched;
        live(shared, scenario, &Ordeal::default()).await
    })
}

/// Plays the scenario while things go wrong.
pub(super) fn suffer(scenario: &Scenario, seed: u64, ordeal: &Ordeal) -> Outcome {
    let (scenario, ordeal) = (scenario.clone(), ordeal.clone());
    entropy::seeded(seed, move || async move {
        let shared = Run::begin(seed, beginning(), scenario.nature.clone());
        {
            let mut run = shared.lock();
            let mut faults = Faults::new(ordeal.faults.clone(), ordeal.until);
            faults.strikes = ordeal.troubles.len();
            run.suffer(faults, ordeal.until);
            run.note(json!(ordeal.troubles));
            trouble::begin(&mut run.world, &ordeal.troubles);
            // By a clock that was put back a step begins again that had begun, and the canary shrinks to it.
            let steps = |fault: &Fault| matches!(fault.what, What::Step { .. });
            if ordeal.faults.iter().any(steps) {
                trouble::be_graceful(&mut run.world);
            }
        }
        live(shared, scenario, &ordeal).await
    })
}

/// Goes on after a death, with a new process. `watched` as for [`play`].
pub(super) fn resume(scenario: &Scenario, seed: u64, death: Death, watched: bool) -> Outcome {
    let scenario = scenario.clone();
    entropy::seeded(seed, move || async move {
        let shared = Run::resume(death.world);
        shared.lock().writes.watched = watched;
        shared
            .lock()
            .note(format_args!("## dies {:?} {}", death.crash, death.write));
        live(shared, scenario, &Ordeal::default()).await
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
        live(shared.clone(), scenario, &Ordeal::default()).await;
        let run = shared.lock();
        let objects = run.world.store.all();
        objects
            .filter(|(key, _)| !matches!(key.plural, "events" | "leases"))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    })
}

async fn live(shared: Shared, scenario: Scenario, ordeal: &Ordeal) -> Outcome {
    let stage = Stage {
        shared: shared.clone(),
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(world::live(shared.clone()));
    tasks.spawn(faults::live(shared.clone()));
    let age = {
        let mut run = shared.lock();
        let later = &scenario.story[run.beat..];
        run.installed = !later.iter().any(|beat| matches!(beat, Beat::Install));
        run.now()
    };
    let first_start = if age > Duration::ZERO {
        RESTART
    } else {
        Duration::ZERO
    };
    let setting = Setting {
        shared: shared.clone(),
        answers: scenario.answers,
        elect: scenario.elect,
    };
    tasks.spawn(process::supervise(setting, first_start));
    if !ordeal.until.is_zero() {
        let (shared, until) = (shared.clone(), ordeal.until + AFTERWARDS);
        tasks.spawn(async move {
            tokio::time::sleep(until).await;
            shared.lock().recover();
        });
    }
    let played = async {
        stage.play(&scenario.story).await?;
        stage.rest(trouble::over(&ordeal.troubles)).await?;
        if shared.lock().faults.strikes > 0 {
            stage.last().await?;
        }
        Ok(())
    };
    let played = if ordeal.endless {
        let played = tokio::time::timeout(ordeal.until, played).await;
        // What is not there yet when it is over is no reason to complain.
        played.unwrap_or(Ok(()))
    } else {
        played.await
    };
    if let Err(Stuck(what)) = played {
        shared.lock().complain(what);
    }
    tasks.shutdown().await;
    let mut world = shared.lock();
    world.count_requests();
    if !ordeal.endless {
        world.finish();
    }
    Outcome {
        traffic: world.traffic.counters().clone(),
        writes: std::mem::take(&mut world.writes.list),
        deaths: std::mem::take(&mut world.writes.deaths),
        end: summary::end_state(&world.store),
        counts: std::mem::take(&mut world.counts),
        complaints: std::mem::take(&mut world.complaints),
        trace: std::mem::take(&mut world.trace),
        tested: std::mem::take(&mut world.monitors.told.tested),
        looks: world.proxy.looks,
        strikes: world.faults.strikes,
        missed: world.missed,
        requests: world.requests,
        lasted: world.now() - age,
    }
}
